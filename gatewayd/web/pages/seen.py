"""The snapshot of gatewayd as the pages show it: figures, charge points, clients, what needs attention. Pure.

In comes the snapshot (docs/interfaces.md); out come plain records of texts that a template only places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gatewayd.config_tables import CHARGE_POINTS_PER_BANK
from gatewayd.points.address import SPAN
from gatewayd.web.pages import moment, states
from gatewayd.web.pages.language import _, ngettext
from gatewayd.web.pages.states import State

Snapshot = Mapping[str, Any]

VOLTS, PHASES = 230, 3
"""What a limit in ampere is worth in watts where nobody measured: only for the length of a bar."""
BAR_FULL_W = 22_080.0
"""A bar without a limit is full at 32 A on three phases."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one looks for from the door."""

    label: str
    value: str
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that a person should look after, and the page where that is done."""

    tone: str
    title: str
    text: str = ""
    path: str = ""
    way: str = ""


@dataclass(frozen=True, slots=True)
class Led:
    """A light of the gateway's front."""

    title: str
    colour: str
    lit: bool
    word: str


@dataclass(frozen=True, slots=True)
class Connector:
    """A place to plug in. `share` and `limit_at` are per cent of the bar; None: there is nothing to show."""

    number: int
    tone: str
    shape: str
    word: str
    why: str
    power: str
    share: float | None
    limit_at: float | None
    bar_words: str
    limit: str
    session: str
    tag: str


@dataclass(frozen=True, slots=True)
class ChargePoint:
    """A charge point, and its connectors."""

    number: int
    identity: str
    tone: str
    shape: str
    word: str
    model: str
    heard: str
    register: int
    connectors: tuple[Connector, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Client:
    """A Modbus client."""

    address: str
    since: str
    last: str
    requests: str
    rate: str


@dataclass(frozen=True, slots=True)
class Knock:
    """Somebody who dialled and is not configured."""

    identity: str
    address: str
    count: int
    last: str


def charge_points(snapshot: Snapshot, base: int = 0) -> list[ChargePoint]:
    """All that are configured. `base`: what documents count registers from."""
    now = float(snapshot["time"])
    return [_charge_point(one, now, base) for one in snapshot["charge_points"]]


def _charge_point(one: Mapping[str, Any], now: float, base: int) -> ChargePoint:
    state = states.of_charge_point(one)
    place = (one["number"] - 1) % CHARGE_POINTS_PER_BANK + 1
    return ChargePoint(
        number=one["number"],
        identity=one["identity"],
        tone=state.tone,
        shape=state.shape,
        word=state.word,
        model=" ".join(filter(None, (one["vendor"], one["model"]))),
        heard=moment.ago(one["last_message"], now),
        register=place * SPAN + base,
        connectors=tuple(_connector(each, one, now) for each in one["connectors"]),
    )


def _connector(one: Mapping[str, Any], charge_point: Mapping[str, Any], now: float) -> Connector:
    state = states.of_connector(one, charge_point)
    watts, limit, open_ = one["power_w"], one["limit"], one["transaction"]
    limit_w = None if limit is None else limit["value"] * (1 if limit["unit"] == "W" else VOLTS * PHASES)
    full = max(BAR_FULL_W, limit_w or 0, watts or 0)
    share = None if watts is None else round(100 * max(0.0, watts) / full, 1)
    limit_at = None if limit_w is None else round(min(99.0, 100 * max(0.0, limit_w) / full), 1)
    power, limit_text = kilowatts(watts), _limit(limit, one["limit_result"])
    return Connector(
        number=one["number"],
        tone=state.tone,
        shape=state.shape,
        word=state.word,
        why=_why(one),
        power=power,
        share=share,
        limit_at=limit_at,
        bar_words=_("%(power)s, limit %(limit)s", power=power, limit=limit_text),
        limit=limit_text,
        session=_session(open_, now),
        tag=open_["id_tag"] if open_ and open_["stopped"] is None else "",
    )


def kilowatts(watts: float | None) -> str:
    """Power for people; a dash where nobody measured."""
    return "—" if watts is None else f"{watts / 1000:.2f} kW"


def _limit(limit: Mapping[str, Any] | None, result: str) -> str:
    if limit is None:
        return _("none")
    text = f"{limit['value']:.1f} A" if limit["unit"] == "A" else f"{limit['value'] / 1000:.2f} kW"
    return text if result in ("accepted", "none", "pending") else f"{text} ({result.replace('_', ' ')})"


def _session(open_: Mapping[str, Any] | None, now: float) -> str:
    if not open_ or open_["stopped"] is not None:
        return "—"
    energy = "" if open_["energy_wh"] is None else f"{open_['energy_wh'] / 1000:.2f} kWh · "
    return energy + moment.span(None if open_["started"] is None else now - open_["started"])


def _why(one: Mapping[str, Any]) -> str:
    said = [text for text in (one["error"], one["vendor_error"]) if text and text not in ("NoError", "none")]
    return ", ".join(said)


def figures(snapshot: Snapshot) -> list[Figure]:
    """Power, charging, connected, BMS: the four that say whether all is well."""
    places = list(_places(snapshot))
    known = [one["power_w"] for one in places if one["power_w"] is not None]
    charging = sum(1 for one in places if one["status"] == "Charging")
    linked = sum(1 for one in snapshot["charge_points"] if one["link"] == "accepted")
    clients = snapshot["modbus_clients"]
    rate = sum(one["requests_per_s"] for one in clients)
    return [
        Figure(_("Power now"), f"{sum(known) / 1000:.2f}", "kW", _metered(len(known), len(places))),
        Figure(
            _("Charging"), str(charging), "", ngettext("of %(num)s connector", "of %(num)s connectors", len(places)),
        ),
        Figure(
            _("Connected"), str(linked), "",
            ngettext("of %(num)s charge point", "of %(num)s charge points", len(snapshot["charge_points"])),
        ),
        Figure(
            _("BMS clients"), str(len(clients)), "",
            _("%(rate)s requests a second", rate=f"{rate:.1f}") if clients else _("nobody reads the registers"),
        ),
    ]  # fmt: skip


def _metered(known: int, places: int) -> str:
    if known == places:
        return _("all connectors measured")
    return _("%(known)s of %(places)s connectors measured", known=known, places=places)


def _places(snapshot: Snapshot) -> Iterator[Mapping[str, Any]]:
    for charge_point in snapshot["charge_points"]:
        yield from charge_point["connectors"]


def attention(snapshot: Snapshot) -> list[Attention]:
    """The gravest first. Empty: all is well."""
    found = [_fault(name) for name in snapshot["gateway"]["faults"]]
    found += [
        Attention("bad", _("Configuration: %(key)s", key=one["key"]), one["what"])
        for one in snapshot["configuration"]["faults"]
    ]
    found += [
        Attention(
            "bad", _("Charge point %(number)s, connector %(connector)s reports a fault",
                     number=cp["number"], connector=one["number"]),
            _why(one), f"/charge-points/{cp['number']}", _("Look at it"),
        )
        for cp in snapshot["charge_points"] for one in cp["connectors"]
        if one["status"] == "Faulted" and cp["link"] == "accepted"
    ]  # fmt: skip
    away = [one["identity"] for one in snapshot["charge_points"] if one["link"] in ("lost", "rejected")]
    if away:
        found.append(
            Attention("warn", ngettext("%(num)s charge point is offline", "%(num)s charge points are offline",
                                       len(away)), ", ".join(away), "/why", _("Why does it not connect?"))
        )  # fmt: skip
    found += _clocks(snapshot) + _stranded(snapshot)
    knocking = [one["identity"] for one in snapshot["knocking"]]
    if knocking:
        found.append(
            Attention("busy", ngettext("%(num)s charge point is knocking", "%(num)s charge points are knocking",
                                       len(knocking)), ", ".join(knocking[:8]), "/charge-points", _("Adopt it"))
        )  # fmt: skip
    return found


def _clocks(snapshot: Snapshot) -> list[Attention]:
    wrong = [one["identity"] for one in snapshot["charge_points"] if one["clock_bad"]]
    return [Attention("warn", _("A charge point's clock is wrong"), ", ".join(wrong))] if wrong else []


def _stranded(snapshot: Snapshot) -> list[Attention]:
    return [
        Attention(
            "warn", ngettext("%(num)s message for a central system is stuck",
                             "%(num)s messages for a central system are stuck", one["messages"]),
            _("Charge point %(number)s was removed before all was told. It is told when one has that number again.",
              number=one["charge_point"]), "/charge-points/new", _("Add a charge point"),
        )
        for one in snapshot["gateway"]["upstream_stranded"]
    ]  # fmt: skip


def _fault(name: str) -> Attention:
    title, text = states.FAULTS.get(name) or (
        _("%(port)s cannot be served.", port=name), _("Another program may have its port."))  # fmt: skip
    return Attention("bad", title, text)


def clients(snapshot: Snapshot) -> list[Client]:
    """Who reads, as connected."""
    now = float(snapshot["time"])
    return [
        Client(
            address=f"{one['address']} · {one['port']}",
            since=moment.span(now - one["since"]),
            last=moment.ago((one.get("last_request") or {}).get("time"), now),
            requests=f"{one['requests']:,}".replace(",", "\u202f"),
            rate=f"{one['requests_per_s']:.1f}",
        )
        for one in snapshot["modbus_clients"]
    ]


def knocking(snapshot: Snapshot) -> list[Knock]:
    """Who dialled and is not configured."""
    now = float(snapshot["time"])
    return [
        Knock(one["identity"], one["address"], one["count"], moment.ago(one["last"], now))
        for one in snapshot["knocking"]
    ]


def front(snapshot: Snapshot) -> list[Led]:
    """The lights as they shine; on the appliance, where paneld drives them, as it draws them from the same words."""
    panel = snapshot["panel"]
    lit: Mapping[str, bool] = panel["leds"] or {
        "led_ocpp": panel["ocpp_link"],
        "led_modbus": panel["modbus_traffic"],
        "led_feedback_red": snapshot["gateway"]["state"] == "configuration_error",
        "led_feedback_green": snapshot["gateway"]["state"] == "running",
        "led_button": True,
    }
    red, green = lit["led_feedback_red"], lit["led_feedback_green"]
    word = {(True, True): _("red and green"), (True, False): _("red"), (False, True): _("green")}.get(
        (red, green), _("dark")
    )
    return [
        Led(_("LED 1 OCPP"), "green", lit["led_ocpp"], _lit(lit["led_ocpp"])),
        Led(_("LED 2 Modbus"), "green", lit["led_modbus"], _lit(lit["led_modbus"])),
        Led(_("Feedback"), "red" if red else "green", red or green, word),
        Led(_("Button"), "green", lit["led_button"], _lit(lit["led_button"])),
    ]


def _lit(lit: bool) -> str:
    return _("lit") if lit else _("dark")


def gateway_state(snapshot: Snapshot) -> State:
    """What the register `state` says."""
    return states.GATEWAY.get(snapshot["gateway"]["state"]) or State("warn", "warning", snapshot["gateway"]["state"])


def find(snapshot: Snapshot, number: int) -> Mapping[str, Any] | None:
    """One charge point of the snapshot, by its number."""
    all_: Sequence[Mapping[str, Any]] = snapshot["charge_points"]
    return next((one for one in all_ if one["number"] == number), None)
