"""Connectors that the gateway itself withholds from use, and gives back as `operative` was written: while the
watchdog is tripped with `watchdog_action` = inoperative (modbus.md, Watchdog), or where 0 A is refused (quirk S3)."""

from __future__ import annotations

from dataclasses import dataclass

from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import CommandCode, CommandState, Result, WatchdogAction, WatchdogState
from gatewayd.site.command import Command, Report
from gatewayd.site.connector import Connector
from gatewayd.site.kept import keep
from gatewayd.site.limit_strategy import ZeroRefused

RETRY_S = 60.0
"""Pause before a ChangeAvailability that failed is tried again."""
DONE = (Result.Accepted, Result.Scheduled)


def registered(cp: ChargePoint, now: float) -> None:
    """Some models become available only when they are told so at every connection (quirk S10)."""
    if cp.quirk_profile.availability_on_connect and not cp.watched_only:
        cp.offer(Command(CommandCode.ChangeAvailability, _Unheard(), p1=cp.whole.operative, slot="own/operative"), now)


class _Unheard:
    """The outcome changes nothing."""

    def report(self, command: Command, report: Report, now: float) -> None:
        pass


def to_withhold(connector: Connector) -> bool:
    """Whether it must not be used now, although it was written operative."""
    cp, site = connector.charge_point, connector.charge_point.bank.site
    tripped = site.watchdog_state == WatchdogState.tripped and site.watchdog_action == WatchdogAction.inoperative
    zero = connector.limit.zero_refused and cp.limit_strategy.when_zero_refused is ZeroRefused.inoperative
    return bool(connector.operative) and (tripped or zero)


def enforce(connector: Connector, now: float) -> None:
    """Tell the charge point if that changed; one ChangeAvailability at a time."""
    withhold = to_withhold(connector)
    if withhold == bool(connector.withheld) or connector.withholding or not connector.charge_point.registered:
        return
    if connector.charge_point.watched_only:
        return
    if not withhold and not connector.operative:
        _note(connector, False)  # the BMS wants it inoperative itself meanwhile
        return
    connector.withholding = True
    connector.charge_point.offer(
        Command(CommandCode.ChangeAvailability, _Told(connector, withhold), connector.number, p1=int(not withhold)),
        now,
    )


def _note(connector: Connector, withheld: bool) -> None:
    connector.withheld = int(withheld)
    keep(connector)


@dataclass(slots=True)
class _Told:
    """The origin of our own ChangeAvailability; `trigger_*` is for what the BMS asks."""

    connector: Connector
    withhold: bool

    def report(self, command: Command, report: Report, now: float) -> None:
        if not report.final:
            return
        connector = self.connector
        connector.withholding = False
        if report.state is CommandState.done and report.result in DONE:
            _note(connector, self.withhold)
            enforce(connector, now)
        else:
            connector.charge_point.bank.site.agenda.at(now + RETRY_S, lambda then: enforce(connector, then))
