"""A bank without a table: 65536 registers that hold what is written. It serves addresses below `served` and remembers
every question it was asked, so that a test can see what never reached it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from gatewayd.points.bank import IllegalAddress, IllegalValue, MailboxBusy

FORBIDDEN_VALUE = 0xDEAD
BUSY_ADDRESS = 0xB0B0


class PlainBank:
    def __init__(self, served: int = 0x10000) -> None:
        self.registers = bytearray(2 * 0x10000)
        self.served = served
        self.asked: list[tuple[object, ...]] = []
        self.released: list[Hashable] = []

    def _check(self, address: int, quantity: int) -> None:
        if address + quantity > self.served:
            raise IllegalAddress

    def read(self, address: int, quantity: int) -> bytes:
        self.asked.append(("read", address, quantity))
        self._check(address, quantity)
        return bytes(self.registers[2 * address : 2 * (address + quantity)])

    def read_bits(self, address: int, quantity: int) -> bytes:
        self.asked.append(("read_bits", address, quantity))
        self._check(address, quantity)
        bits = [self.registers[2 * (address + i) + 1] & 1 for i in range(quantity)]
        number = sum(bit << i for i, bit in enumerate(bits))
        return number.to_bytes((quantity + 7) // 8, "little")

    def write(self, address: int, data: bytes, client: Hashable, now: float) -> None:
        self.asked.append(("write", address, data, client, now))
        self._check(address, len(data) // 2)
        if FORBIDDEN_VALUE.to_bytes(2, "big") in [data[i : i + 2] for i in range(0, len(data), 2)]:
            raise IllegalValue
        if address == BUSY_ADDRESS:
            raise MailboxBusy
        self.registers[2 * address : 2 * address + len(data)] = data

    def write_bits(self, address: int, bits: Sequence[bool], client: Hashable, now: float) -> None:
        self.asked.append(("write_bits", address, list(bits), client, now))
        self._check(address, len(bits))
        self.registers[2 * address : 2 * (address + len(bits))] = b"".join(bytes((0, bit)) for bit in bits)

    def release(self, client: Hashable) -> None:
        self.released.append(client)


class PlainUnits:
    """Unit id -> bank, the first of them bank 1."""

    def __init__(self, banks: dict[int, PlainBank]) -> None:
        self._banks = banks

    def find(self, unit: int) -> PlainBank | None:
        return self._banks.get(unit)

    def banks(self) -> list[PlainBank]:
        return list(self._banks.values())
