"""The points of one configured site at the addresses where its BMS finds them (modbus.md, Addresses).

What every import for a tool is made from. Pure: the configuration comes in, nothing is read or asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gatewayd.config_tables import CHARGE_POINTS_PER_BANK, Config
from gatewayd.points.address import SPAN, Placed, placed
from gatewayd.points.mailbox import MAILBOXES
from gatewayd.points.point import Point
from gatewayd.site.codes import WordOrder

EVERY_ADDRESS = ("0.0.0.0", "::")
"""Where a server listens that listens everywhere; no client can dial it."""
FALLBACK_HOST = "192.168.100.246"
"""The gateway's address where no DHCP server answers (manual 4): as good as any when nobody said where it is."""
STANDARD_PORT = 502
"""What a BMS tries first; printed where the configuration takes a free port."""


class ExportRefused(Exception):
    """The tool has no way to say what this site is configured to; the text tells what."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What one count of a register is worth: `factor` of `unit`."""

    factor: float
    unit: str

    @property
    def decimals(self) -> int:
        """Digits after the point that a value in `unit` has."""
        text = f"{self.factor:g}"
        return len(text.partition(".")[2]) if self.factor < 1 else 0


def measure(point: Point) -> Measure:
    """The table writes "0.1 A" where a register counts tenths of an ampere."""
    found = re.fullmatch(r"([\d.]+)(?: (.*))?", point.unit)
    if not found:
        return Measure(1, point.unit)
    # "0.1 A or 0.1 W": which of the two, says another register.
    return Measure(float(found[1]), re.sub(r"(?<= or )[\d.]+ ", "", found[2] or ""))


@dataclass(frozen=True, slots=True)
class Listed:
    """One live point of the site."""

    name: str
    """The only one of the site with this name."""
    group: str
    """Gateway, Charge point 7, Charge point 7 connector 2, …"""
    block: str
    charge_point: int
    """As configured, also beyond 20; 0 is the gateway."""
    connector: int | None
    unit: int
    """Unit id of its bank."""
    address: int
    """On the wire, from 0, at `unit`."""
    own_unit: int | None
    """Unit id of the charge point itself, with `charge_point_units`."""
    own_address: int | None
    point: Point

    @property
    def asked(self) -> tuple[int, int]:
        """Unit id and address for a tool: the charge point's own where it has one, so that five digits reach it."""
        if self.own_unit is not None and self.own_address is not None:
            return self.own_unit, self.own_address
        return self.unit, self.address

    @property
    def in_mailbox(self) -> bool:
        """A register of a handshake, which says nothing by itself."""
        return any(box.block == self.block and box.first <= self.point.offset < box.first + box.registers
                   for box in MAILBOXES)  # fmt: skip

    @property
    def measure(self) -> Measure:
        return measure(self.point)


@dataclass(frozen=True, slots=True)
class Listing:
    """A site: how it is reached, how its registers are coded, and all its points by unit id and address."""

    title: str
    host: str
    port: int
    serves_tcp: bool
    word_order: WordOrder
    string_little: bool
    ones_complement: bool
    register_base: int
    """What documents print for the first register: 0 or 1. The wire always counts from 0."""
    listed: tuple[Listed, ...]

    @property
    def byte_order(self) -> str:
        """How the bytes of a 32-bit value follow each other on the wire, A being the highest."""
        return {
            WordOrder.big: "ABCD",
            WordOrder.little: "DCBA",
            WordOrder.word_inverted_big: "CDAB",
            WordOrder.word_inverted_little: "BADC",
        }[self.word_order]

    @property
    def has_own_units(self) -> bool:
        return any(each.own_unit is not None for each in self.listed)

    def for_tool(self, tool: str, *, ones_complement: bool = False) -> Iterator[Listed]:
        """What a tool polls: everything that means something by itself. Raises ExportRefused.

        Matrices say again what the blocks say; mailboxes belong to handshakes. `ones_complement`: the tool knows it.
        """
        if not self.serves_tcp:
            raise ExportRefused(f"modbus.tcp.enabled is false, and the import for {tool} dials by TCP")
        if self.ones_complement and not ones_complement:
            raise ExportRefused(f"modbus.signed is ones_complement, which {tool} does not know")
        return (each for each in self.listed if each.block != "matrix" and not each.in_mailbox)


def listing(config: Config, host: str = "") -> Listing:
    """The site that `config` describes. `host`: where clients dial, if not as configured."""
    modbus = config.modbus
    numbers = [entry.number for entry in config.charge_points]
    banks = (max(numbers, default=1) - 1) // CHARGE_POINTS_PER_BANK + 1
    listed = [each for bank in range(banks) for each in _of_bank(config, bank)]
    return Listing(
        title=config.gateway.name,
        host=host or _host(config),
        port=modbus.tcp.port or STANDARD_PORT,
        serves_tcp=modbus.tcp.enabled,
        word_order=WordOrder[modbus.word_order],
        string_little=modbus.string_order == "little",
        ones_complement=modbus.signed == "ones_complement",
        register_base=modbus.register_base,
        listed=tuple(listed),
    )


def _host(config: Config) -> str:
    if config.modbus.tcp.host not in EVERY_ADDRESS:
        return config.modbus.tcp.host
    return config.network.address.partition("/")[0] if config.network.mode == "static" else FALLBACK_HOST


def _of_bank(config: Config, bank: int) -> Iterator[Listed]:
    first = bank * CHARGE_POINTS_PER_BANK
    places = {
        entry.number - first: entry.connectors
        for entry in config.charge_points
        if first < entry.number <= first + CHARGE_POINTS_PER_BANK
    }
    own = config.modbus.charge_point_units if bank == 0 else 0
    for each in placed(places):
        number = first + each.place if each.place else 0
        has_own = own and each.block not in ("gateway", "matrix")
        yield Listed(
            name=_name(each, bank, number),
            group=_group(each, bank, number),
            block=each.block,
            charge_point=number,
            connector=_connector(each),
            unit=config.modbus.unit_id + bank,
            address=each.address,
            own_unit=own + each.place if has_own else None,
            own_address=each.address - SPAN * each.place if has_own else None,
            point=each.point,
        )


def _connector(each: Placed) -> int | None:
    return each.k if each.block in ("connector", "matrix") else None


def _name(each: Placed, bank: int, number: int) -> str:
    if each.block == "gateway":
        return each.point.name if bank == 0 else f"bank{bank + 1}_{each.point.name}"
    connector = _connector(each)
    return f"cp{number:02}_{'' if connector is None else f'c{connector}_'}{each.point.name}"


def _group(each: Placed, bank: int, number: int) -> str:
    if each.block == "gateway":
        return "Gateway" if bank == 0 else f"Gateway bank {bank + 1}"
    if each.block == "matrix":
        return "Matrices" if bank == 0 else f"Matrices bank {bank + 1}"
    inner = {"connector": f" connector {each.k}", "command": " command mailbox", "identity": " identity"}
    return f"Charge point {number}{inner.get(each.block, '')}"


@dataclass(frozen=True, slots=True)
class Poll:
    """Points that one FC3 reads."""

    unit: int
    address: int
    quantity: int
    points: tuple[Listed, ...]


READ_MOST = 125
"""Registers of one FC3 (Modbus Application Protocol V1.1b3, 6.3)."""


def polls(points: Iterator[Listed]) -> Iterator[Poll]:
    """The points in as few reads as go: holes inside a block read 0, so a read may span them; it never leaves its
    group, because what follows may not be configured."""
    run: list[Listed] = []
    for each in sorted(points, key=lambda each: each.asked):
        if run and not _fits(run[0], each):
            yield _poll(run)
            run = []
        run.append(each)
    if run:
        yield _poll(run)


def _fits(first: Listed, last: Listed) -> bool:
    return (
        first.group == last.group
        and first.asked[0] == last.asked[0]
        and last.asked[1] + last.point.registers - first.asked[1] <= READ_MOST
    )


def _poll(run: list[Listed]) -> Poll:
    unit, address = run[0].asked
    end = max(each.asked[1] + each.point.registers for each in run)
    return Poll(unit, address, end - address, tuple(run))
