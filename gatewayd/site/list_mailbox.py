"""The list mailbox: the BMS edits the gateway's list, sends it to charge points, reads it (modbus.md, Local list).

Edits and reading are done at once; a sending is done when the last charge point has answered. Sent to all, the
outcome is one: done only if all accepted, else the first that did not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gatewayd.site.codes import Authorization, CommandError, CommandState, ListOperation, Result
from gatewayd.site.command import Report, failed
from gatewayd.site.journal import SaveFact
from gatewayd.site.list_delivery import Delivery
from gatewayd.site.mailbox_fields import BadFields, Fields, expect, number, text
from gatewayd.site.owner import Ownership
from gatewayd.site.tag_list import VERSION_MAX, Tag

if TYPE_CHECKING:
    from gatewayd.site.model import BankRecords, Site

LIST_REGISTERS = 29
"""`list_operation` .. `list_commit` of the gateway block."""
TO_ALL = 0
"""`list_charge_point` that means every connected one."""


@dataclass(eq=False, slots=True)
class ListMailbox:
    """`list_*` of the gateway block, the same in every bank."""

    registers: bytearray = field(default_factory=lambda: bytearray(2 * LIST_REGISTERS))
    owner: Ownership = field(default_factory=Ownership)
    ack: int = 0
    state: int = CommandState.idle
    result: int = Result.none
    error: int = CommandError.none
    busy: bool = False
    """A sending is on its way."""

    def show(self, report: Report) -> None:
        """Put a step into the registers; the pieces of one sending do not take it back from sent to queued."""
        if report.state is CommandState.queued and self.state == CommandState.sent and self.busy:
            return
        self.busy = not report.final
        self.state, self.result, self.error = report.state, report.result, report.error


def commit_list(bank: BankRecords, fields: Fields) -> Fields | None:
    """`list_commit` was written. Zero, or the number taken last, does nothing; while a list is being sent the new
    operation is refused as busy with the ack unchanged. Returns the entry read, to be put into the registers."""
    site = bank.site
    mailbox = site.list_mailbox
    sequence = number(fields, "list_commit")
    if sequence in (0, mailbox.ack):
        return None
    site.touch()
    if mailbox.busy:
        mailbox.error = CommandError.busy
        return None
    mailbox.ack = sequence
    site.journal.promise(SaveFact("list_ack", sequence))
    operation = number(fields, "list_operation")
    try:
        if operation in SENDINGS:
            _send(site, fields, full=SENDINGS[operation])
            return None
        if operation not in EDITS:
            return _read(site, fields, operation)
        mailbox.show(EDITS[operation](site, fields))
    except BadFields:
        mailbox.show(failed(CommandError.bad_parameter))
    return None


# --- edits --------------------------------------------------------------------------------------------------------

ACCEPTED = Report(CommandState.done, Result.Accepted)
NOT_FOUND = failed(CommandError.none, Result.NotFound)


def _id_tag(fields: Fields) -> str:
    """Printable ASCII, and not blank."""
    expect(bool(fields["list_id_tag"]), "list_id_tag")
    return text(fields, "list_id_tag")


def _put(site: Site, fields: Fields) -> Report:
    status = number(fields, "list_status")
    expect(Authorization.Accepted <= status <= Authorization.ConcurrentTx, "list_status")
    expect(fields["list_parent_id_tag"] is not None, "list_parent_id_tag")
    tag = Tag(_id_tag(fields), status, number(fields, "list_expiry"), text(fields, "list_parent_id_tag"))
    return ACCEPTED if site.tags.put(tag, site.journal) else failed(CommandError.none, Result.Failed)


def _delete(site: Site, fields: Fields) -> Report:
    return ACCEPTED if site.tags.delete(_id_tag(fields), site.journal) else NOT_FOUND


def _clear(site: Site, fields: Fields) -> Report:
    site.tags.clear(site.journal)
    return ACCEPTED


EDITS: dict[int, Callable[[Site, Fields], Report]] = {
    ListOperation.put: _put,
    ListOperation.delete: _delete,
    ListOperation.clear: _clear,
}


def _read(site: Site, fields: Fields, operation: int) -> Fields | None:
    """The entry at `list_index`, from 0, in the order in which entries were put."""
    expect(operation == ListOperation.read, "list_operation")
    tag = site.tags.at(number(fields, "list_index"))
    site.list_mailbox.show(NOT_FOUND if tag is None else ACCEPTED)
    if tag is None:
        return None
    return {
        "list_id_tag": tag.id_tag,
        "list_parent_id_tag": tag.parent_id_tag,
        "list_status": tag.status,
        "list_expiry": tag.expiry,
    }


# --- sending ------------------------------------------------------------------------------------------------------

SENDINGS: dict[int, bool] = {ListOperation.send_full: True, ListOperation.send_differential: False}
"""Operation → whether it is Full."""


def _send(site: Site, fields: Fields, *, full: bool) -> None:
    version = number(fields, "list_version")
    expect(0 <= version <= VERSION_MAX, "list_version")
    to = number(fields, "list_charge_point")
    if to == TO_ALL:
        receivers = [cp for cp in site.by_number() if cp.connected]
        on_report: Callable[[Report], None] = _Gathering(site, len(receivers)).report
        if not receivers:
            site.list_mailbox.show(failed(CommandError.offline))
            return
    else:
        receivers = [cp for cp in site.by_number() if cp.number == to]
        on_report = _shown(site)
        expect(bool(receivers), "list_charge_point")
    site.list_mailbox.show(Report(CommandState.queued))
    for charge_point in receivers:
        Delivery(charge_point, on_report, full=full, version=version).start(site.now)


def _shown(site: Site) -> Callable[[Report], None]:
    def show(report: Report) -> None:
        site.list_mailbox.show(report)
        site.touch()

    return show


class _Gathering:
    """The reports of several charge points made one."""

    def __init__(self, site: Site, receivers: int) -> None:
        self._show, self._left = _shown(site), receivers
        self._first: Report | None = None
        """The first outcome that was not Accepted."""

    def report(self, report: Report) -> None:
        if not report.final:
            self._show(report)
            return
        self._left -= 1
        if self._first is None and report.result != Result.Accepted:
            self._first = failed(report.error, report.result)
        if not self._left:
            self._show(self._first or ACCEPTED)
