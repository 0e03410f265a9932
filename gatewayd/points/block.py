"""A run of points of one record as encoded registers: compiled once per kind of block, then a pack per change."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any

from msgspec import Struct

from gatewayd.points.point import Point, Value, encoder
from gatewayd.site.codes import WordOrder


class Format(Struct, frozen=True):
    """How registers are laid out: what `[modbus]` says about order, sign, lost links and id tags."""

    word_order: WordOrder = WordOrder.big
    string_little: bool = False
    ones_complement: bool = False
    on_comm_error: str = "sentinel"
    """sentinel, hold or zero: measurements while the link is down."""
    hide_id_tags: bool = False

    @property
    def plain(self) -> bool:
        """Nothing to reorder."""
        return self.word_order == WordOrder.big and not self.string_little

    def order(self, point: Point) -> list[int]:
        """Which big-endian byte stands at each place of the point's registers."""
        if point.is_text:
            return [i ^ 1 for i in range(point.characters)] if self.string_little else list(range(point.characters))
        if point.registers == 1:
            return [0, 1]
        return {
            WordOrder.big: [0, 1, 2, 3],
            WordOrder.little: [3, 2, 1, 0],
            WordOrder.word_inverted_big: [2, 3, 0, 1],
            WordOrder.word_inverted_little: [1, 0, 3, 2],
        }[self.word_order]

    def reorder(self, point: Point, data: bytes) -> bytes:
        """Between the wire's order and big-endian; the same step in both directions."""
        return bytes(map(data.__getitem__, self.order(point)))


class RawArea(Struct, frozen=True):
    """Registers of a mailbox: kept as the BMS wrote them, in the record's own bytes."""

    offset: int
    registers: int
    content: Callable[[Any], bytearray]
    id_tags: Sequence[Point] = ()
    """The points inside that `hide_id_tags` blanks when they are read."""

    def snapshot(self, record: Any) -> bytes:
        """The content as it is now: the record goes on writing into its own."""
        return bytes(self.content(record))

    def encoder(self, fmt: Format) -> Callable[[Any], bytes]:
        """What is shown of the content."""
        if not (fmt.hide_id_tags and self.id_tags):
            return bytes
        hidden = [(2 * (p.offset - self.offset), 2 * p.registers) for p in self.id_tags]

        def blanked(content: Any) -> bytes:
            shown = bytearray(content)
            for at, length in hidden:
                shown[at : at + length] = bytes(length)
            return bytes(shown)

        return blanked


class BlockCodec:
    """Encodes the points of one kind of block, `first` being the offset that becomes byte 0.

    Points with `live` are encoded at every refresh; the others decide whether the block changed. What is a plain
    attribute of the record is fetched in one step: of a connector's hundred points that is most.
    """

    def __init__(self, points: Sequence[Point], fmt: Format, areas: Sequence[RawArea] = ()) -> None:
        inside = {offset for area in areas for offset in range(area.offset, area.offset + area.registers)}
        parts: list[Point | RawArea] = [*(point for point in points if point.offset not in inside), *areas]
        parts.sort(key=lambda part: part.offset)
        self.first = parts[0].offset
        self.registers = max(part.offset + part.registers for part in parts) - self.first
        self._encoders: list[Callable[[Any], Any]] = [
            part.encoder(fmt) if isinstance(part, RawArea) else encoder(part, ones_complement=fmt.ones_complement)
            for part in parts
        ]
        self._struct, self._permute = self._layout(parts, fmt)
        self._lost = LOST[fmt.on_comm_error]
        self._measured: list[int] = []
        self._steady: list[int] = []
        self._counter: int | None = None
        paths: dict[int, str] = {}
        others: dict[int, Callable[[Any], Any]] = {}
        for place, part in enumerate(parts):
            if isinstance(part, RawArea):
                others[place] = part.snapshot
                continue
            if part.name == "update_counter":
                self._counter = place
            if part.live:
                others[place] = part.live
                continue
            self._steady.append(place)
            if part.measurement and fmt.on_comm_error != "hold":
                self._measured.append(place)
            if isinstance(part.source, str) and not (part.id_tag and fmt.hide_id_tags):
                paths[place] = part.source
            else:
                others[place] = source_of(part, fmt)
        self._fetch = attrgetter(*paths.values())
        self._others = list(others.values())
        gathered = [*paths, *others]
        self._arrange = itemgetter(*(gathered.index(place) for place in range(len(parts))))
        self._take_steady = itemgetter(*self._steady)

    def _layout(
        self, parts: Sequence[Point | RawArea], fmt: Format
    ) -> tuple[struct.Struct, Callable[[bytes], tuple[int, ...]] | None]:
        """How all parts are packed big-endian, and how that is reordered for the wire, None: not at all."""
        code, at = ">", self.first
        permutation = list(range(2 * self.registers))
        for part in parts:
            code += f"{2 * (part.offset - at)}x"
            if isinstance(part, RawArea):
                code += f"{2 * part.registers}s"
            else:
                code += part.struct_code
                start = 2 * (part.offset - self.first)
                order = fmt.order(part)
                permutation[start : start + len(order)] = [start + i for i in order]
            at = part.offset + part.registers
        return struct.Struct(code), None if fmt.plain else itemgetter(*permutation)

    def values(self, record: Any) -> tuple[Value, ...]:
        """What all sources say now, in the order of the points; two of these that are equal encode alike."""
        values: tuple[Value, ...] = self._arrange((*self._fetch(record), *[get(record) for get in self._others]))
        if self._measured and record.charge_point.comm_error:
            masked = list(values)
            for place in self._measured:
                masked[place] = self._lost
            return tuple(masked)
        return values

    def steady(self, values: Sequence[Value]) -> Sequence[Value]:
        """Those that do not change by mere passing of time; two of these are equal when the block did not change."""
        steady: Sequence[Value] = self._take_steady(values)
        return steady

    def counted(self, record: Any, values: tuple[Value, ...]) -> tuple[Value, ...]:
        """The block changed: one more in its `update_counter`, where it has one."""
        if self._counter is None:
            return values
        return (*values[: self._counter], record.count_update(), *values[self._counter + 1 :])

    def encoded(
        self, values: tuple[Value, ...], former: tuple[Value, ...] = (), known: Sequence[Any] = ()
    ) -> Sequence[Any]:
        """What each of the values becomes. `known` is what those of `former` became: most are still the same object,
        and need no look."""
        if not former:
            return [encode(value) for encode, value in zip(self._encoders, values, strict=True)]
        return [
            same if value is old else encode(value)
            for encode, value, old, same in zip(self._encoders, values, former, known, strict=True)
        ]

    def packed(self, encoded: Sequence[Any]) -> bytes:
        """The registers of the whole run as they go on the wire."""
        packed = self._struct.pack(*encoded)
        return packed if self._permute is None else bytes(self._permute(packed))


@dataclass(slots=True)
class Image:
    """One block in the bank: what encodes it and what it said last."""

    codec: BlockCodec
    record: Any
    at: int
    """First register, absolute."""
    steady: Sequence[Value] | None = None
    values: tuple[Value, ...] = ()
    encoded: Sequence[Any] = ()

    def changed(self) -> bytes | None:
        """Its registers, where it says something else than last time."""
        codec, values = self.codec, self.codec.values(self.record)
        if values == self.values:
            return None
        steady = codec.steady(values)
        if steady != self.steady:
            if self.steady is not None:
                values = codec.counted(self.record, values)
            self.steady = steady
        self.encoded = codec.encoded(values, self.values, self.encoded)
        self.values = values
        return codec.packed(self.encoded)


LOST: dict[str, Value] = {"sentinel": None, "zero": 0, "hold": None}
"""What a measurement is while the link is down, by `on_comm_error`; with hold it is what it was."""


def source_of(point: Point, fmt: Format) -> Callable[[Any], Value]:
    """The point's source, unless it is an id tag that is not to be shown."""
    if point.id_tag and fmt.hide_id_tags:
        return lambda _record: None
    return point.getter()


def matrix_source_of(point: Point, fmt: Format) -> Callable[[Any], Value]:
    """As `source_of`, of a matrix, whose places are encoded one by one: measurements follow the lost-link policy."""
    get = source_of(point, fmt)
    if not point.measurement or fmt.on_comm_error == "hold":
        return get
    lost = LOST[fmt.on_comm_error]
    return lambda record: lost if record.charge_point.comm_error else get(record)
