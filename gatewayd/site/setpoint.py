"""What a written setpoint or trigger does (modbus.md, Types: setpoints and triggers; its table: RW and W).

Each function is the action of one row of the table. Values were checked before; nothing here can refuse.
"""

from __future__ import annotations

from collections.abc import Callable

from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import CommandCode, CommandState, TriggerCode
from gatewayd.site.command import Command, Report, Trigger
from gatewayd.site.connector import Connector

POLICY_VIOLATION = 1008
"""WebSocket close code for a charge point that is no longer allowed (ocpp.md, Who may connect)."""


class TriggerOrigin:
    """Shows the steps of a trigger or setpoint in `trigger_*` of its block.

    One trigger may take several Calls (`refresh`): it is done when the last one is, failed when the first one fails.
    """

    def __init__(self, connector: Connector, calls: int = 1, then: Callable[[Report], None] | None = None) -> None:
        self._connector, self._left, self._then = connector, calls, then
        self._failed = False

    def report(self, command: Command, report: Report, now: float) -> None:
        if self._failed:
            return
        self._left -= report.final
        self._failed = report.state is CommandState.failed
        if report.state is CommandState.done and self._left:
            return
        self._connector.outcome.show(command.code, report)
        self._connector.touch()
        if self._then is not None and report.final:
            self._then(report)


def fires(connector: Connector, name: str, value: int) -> bool:
    """Whether a 1 written to this trigger acts, or is one that a PLC keeps writing."""
    site = connector.charge_point.bank.site
    trigger = connector.triggers.setdefault(name, Trigger())
    return trigger.fires(value, site.now, every_write=site.notify_always)


def command_trigger(name: str, code: CommandCode, *messages: TriggerCode) -> Callable[[Connector, int], None]:
    """The action of a trigger register: one Call of `code`, or one TriggerMessage for each of `messages`."""

    def act(connector: Connector, value: int) -> None:
        if not fires(connector, name, value):
            return
        charge_point, now = connector.charge_point, connector.charge_point.bank.site.now
        origin = TriggerOrigin(connector, max(1, len(messages)))
        for message in messages or (0,):
            command = Command(code, origin, connector.number, slot=f"{connector.number}/{name}/{message}")
            if message:
                command.p1 = message
            charge_point.offer(command, now)

    return act


def write_start(connector: Connector, value: int) -> None:
    """RemoteStartTransaction with `start_id_tag`, or the charge point's default tag where that is blank."""
    if not fires(connector, "start", value):
        return
    command = Command(
        CommandCode.RemoteStartTransaction,
        TriggerOrigin(connector),
        connector.number,
        id_tag=connector.start_id_tag,
        slot=f"{connector.number}/start",
    )
    connector.charge_point.offer(command, connector.charge_point.bank.site.now)


def write_operative(connector: Connector, value: int) -> None:
    """ChangeAvailability; again with the same value when the last sending failed."""
    site = connector.charge_point.bank.site
    if value == connector.operative and connector.operative_sent_ok and not site.notify_always:
        return
    connector.operative = value
    connector.operative_sent_ok = True
    connector.touch()
    if value and connector.withheld:
        return  # the watchdog holds it inoperative, and gives it back when it is released

    def concluded(report: Report) -> None:
        connector.operative_sent_ok = report.state is CommandState.done

    command = Command(
        CommandCode.ChangeAvailability,
        TriggerOrigin(connector, then=concluded),
        connector.number,
        p1=value,
        slot=f"{connector.number}/operative",
    )
    connector.charge_point.offer(command, site.now)


def write_allowed(charge_point: ChargePoint, value: int) -> None:
    """0 refuses the connection, and closes a live one."""
    charge_point.allowed = value
    charge_point.touch()
    if not value and charge_point.link is not None:
        charge_point.link.close(POLICY_VIOLATION, "not allowed")


def write_start_id_tag(connector: Connector, value: str) -> None:
    connector.start_id_tag = value
    connector.touch()
