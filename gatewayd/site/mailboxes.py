"""What a committed mailbox does: the values were decoded, here they are judged (modbus.md, mailboxes)."""

from __future__ import annotations

from gatewayd.site.codes import CommandCode, CommandError, CommandState, ResponseStatus
from gatewayd.site.command import Command, Report, failed
from gatewayd.site.decision import REMEMBER_FLAG, Verdict
from gatewayd.site.journal import SaveFact
from gatewayd.site.model import BankRecords, ChargePoint
from gatewayd.site.tag_list import Tag

Fields = dict[str, int | str | None]
"""Points of a mailbox by name; None where a text was not printable ASCII."""


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
    sequence = _number(fields, "command_sequence")
    if sequence in (0, mailbox.ack):
        return
    if mailbox.busy:
        mailbox.error = CommandError.busy
        charge_point.touch_mailbox()
        return
    mailbox.ack, mailbox.since = sequence, site.now
    durable = site.journal.write(SaveFact(f"command_ack/{charge_point.number}", sequence))
    code = _number(fields, "command_code")
    if code not in CommandCode.__members__.values() or None in fields.values():
        mailbox.show(failed(CommandError.bad_parameter), site.now)
        charge_point.touch_mailbox()
        return
    command = Command(
        CommandCode(code),
        MailboxOrigin(charge_point),
        _number(fields, "command_connector"),
        _number(fields, "command_p1"),
        _number(fields, "command_p2"),
        _number(fields, "command_p3"),
        _number(fields, "command_t1"),
        _text(fields, "command_id_tag"),
        _text(fields, "command_parent_id_tag"),
        _text(fields, "command_key"),
        _text(fields, "command_value"),
        durable=durable,
    )
    mailbox.running = command
    mailbox.show(Report(CommandState.queued), site.now)
    charge_point.touch_mailbox()
    charge_point.offer(command, site.now)


def commit_response(charge_point: ChargePoint, fields: Fields) -> None:
    """`response_sequence` was written: the BMS decided, or confirmed an informative request."""
    site = charge_point.bank.site
    sequence, status = _number(fields, "response_sequence"), _number(fields, "response_status")
    known = status if status in ResponseStatus.__members__.values() else ResponseStatus.unset
    verdict = Verdict(
        ResponseStatus(known),
        _number(fields, "response_expiry"),
        _text(fields, "response_parent_id_tag"),
        _text(fields, "response_text"),
    )
    answered = charge_point.decisions.respond(sequence, verdict, site.journal)
    remember = _number(fields, "response_flags") & REMEMBER_FLAG
    if answered is not None and remember and answered.id_tag and verdict.status <= ResponseStatus.ConcurrentTx:
        site.tags.put(Tag(answered.id_tag, int(verdict.status), verdict.expiry, verdict.parent_id_tag), site.journal)
        site.touch()
    charge_point.touch()


def commit_profile(bank: BankRecords, fields: Fields) -> None:
    """`profile_commit` was written."""
    profile = bank.profile
    sequence = _number(fields, "profile_commit")
    if sequence in (0, profile.ack):
        return
    profile.ack = sequence
    profile.state, profile.error = CommandState.failed, CommandError.not_supported
    bank.touch()


def commit_list(bank: BankRecords, fields: Fields) -> None:
    """`list_commit` was written."""
    mailbox = bank.site.list_mailbox
    sequence = _number(fields, "list_commit")
    if sequence in (0, mailbox.ack):
        return
    mailbox.ack = sequence
    mailbox.state, mailbox.error = CommandState.failed, CommandError.not_supported
    bank.site.touch()


def _number(fields: Fields, name: str) -> int:
    value = fields[name]
    return value if isinstance(value, int) else 0


def _text(fields: Fields, name: str) -> str:
    value = fields[name]
    return value if isinstance(value, str) else ""
