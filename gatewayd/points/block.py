"""A run of points of one record as encoded registers: compiled once per kind of block, then a pack per change."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from gatewayd.points.point import Point, Value, encoder
from gatewayd.site.codes import WordOrder


@dataclass(frozen=True, slots=True)
class Format:
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


@dataclass(frozen=True, slots=True)
class RawArea:
    """Registers of a mailbox: kept as the BMS wrote them, in the record's own bytes."""

    offset: int
    registers: int
    content: Callable[[Any], bytearray]


class BlockCodec:
    """Encodes the points of one kind of block, `first` being the offset that becomes byte 0.

    Points with `live` are encoded at every refresh; the others decide whether the block changed.
    """

    def __init__(self, points: Sequence[Point], fmt: Format, areas: Sequence[RawArea] = ()) -> None:
        inside = {offset for area in areas for offset in range(area.offset, area.offset + area.registers)}
        shown = sorted((p for p in points if p.offset not in inside), key=lambda p: p.offset)
        parts: list[Point | RawArea] = sorted([*shown, *areas], key=lambda part: part.offset)
        self.first = min(part.offset for part in parts)
        self.registers = max(part.offset + part.registers for part in parts) - self.first
        code, at = ">", self.first
        permutation: list[int] = list(range(2 * self.registers))
        self._getters: list[Callable[[Any], Any]] = []
        self._encoders: list[Callable[[Any], Any]] = []
        self._live: list[int] = []
        for place, part in enumerate(parts):
            code += f"{2 * (part.offset - at)}x"
            if isinstance(part, RawArea):
                code += f"{2 * part.registers}s"
                self._getters.append(part.content)
                self._encoders.append(bytes)
                self._live.append(place)
            else:
                code += part.struct_code
                self._getters.append(part.live or self.sourced(part, fmt))
                self._encoders.append(encoder(part, ones_complement=fmt.ones_complement))
                if part.live:
                    self._live.append(place)
                start = 2 * (part.offset - self.first)
                order = fmt.order(part)
                permutation[start : start + len(order)] = [start + i for i in order]
            at = part.offset + part.registers
        self.counts_changes = any(point.name == "update_counter" for point in shown)
        self._struct = struct.Struct(code)
        self._permute = None if fmt.plain or len(permutation) < 2 else itemgetter(*permutation)

    @staticmethod
    def sourced(point: Point, fmt: Format) -> Callable[[Any], Value]:
        """The point's source with the policies of the format: hidden id tags, measurements of a lost link."""
        get = point.getter()
        if point.id_tag and fmt.hide_id_tags:
            return lambda _record: None
        if point.measurement and fmt.on_comm_error != "hold":
            lost: Value = 0 if fmt.on_comm_error == "zero" else None
            return lambda record: lost if record.charge_point.comm_error else get(record)
        return get

    def values(self, record: Any) -> list[Value]:
        """What all sources say now, in the order of the points."""
        return [get(record) for get in self._getters]

    def steady(self, values: list[Value]) -> list[Value]:
        """The same without what changes by itself; two of these are equal when the block did not change."""
        kept = list(values)
        for place in self._live:
            kept[place] = None
        return kept

    def encode(self, values: list[Value]) -> bytes:
        """The registers of the whole run as they go on the wire."""
        packed = self._struct.pack(*[encode(value) for encode, value in zip(self._encoders, values, strict=True)])
        return packed if self._permute is None else bytes(self._permute(packed))
