"""The list mailbox: the BMS edits the gateway's list, sends it to charge points, reads it (modbus.md, Local list)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gatewayd.site.codes import CommandError, CommandState
from gatewayd.site.mailbox_fields import Fields, number
from gatewayd.site.owner import Ownership

if TYPE_CHECKING:
    from gatewayd.site.model import BankRecords

LIST_REGISTERS = 29
"""`list_operation` .. `list_commit` of the gateway block."""


@dataclass(eq=False, slots=True)
class ListMailbox:
    """`list_*` of the gateway block."""

    registers: bytearray = field(default_factory=lambda: bytearray(2 * LIST_REGISTERS))
    owner: Ownership = field(default_factory=Ownership)
    ack: int = 0
    state: int = 0
    result: int = 0
    error: int = 0


def commit_list(bank: BankRecords, fields: Fields) -> None:
    """`list_commit` was written."""
    mailbox = bank.site.list_mailbox
    sequence = number(fields, "list_commit")
    if sequence in (0, mailbox.ack):
        return
    mailbox.ack = sequence
    mailbox.state, mailbox.error = CommandState.failed, CommandError.not_supported
    bank.site.touch()
