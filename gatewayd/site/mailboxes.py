"""What the committed mailboxes of a charge point do: the values were decoded, here they are judged.

Serves modbus.md, Command mailbox and Decision mailbox. The gateway block's own have modules of theirs:
`profile_mailbox`, `list_mailbox`."""

from __future__ import annotations

from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import CommandCode, CommandError, CommandState, ResponseStatus
from gatewayd.site.command import Command, Report, failed
from gatewayd.site.decision import REMEMBER_FLAG, Verdict
from gatewayd.site.journal import SaveFact
from gatewayd.site.mailbox_fields import Fields, number, text
from gatewayd.site.tag_list import Tag


class MailboxOrigin:
    """Shows the steps of the command mailbox's command in its registers."""

    def __init__(self, charge_point: ChargePoint) -> None:
        self._charge_point = charge_point

    def report(self, command: Command, report: Report, now: float) -> None:
        self._charge_point.mailbox.show(report, now)
        self._charge_point.touch_mailbox()


def commit_command(charge_point: ChargePoint, fields: Fields) -> None:
    """`command_sequence` was written. Zero, or the number taken last, does nothing; while a command runs the
    new one is refused as busy with the ack unchanged, so the same number may be tried again."""
    mailbox, site = charge_point.mailbox, charge_point.bank.site
    sequence = number(fields, "command_sequence")
    if sequence in (0, mailbox.ack):
        return
    if mailbox.busy:
        mailbox.error = CommandError.busy
        charge_point.touch_mailbox()
        return
    mailbox.ack, mailbox.since = sequence, site.now
    durable = site.journal.promise(SaveFact(f"command_ack/{charge_point.number}", sequence))
    code = number(fields, "command_code")
    if code not in CommandCode.__members__.values() or None in fields.values():
        mailbox.show(failed(CommandError.bad_parameter), site.now)
        charge_point.touch_mailbox()
        return
    command = Command(
        CommandCode(code),
        MailboxOrigin(charge_point),
        number(fields, "command_connector"),
        number(fields, "command_p1"),
        number(fields, "command_p2"),
        number(fields, "command_p3"),
        number(fields, "command_t1"),
        text(fields, "command_id_tag"),
        text(fields, "command_parent_id_tag"),
        text(fields, "command_key"),
        text(fields, "command_value"),
        durable=durable,
    )
    mailbox.running = command
    mailbox.show(Report(CommandState.queued), site.now)
    charge_point.touch_mailbox()
    charge_point.offer(command, site.now)


def commit_response(charge_point: ChargePoint, fields: Fields) -> None:
    """`response_sequence` was written: the BMS decided, or confirmed an informative request."""
    site = charge_point.bank.site
    sequence, status = number(fields, "response_sequence"), number(fields, "response_status")
    known = status if status in ResponseStatus.__members__.values() else ResponseStatus.unset
    verdict = Verdict(
        ResponseStatus(known),
        number(fields, "response_expiry"),
        text(fields, "response_parent_id_tag"),
        text(fields, "response_text"),
    )
    answered = charge_point.decisions.respond(sequence, verdict, site.journal)
    remember = number(fields, "response_flags") & REMEMBER_FLAG
    judged = ResponseStatus.Accepted <= verdict.status <= ResponseStatus.ConcurrentTx
    if answered is not None and not answered.informative and remember and answered.id_tag and judged:
        site.tags.put(Tag(answered.id_tag, int(verdict.status), verdict.expiry, verdict.parent_id_tag), site.journal)
        site.touch()
    charge_point.touch()
