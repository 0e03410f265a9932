"""One bank: the encoded registers of the gateway and up to 20 charge points (modbus.md, Addresses and Types).

A read is a slice. Blocks are encoded again only when something in them changed, just before they are read, so
every request is answered from one consistent snapshot. A write checks every register first, then acts once.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from gatewayd.points.address import (
    BANK_REGISTERS,
    BLOCK,
    BLOCKS,
    COILS,
    COMMAND_BLOCK,
    IDENTITY_BLOCK,
    SPAN,
    block_address,
    matrix_address,
)
from gatewayd.points.block import BlockCodec, Format, Image, matrix_source_of
from gatewayd.points.charge_point import CHARGE_POINT, COMMAND, IDENTITY
from gatewayd.points.connector import CONNECTOR
from gatewayd.points.gateway import GATEWAY, LIST, MATRIX, MATRIX_COLUMNS, PROFILE
from gatewayd.points.mailbox import MAILBOXES, Mailbox
from gatewayd.points.point import Point, decode, encoder, not_available
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.connector import Connector
from gatewayd.site.kept import keep
from gatewayd.site.model import BankRecords
from gatewayd.site.owner import Ownership

NOT_SERVED, FRESH, STALE = 0, 1, 2


class IllegalAddress(Exception):
    """A register that is not served, not writable, or half of a point: exception 02."""


class IllegalValue(Exception):
    """A value outside the range or enumeration of its point: exception 03."""


class MailboxBusy(Exception):
    """Another client is filling this mailbox: exception 06."""


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """A writable point at its place."""

    point: Point
    record: BankRecords | ChargePoint | Connector


class Bank:
    """The registers of one unit id."""

    def __init__(self, records: BankRecords, fmt: Format) -> None:
        self.records = records
        records.holds_lost = fmt.on_comm_error == "hold"
        self._fmt = fmt
        self._registers = bytearray(2 * BANK_REGISTERS)
        self._state = bytearray(BANK_REGISTERS // BLOCK)
        self._images: dict[int, list[Image]] = {}
        self._targets: dict[int, _Target] = {}
        self._mailboxes: dict[int, tuple[Mailbox, Any]] = {}
        """Register → the mailbox that it belongs to, and its record."""
        self._owners: list[Ownership] = []
        self._matrix_stale: set[tuple[int, int]] = set()
        """Places of the matrices that are encoded when the gateway block is read next."""
        self._matrix = [(p, encoder(p, ones_complement=fmt.ones_complement), matrix_source_of(p, fmt)) for p in MATRIX]
        self._counters = {
            point.name: (point, encoder(point, ones_complement=fmt.ones_complement), point.getter())
            for point in GATEWAY
            if isinstance(point.source, str) and point.source.startswith("site.counters.")
        }
        self._place_gateway()
        for place, charge_point in records.charge_points.items():
            self._place_charge_point(place, charge_point)
        self._all_stale = bytes(self._state)
        for charge_point in records.charge_points.values():
            charge_point.touch_all()  # so that its matrix entries stand here, whoever has read them elsewhere before

    # --- layout ---------------------------------------------------------------------------------------------

    def _place_gateway(self) -> None:
        areas = {m.name: m for m in MAILBOXES if m.block == "gateway"}
        self._place(0, "gateway", self.records, GATEWAY, [])
        self._place(0, "gateway", self.records, PROFILE, [areas["profile"]])
        self._place(0, "gateway", self.records, LIST, [areas["list"]])
        for block in range(BLOCKS):
            self._state[block] = STALE
        for point in MATRIX:
            empty = struct.pack(">" + point.struct_code, not_available(point))
            for place in range(1, 21):
                for k in range(MATRIX_COLUMNS):
                    self._put(matrix_address(point, place, k), point, empty)

    def _place_charge_point(self, place: int, charge_point: ChargePoint) -> None:
        by_kind = {kind: [m for m in MAILBOXES if m.block == kind] for kind in ("charge_point", "command")}
        self._place(block_address(place, 0), "charge_point", charge_point, CHARGE_POINT, by_kind["charge_point"])
        for connector in charge_point.real_connectors:
            self._place(block_address(place, connector.number), "connector", connector, CONNECTOR, [])
        self._place(block_address(place, COMMAND_BLOCK), "command", charge_point, COMMAND, by_kind["command"])
        self._place(block_address(place, IDENTITY_BLOCK), "identity", charge_point, IDENTITY, [])
        for point in MATRIX:
            if point.writable:
                for connector in charge_point.connectors:
                    address = matrix_address(point, place, connector.number)
                    self._targets[address] = _Target(point, connector)

    def _place(self, base: int, kind: str, record: Any, points: list[Point], mailboxes: list[Mailbox]) -> None:
        codec = _codec(points, self._fmt, mailboxes)
        block = base // BLOCK
        self._images.setdefault(block, []).append(Image(codec, record, base + codec.first))
        self._state[block] = STALE
        for mailbox in mailboxes:
            self._owners.append(mailbox.owner(record))
            for register in range(mailbox.first, mailbox.first + mailbox.registers):
                self._mailboxes[base + register] = (mailbox, record)
        for point in points:
            if point.writable and base + point.offset not in self._mailboxes:
                target = _Target(point, record)
                for register in range(point.offset, point.end):
                    self._targets[base + register] = target

    # --- reading --------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """A second has passed: ages and heartbeats are encoded again when they are read next."""
        self._state[:] = self._all_stale

    def read(self, address: int, quantity: int) -> bytes | bytearray:
        """`quantity` registers from `address`, big-endian: a copy. Raises IllegalAddress."""
        records = self.records
        if records.changed:
            self._absorb()
        if records.counted:
            self._refresh_counters()
        end = address + quantity
        state, first, behind = self._state, address // BLOCK, (end - 1) // BLOCK + 1
        if behind > len(state):
            raise IllegalAddress
        if state[first] != FRESH or behind - first > 1:
            self._refresh_stale(first, behind)
        return self._registers[2 * address : 2 * end]

    def _refresh_stale(self, first: int, behind: int) -> None:
        for block in range(first, behind):
            if self._state[block] == NOT_SERVED:
                raise IllegalAddress
            if self._state[block] == STALE:
                self._refresh(block)

    def read_bits(self, address: int, quantity: int) -> bytes:
        """`quantity` coils from `address`, packed as FC1 answers them. Raises IllegalAddress."""
        self._check_coils(address, quantity)
        registers = self.read(address, quantity)
        packed = bytearray((quantity + 7) // 8)
        for i in range(quantity):
            if registers[2 * i + 1] & 1:
                packed[i // 8] |= 1 << (i % 8)
        return bytes(packed)

    def _check_coils(self, address: int, quantity: int) -> None:
        last = address + quantity - 1
        place, block = address // SPAN, address % SPAN // BLOCK
        inside = address // BLOCK == last // BLOCK and last % BLOCK < COILS
        if not inside or not 1 <= place <= 20 or block >= COMMAND_BLOCK:
            raise IllegalAddress

    def _absorb(self) -> None:
        """Take note of what changed since the last read: its blocks are stale, and the gateway's with them."""
        changed = self.records.changed
        for place, block in changed | {(place, 0) for place, _ in changed}:
            # A charge point that is no longer configured may still say that its link is gone.
            if place and self._state[place * BLOCKS + block] != NOT_SERVED:
                self._state[place * BLOCKS + block] = STALE
                if block < COMMAND_BLOCK:
                    self._matrix_stale.add((place, block))
        changed.clear()
        for block in range(BLOCKS):
            self._state[block] = STALE

    def _refresh_counters(self) -> None:
        for name in self.records.counted:
            point, encode, source = self._counters[name]
            self._put(point.offset, point, struct.pack(">" + point.struct_code, encode(source(self.records))))
        self.records.counted.clear()

    def _refresh_matrix(self, place: int, k: int) -> None:
        connector = self.records.charge_points[place].connectors[k]
        for point, encode, source in self._matrix:
            data = struct.pack(">" + point.struct_code, encode(source(connector)))
            self._put(matrix_address(point, place, k), point, data)

    def _put(self, address: int, point: Point, data: bytes) -> None:
        if not self._fmt.plain:
            data = self._fmt.reorder(point, data)
        self._registers[2 * address : 2 * address + len(data)] = data

    def _refresh(self, block: int) -> None:
        blocks = range(BLOCKS) if block < BLOCKS else (block,)
        if block < BLOCKS:
            for place, k in self._matrix_stale:
                if place in self.records.charge_points:  # still configured
                    self._refresh_matrix(place, k)
            self._matrix_stale.clear()
        for each in blocks:
            for image in self._images.get(each, ()):
                if (data := image.changed()) is not None:
                    self._registers[2 * image.at : 2 * image.at + len(data)] = data
            self._state[each] = FRESH

    # --- writing --------------------------------------------------------------------------------------------

    def write(self, address: int, data: bytes, client: Hashable, now: float) -> None:
        """Write registers, all or nothing. Raises IllegalAddress, IllegalValue, MailboxBusy."""
        end = address + len(data) // 2
        points: list[tuple[_Target, int | str]] = []
        boxes: list[tuple[Mailbox, Any, int, bytes]] = []
        places: list[tuple[int, int]] = []
        refused = False
        at = address
        while at < end:
            held = self._mailboxes.get(at)
            if held is not None:
                mailbox, record = held
                stop = at
                while stop < end and self._mailboxes.get(stop) == held:
                    stop += 1
                boxes.append((mailbox, record, at, data[2 * (at - address) : 2 * (stop - address)]))
                first = mailbox.first if mailbox.block == "gateway" else at - at % BLOCK + mailbox.first
                places.append((first, mailbox.registers))
                at = stop
                continue
            target = self._targets.get(at)
            if target is None:
                raise IllegalAddress
            size = target.point.registers
            if at + size > end or (size > 1 and self._targets.get(at - 1) is target):
                raise IllegalAddress  # half a point is not written at all
            value = self._decoded(target.point, data[2 * (at - address) : 2 * (at - address + size)])
            if value is None:
                refused = True
            else:
                points.append((target, value))
            places.append((at, size))
            at += size
        if refused:
            raise IllegalValue
        for mailbox, record, _, _ in boxes:
            if not mailbox.owner(record).may_write(client, now):
                raise MailboxBusy
        self._act(points, boxes, client, now)
        who = str(getattr(client, "address", client))
        for first, registers in places:
            self.records.note_write(first, registers, who)

    def _decoded(self, point: Point, data: bytes) -> int | str | None:
        """The value written, or None when its point does not take it."""
        if not self._fmt.plain:
            data = self._fmt.reorder(point, data)
        value = decode(point, data, ones_complement=self._fmt.ones_complement)
        if isinstance(value, int) and not point.allows(value):
            return None
        return value

    def _act(
        self,
        points: list[tuple[_Target, int | str]],
        boxes: list[tuple[Mailbox, Any, int, bytes]],
        client: Hashable,
        now: float,
    ) -> None:
        site = self.records.site
        site.advance(now)
        for target, value in sorted(points, key=lambda item: item[0].point.late):
            if target.point.write is not None:
                target.point.write(target.record, value)
            keep(site if isinstance(target.record, BankRecords) else target.record)
        for mailbox, record, at, data in boxes:
            mailbox.fill(record, at % BLOCK if mailbox.block != "gateway" else at, data, client, now, self._fmt)

    def write_bits(self, address: int, bits: Sequence[bool], client: Hashable, now: float) -> None:
        """Write coils, all or nothing. Raises IllegalAddress."""
        self._check_coils(address, len(bits))
        self.write(address, b"".join(b"\0\1" if bit else b"\0\0" for bit in bits), client, now)

    def release(self, client: Hashable) -> None:
        """This client is gone: mailboxes it was filling are free."""
        for owner in self._owners:
            if owner.client == client:
                owner.release()


class Window:
    """One charge point of bank 1 at addresses 0..2999: a unit id of its own (modbus.md, charge_point_units)."""

    def __init__(self, bank: Bank, place: int) -> None:
        self._bank, self._base = bank, SPAN * place

    def _check(self, address: int, quantity: int) -> int:
        if address + quantity > SPAN:
            raise IllegalAddress
        return self._base + address

    def read(self, address: int, quantity: int) -> bytes | bytearray:
        """As `Bank.read`."""
        return self._bank.read(self._check(address, quantity), quantity)

    def read_bits(self, address: int, quantity: int) -> bytes:
        """As `Bank.read_bits`."""
        return self._bank.read_bits(self._check(address, quantity), quantity)

    def write(self, address: int, data: bytes, client: Hashable, now: float) -> None:
        """As `Bank.write`."""
        self._bank.write(self._check(address, len(data) // 2), data, client, now)

    def write_bits(self, address: int, bits: Sequence[bool], client: Hashable, now: float) -> None:
        """As `Bank.write_bits`."""
        self._bank.write_bits(self._check(address, len(bits)), bits, client, now)

    def release(self, client: Hashable) -> None:
        """As `Bank.release`."""
        self._bank.release(client)


class Units:
    """Who answers at which Modbus unit id: banks, and windows where they are configured."""

    def __init__(self, banks: Sequence[Bank], first_unit: int, charge_point_units: int = 0) -> None:
        self.arrange(banks, first_unit, charge_point_units)

    def arrange(self, banks: Sequence[Bank], first_unit: int, charge_point_units: int = 0) -> None:
        """From now on these banks answer; whoever holds this object need not be told."""
        self._banks = list(banks)
        self._by_unit: dict[int, Bank | Window] = {first_unit + i: bank for i, bank in enumerate(banks)}
        if charge_point_units:
            for place in banks[0].records.charge_points:
                self._by_unit[charge_point_units + place] = Window(banks[0], place)

    def find(self, unit: int) -> Bank | Window | None:
        """None: nobody has this unit id."""
        return self._by_unit.get(unit)

    def __contains__(self, unit: object) -> bool:
        """Whether anybody answers at this unit id."""
        return unit in self._by_unit

    def banks(self) -> Sequence[Bank]:
        """All banks, bank 1 first; a broadcast on the serial line writes to all."""
        return self._banks

    def tick(self) -> None:
        """A second has passed."""
        for bank in self._banks:
            bank.tick()


_CODECS: dict[tuple[int, Format], BlockCodec] = {}


def _codec(points: list[Point], fmt: Format, mailboxes: list[Mailbox]) -> BlockCodec:
    """Compiled once per kind of block and format: 20 charge points share it."""
    key = (id(points), fmt)
    if key not in _CODECS:
        _CODECS[key] = BlockCodec(points, fmt, [mailbox.area() for mailbox in mailboxes])
    return _CODECS[key]
