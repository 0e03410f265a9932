"""The rules between keys of a configuration: numbers that meet, ports that clash, roles that lack an address.

Serves interface.md, Configuration, and modbus.md, Addresses. A rule gives pairs of a key's path and what is wrong. It
looks only at values that are good by themselves, so that one mistake is one fault and all mistakes come at once.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from gatewayd.config_tables import CHARGE_POINTS_PER_BANK, UNIT_ID_HIGHEST, ChargePoint, Config, Slot
from gatewayd.config_values import address_of, did_you_mean, shown

Found = Iterator[tuple[str, str]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration as it was written, before it is found good.

    `refused` holds the paths that have a fault of their own (`config` has the default in their place, or 0 or an
    empty text), `written` those that stand in the file, `known_profiles` the quirk profiles there are.
    """

    config: Config
    refused: frozenset[str]
    written: frozenset[str]
    known_profiles: frozenset[str]

    def good(self, *paths: str) -> bool:
        """None of these keys, and no table around them, has a fault of its own."""
        return not any(
            path[:end] in self.refused
            for path in paths
            for end in range(1, len(path) + 1)
            if path[end : end + 1] in ".["
        )

    def charge_points(self) -> list[tuple[str, ChargePoint]]:
        """The charge points with their paths."""
        return [(entry_path("charge_point", at), each) for at, each in enumerate(self.config.charge_points)]

    def slots(self) -> list[tuple[str, Slot]]:
        """The slots with their paths."""
        return [(entry_path("slot", at), each) for at, each in enumerate(self.config.slots)]

    def numbers(self) -> set[int]:
        """The good numbers of charge points."""
        return {each.number for path, each in self.charge_points() if self.good(f"{path}.number")}

    def bank_count(self) -> int:
        """Banks up to the highest configured number; bank 1 is always there."""
        return (max(self.numbers(), default=1) - 1) // CHARGE_POINTS_PER_BANK + 1


def entry_path(name: str, at: int) -> str:
    """The path of an entry of an array: the first is `[1]`, as a person counts them in the file."""
    return f"{name}[{at + 1}]"


def faults(draft: Draft) -> Found:
    """Everything that is wrong between good keys: (key path, what is wrong)."""
    for rule in RULES:
        yield from rule(draft)


def _doubled(rows: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T, str]]:
    """The rows whose value was there before: (path, value, the entry that had it first)."""
    first: dict[T, str] = {}
    for path, value in rows:
        if value in first:
            yield path, value, first[value].rpartition(".")[0]
        first.setdefault(value, path)


def _doubled_entries(draft: Draft) -> Found:
    columns: list[list[tuple[str, int | str]]] = [
        [(f"{path}.number", each.number) for path, each in draft.charge_points()],
        [(f"{path}.identity", each.identity) for path, each in draft.charge_points()],
        [(f"{path}.number", each.number) for path, each in draft.slots()],
    ]
    for column in columns:
        for path, value, first in _doubled(row for row in column if draft.good(row[0])):
            yield path, f"{shown(value)} is already the {path.rpartition('.')[2]} of {first}"


def _profiles(draft: Draft) -> Found:
    known = sorted(draft.known_profiles)
    for path, each in draft.charge_points():
        if draft.good(f"{path}.profile") and each.profile not in draft.known_profiles:
            listed = ", ".join(known)
            yield (
                f"{path}.profile",
                f"{shown(each.profile)} is no quirk profile; known: {listed}" + did_you_mean(each.profile, known),
            )


def _bank_units(draft: Draft) -> Found:
    """modbus.md, Banks: bank b answers at unit_id + b - 1, and no id is above 247."""
    modbus, banks = draft.config.modbus, draft.bank_count()
    for path, first in (("modbus.unit_id", modbus.unit_id), ("modbus.rtu.unit_id", modbus.rtu.unit_id)):
        last = first + banks - 1
        if draft.good(path) and first and last > UNIT_ID_HIGHEST:
            units = f"{banks} banks, unit ids {first}..{last}; {UNIT_ID_HIGHEST} is the highest"
            yield path, f"charge points up to number {max(draft.numbers())} need {units}"


def _charge_point_units(draft: Draft) -> Found:
    """modbus.md, Banks: the id base + n of a configured charge point n of bank 1 is nobody else's and at most 247."""
    modbus, path = draft.config.modbus, "modbus.charge_point_units"
    if not draft.good(path) or not modbus.charge_point_units:
        return
    units = {modbus.charge_point_units + n: n for n in sorted(draft.numbers()) if n <= CHARGE_POINTS_PER_BANK}
    if high := [unit for unit in units if unit > UNIT_ID_HIGHEST]:
        yield path, f"gives charge point {units[high[0]]} the unit id {high[0]}; {UNIT_ID_HIGHEST} is the highest"
    owners = {modbus.rtu.unit_id: "modbus.rtu.unit_id", modbus.unit_id: "modbus.unit_id"}
    for first, owner in owners.items():
        banks = range(first, first + draft.bank_count()) if first and draft.good(owner) else ()
        if taken := [unit for unit in units if unit in banks]:
            yield path, f"gives charge point {units[taken[0]]} the unit id {taken[0]}, a bank's by {owner} = {first}"


def _serial_format(draft: Draft) -> Found:
    """modbus.md, RTU: 8N1 8E1 8O1 8N2."""
    rtu, path = draft.config.modbus.rtu, "modbus.rtu.stop_bits"
    if draft.good(path, "modbus.rtu.parity") and rtu.stop_bits == 2 and rtu.parity != "none":
        yield path, f"must be 1 with parity {shown(rtu.parity)}: a character on the line has 11 bits at most"


def _bridges(draft: Draft) -> list[tuple[str, ChargePoint]]:
    """The charge points that are passed on to a central system, by their own role or by the gateway's."""
    role = draft.config.gateway.role if draft.good("gateway.role") else ""
    return [
        (path, each)
        for path, each in draft.charge_points()
        if draft.good(f"{path}.role") and (each.role or role) == "bridge"
    ]


def _upstream(draft: Draft) -> Found:
    """interface.md, [ocpp.upstream]: who is bridged needs a central system to be bridged to."""
    config = draft.config
    if config.ocpp.upstream.url or not draft.good("ocpp.upstream.url"):
        return
    alone = [
        (path, each) for path, each in _bridges(draft) if not each.upstream_url and draft.good(f"{path}.upstream_url")
    ]
    everyone = config.gateway.role == "bridge"
    if everyone and (not config.charge_points or any(not each.role for _, each in alone)):
        yield "ocpp.upstream.url", 'is missing: [gateway] role = "bridge" needs the URL of its central system'
    for path, each in alone:
        if each.role:
            yield f"{path}.upstream_url", 'is missing: role = "bridge" needs it here or in [ocpp.upstream] url'


def _upstream_names(draft: Draft) -> Found:
    """Two links under one name would throw each other out for ever. Equal identities are a fault already."""
    rows: list[tuple[str, tuple[str, str]]] = []
    plain: set[str] = set()
    for path, each in _bridges(draft):
        if not draft.good("ocpp.upstream.url", f"{path}.upstream_url", f"{path}.upstream_identity", f"{path}.identity"):
            continue
        url = (each.upstream_url or draft.config.ocpp.upstream.url).rstrip("/")
        if each.upstream_identity:
            rows.append((f"{path}.upstream_identity", (url, each.upstream_identity)))
        elif each.identity not in plain:
            plain.add(each.identity)
            rows.append((f"{path}.identity", (url, each.identity)))
    for path, (_, name), first in _doubled(rows):
        yield path, f"{shown(name)} is already the name of {first} at the same central system"


def _basic_users(draft: Draft) -> Found:
    """RFC 7617: the user of HTTP Basic, here the identity, ends at the first colon."""
    for path, each in draft.charge_points():
        if ":" in each.identity and each.password and draft.good(f"{path}.identity"):
            yield f"{path}.identity", "must not contain : when a password is set"
        name = "upstream_identity" if each.upstream_identity else "identity"
        if ":" in (each.upstream_identity or each.identity) and each.upstream_password and draft.good(f"{path}.{name}"):
            yield f"{path}.{name}", "must not contain : when upstream_password is set"


def _static_network(draft: Draft) -> Found:
    """A machine that takes an address nobody wrote may take somebody else's."""
    network, path = draft.config.network, "network.address"
    if not draft.good("network.mode", path) or network.mode != "static":
        return
    if not network.address or path not in draft.written:
        yield path, 'is missing: mode = "static" needs it'
        return
    own = ipaddress.IPv4Interface(network.address)
    if not draft.good("network.router") or not network.router or "network.router" not in draft.written:
        return  # one that nobody wrote is none (hal/network_settings.py)
    router = ipaddress.IPv4Address(network.router)
    if router not in own.network:
        yield "network.router", f'{router} is not in {own.network}; write a router of that network, or "" for none'
    elif router == own.ip:
        yield "network.router", f"{router} is the gateway's own address"


def _hosts_meet(one: str, other: str) -> bool:
    """Whether both cannot be listened on with one port. A name meets only itself and every wildcard."""
    names = ["127.0.0.1" if host.lower() == "localhost" else host.lower() for host in (one, other)]
    if names[0] == names[1]:
        return True
    addresses = [address_of(name) for name in names]
    versions = {address.version for address in addresses if address}
    return len(versions) == 1 and any(address is not None and address.is_unspecified for address in addresses)


def _ports(draft: Draft) -> Found:
    modbus, ocpp, web, metrics = draft.config.modbus, draft.config.ocpp, draft.config.web, draft.config.metrics
    services = [
        ("modbus.tcp.port", "modbus.tcp.host", modbus.tcp.port if modbus.tcp.enabled else 0, modbus.tcp.host),
        ("ocpp.port", "ocpp.host", ocpp.port, ocpp.host),
        ("ocpp.tls.port", "ocpp.host", ocpp.tls.port, ocpp.host),
        ("web.port", "web.host", web.port, web.host),
        ("metrics.port", "metrics.host", metrics.port, metrics.host),
    ]
    bound = [service for service in services if service[2] > 0 and draft.good(service[0], service[1])]
    for (first, _, port, host), (path, _, other_port, other_host) in combinations(bound, 2):
        if port == other_port and _hosts_meet(host, other_host):
            yield path, f"{port} is already {first}"


def _certificates(draft: Draft) -> Found:
    ocpp = draft.config.ocpp
    for path, table in (("ocpp.tls", ocpp.tls), ("ocpp.upstream", ocpp.upstream)):
        if not draft.good(f"{path}.certificate", f"{path}.key"):
            continue
        if table.certificate and not table.key:
            yield f"{path}.key", "is missing: a certificate of your own needs its key"
        if table.key and not table.certificate:
            yield f"{path}.certificate", "is missing: a key of your own needs its certificate"


def _security_profiles(draft: Draft) -> Found:
    """What a charge point must bring, it must be able to bring. Profile 1 is a password, 2 that and TLS, 3 TLS and a
    certificate (OCPP 1.6 security whitepaper)."""
    rows = [row for row in draft.charge_points() if draft.good(f"{row[0]}.min_security_profile")]
    for path, each in rows:
        least = each.min_security_profile
        if least in (1, 2) and not each.password and draft.good(f"{path}.password"):
            yield f"{path}.password", f"is missing: security profile {least} needs it"
    encrypted = [(path, each.min_security_profile) for path, each in rows if each.min_security_profile >= 2]
    if encrypted and draft.config.ocpp.tls.port == -1 and draft.good("ocpp.tls.port"):
        path, least = encrypted[0]
        yield "ocpp.tls.port", f"is off, but {path} needs it for security profile {least}"


def _slot_contents(draft: Draft) -> Found:
    for path, slot in draft.slots():
        if not slot.url and not slot.certificate and draft.good(path, f"{path}.url", f"{path}.certificate"):
            yield f"{path}.url", "is missing: a slot holds a url or a certificate"


RULES = (
    _doubled_entries,
    _profiles,
    _bank_units,
    _charge_point_units,
    _serial_format,
    _upstream,
    _upstream_names,
    _basic_users,
    _static_network,
    _ports,
    _certificates,
    _security_profiles,
    _slot_contents,
)
