"""TriggerMessages that the gateway sends of its own accord, never the BMS's (ocpp.md, Calls; quirks B1, C7, C9).

A charge point that came back without a BootNotification is asked for one, once; and, where the gateway was started
anew, for the statuses that it said before and will not say again. Of these each message waits its time, whatever
links come and go: too many of them block some charge points for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import CommandCode, Status, TriggerCode
from gatewayd.site.command import Command, Report

PAUSE_S = 30.0
"""Between two of the same message."""
CALM_S = 15.0
"""From a message that nobody could read to the question; what comes meanwhile asks for no more."""


def came_back(cp: ChargePoint, now: float) -> None:
    """It is registered, without a BootNotification."""
    if not cp.booted:
        cp.booted = True  # asked once per charge point
        _trigger(cp, TriggerCode.BootNotification, now, lambda: True)
    if cp.quirk_profile.own_questions:
        _trigger(cp, TriggerCode.StatusNotification, now, lambda: _unknown(cp))


def ask_unknown_statuses(cp: ChargePoint, now: float) -> None:
    """It should have said them when it came, and what it said was lost, or asked for at a bad moment."""
    if cp.quirk_profile.own_questions:
        _trigger(cp, TriggerCode.StatusNotification, now, lambda: _unknown(cp))


def unreadable(cp: ChargePoint, now: float) -> None:
    """It said something that nobody could read. It may have been a status, which a charge point says once: it is asked
    for them a little later. (Not one that answers nothing: three Calls without an answer would close its link.)"""
    waiting = cp.triggers_due.get(TriggerCode.StatusNotification)
    if cp.quirk_profile.own_questions and not (waiting is not None and waiting.waiting):
        cp.triggers_due[TriggerCode.StatusNotification] = cp.bank.site.agenda.at(
            now + CALM_S, lambda then: _trigger(cp, TriggerCode.StatusNotification, then, lambda: True)
        )


def _unknown(cp: ChargePoint) -> bool:
    return any(connector.status == Status.unknown for connector in cp.real_connectors)


def _trigger(cp: ChargePoint, message: TriggerCode, now: float, wanted: Callable[[], bool]) -> None:
    if not cp.quirk_profile.own_triggers or not wanted():
        return
    waiting = cp.triggers_due.get(message)
    if waiting is not None and waiting.waiting:
        return
    earliest = cp.triggered_at.get(message, -inf) + PAUSE_S
    if now < earliest:
        agenda = cp.bank.site.agenda
        cp.triggers_due[message] = agenda.at(earliest, lambda then: _trigger(cp, message, then, wanted))
    elif cp.registered:
        cp.triggered_at[message] = now
        cp.offer(Command(CommandCode.TriggerMessage, QUIET, p1=message, slot=f"own/{message.name}"), now)


class _Quiet:
    """The gateway's own Calls: nobody is told."""

    def report(self, command: Command, report: Report, now: float) -> None:
        pass


QUIET = _Quiet()
