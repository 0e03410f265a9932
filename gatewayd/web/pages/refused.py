"""Why does it not connect? Who was turned away, as a person reads it, and the test of one charge point. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatewayd.web.pages import moment
from gatewayd.web.pages.language import _
from gatewayd.web.pages.seen import Snapshot


@dataclass(frozen=True, slots=True)
class Refused:
    """One who was turned away. `adopt` is the identity that one click configures, or empty."""

    key: str
    who: str
    when: str
    count: int
    why: str
    remedy: str
    address: str
    status: int
    cause: str
    adopt: str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold for a charge point to work, and whether it does."""

    tone: str
    shape: str
    word: str
    text: str


def refusals(snapshot: Snapshot) -> list[Refused]:
    """The newest first."""
    now = float(snapshot["time"])
    knocking = {one["identity"] for one in snapshot["knocking"]}
    return [_refused(one, now, knocking) for one in snapshot["refusals"]]


def _refused(one: Mapping[str, Any], now: float, knocking: set[str]) -> Refused:
    identity, address = one["identity"], one["address"]
    told = "\n".join((one["cause"], identity, address, one["why"]))
    return Refused(
        key=hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:12],  # stays with the row while it is shown
        who=identity or address or _("Somebody"),
        when=_("%(ago)s ago", ago=moment.span(now - one["last"])),
        count=one["count"],
        why=one["why"],
        remedy=one["remedy"],
        address=address,
        status=one["status"],
        cause=one["cause"],
        adopt=identity if one["cause"] == "unknown_identity" and identity in knocking else "",
    )


GOOD, BAD, OPEN = ("good", "good"), ("bad", "bad"), ("off", "waiting")


def checks(snapshot: Snapshot, charge_point: Mapping[str, Any]) -> list[Check]:
    """Link, registration, status, metering, limits: in the order in which they come to be."""
    now = float(snapshot["time"])
    linked = charge_point["link"] in ("open", "pending", "accepted")
    places = charge_point["connectors"]
    last = next((one for one in snapshot["refusals"] if one["identity"] == charge_point["identity"]), None)
    found = [
        Check(*GOOD, _("Connected"), _("from %(address)s, round trip %(ms)s ms", address=charge_point["address"] or "?",
                                        ms=_figure(charge_point["round_trip_ms"])))
        if linked
        else Check(*BAD, _("Not connected"), f"{last['why']} {last['remedy']}" if last else
                   _("It has not dialled. Enter the address beside in it, and look at the cable."))
    ]  # fmt: skip
    if not linked:
        return found
    accepted = charge_point["link"] == "accepted"
    found.append(
        Check(*GOOD, _("Registered"), _("its BootNotification was accepted")) if accepted
        else Check(*OPEN, _("Not registered"), _("it has sent no BootNotification that was accepted"))
    )  # fmt: skip
    heard = moment.ago(charge_point["last_message"], now)
    found.append(Check(*(BAD if charge_point["silent"] else GOOD), _("Heard"), _("last message: %(ago)s", ago=heard)))
    known = [one for one in places if one["status"] != "unknown"]
    found.append(
        Check(*(GOOD if len(known) == len(places) else OPEN), _("Status"),
              _("%(known)s of %(all)s connectors have said theirs", known=len(known), all=len(places)))
    )  # fmt: skip
    metered = [one for one in places if one["energy_wh"] is not None]
    found.append(
        Check(*(GOOD if metered else OPEN), _("Meter"),
              _("%(known)s of %(all)s connectors measure", known=len(metered), all=len(places)))
    )  # fmt: skip
    if charge_point["clock_bad"]:
        found.append(Check(*BAD, _("Clock"), _("its clock is wrong: it should take the time from the gateway")))
    results = sorted({one["limit_result"] for one in places} - {"none"})
    if results:
        good = results == ["accepted"]
        found.append(Check(*(GOOD if good else OPEN), _("Limits"), ", ".join(r.replace("_", " ") for r in results)))
    return found


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}"
