"""What is the matter, as a shape, a word and a tone: never by colour alone. Pure; names are those of the snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gatewayd.web.pages.language import _


@dataclass(frozen=True, slots=True)
class State:
    """`tone` is good, busy, warn, bad or off; `shape` the name of an icon."""

    tone: str
    shape: str
    word: str


CONNECTOR: Final[Mapping[str, State]] = {
    "Available": State("good", "good", _("Available")),
    "Preparing": State("busy", "waiting", _("Preparing")),
    "Charging": State("busy", "charging", _("Charging")),
    "SuspendedEVSE": State("warn", "paused", _("Paused by the charge point")),
    "SuspendedEV": State("busy", "paused", _("Paused by the vehicle")),
    "Finishing": State("busy", "waiting", _("Finishing")),
    "Reserved": State("busy", "time", _("Reserved")),
    "Unavailable": State("warn", "off", _("Out of service")),
    "Faulted": State("bad", "bad", _("Faulted")),
    "unknown": State("off", "off", _("Not known yet")),
}
"""By the status of OCPP. What a charge point says beyond it is shown as it came."""

LINK: Final[Mapping[str, State]] = {
    "never": State("off", "off", _("Has not dialled yet")),
    "lost": State("bad", "bad", _("Offline")),
    "open": State("busy", "waiting", _("Connected, not registered yet")),
    "pending": State("busy", "waiting", _("Registration pending")),
    "rejected": State("bad", "bad", _("Registration rejected")),
    "accepted": State("good", "good", _("Connected")),
}

GATEWAY: Final[Mapping[str, State]] = {
    "booting": State("busy", "waiting", _("Starting")),
    "running": State("good", "good", _("Running")),
    "configuration_error": State("bad", "bad", _("The configuration file is refused")),
    "degraded": State("warn", "warning", _("Needs attention")),
}

FAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "configuration": (
        _("The configuration file has faults."),
        _("The one before it stays in force. Correct the file, or save any page of settings."),
    ),
    "disk": (
        _("The disk is full or failing."),
        _("Charging is controlled on. Transactions are kept in memory until it heals: do not switch the gateway off."),
    ),
    "ledger": (_("The record of transactions cannot be written."), _("See the log; the disk may be full or worn.")),
    "modbus_rtu": (
        _("The serial line cannot be opened."),
        _("Look at [modbus.rtu] device, and whether another program has it."),
    ),
    "authority": (_("The gateway's own authority cannot be used."), _("See the log; without it there is no TLS.")),
    "certificate": (
        _("Charge points cannot see the certificate that is configured."),
        _("Look under Security; the one before it stays in use."),
    ),
    "certificate_expires": (
        _("The certificate of your own authority ends soon, or has ended."),
        _("Under Security: have the request signed once more, and bring the new one. Nobody renews it by itself."),
    ),
    "page_certificate": (_("This page's certificate cannot be renewed."), _("See the log for the reason.")),
    "sockets": (_("A socket for programs beside the daemon could not be made."), _("See the log for the reason.")),
}
"""By the name of the fault: what it is, and what to do."""


def of_connector(connector: Mapping[str, Any], charge_point: Mapping[str, Any]) -> State:
    """What a connector does; while its charge point is away, that it is not known."""
    if charge_point["link"] in ("never",):
        return CONNECTOR["unknown"]
    status = str(connector["status"])
    known = CONNECTOR.get(status) or State("warn", "warning", status)
    if charge_point["link"] == "lost":
        return State("off", "off", _("%(word)s when last heard", word=known.word))
    return known


def of_charge_point(charge_point: Mapping[str, Any]) -> State:
    """How its link is. A simulated one says so."""
    if not charge_point["allowed"]:
        return State("warn", "off", _("Not allowed"))
    state = LINK.get(str(charge_point["link"])) or State("warn", "warning", str(charge_point["link"]))
    if charge_point["link"] == "accepted" and charge_point["silent"]:
        return State("warn", "warning", _("Connected, but silent"))
    if charge_point["simulated"] and state.tone == "good":
        return State("busy", "good", _("Simulated"))
    return state
