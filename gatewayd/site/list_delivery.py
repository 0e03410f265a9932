"""The gateway's list on its way to one charge point, in pieces that it takes (modbus.md, Local list).

A list is sent Full, or as the Differential since the one that the charge point accepted last; who is not known to
hold one of ours gets it Full. OCPP 1.6, 5.15: of several pieces the first is Full and the others add to it. Each piece
has a version of its own and the last one that of the list, because a Differential that is not newer than what the
charge point has is refused as VersionMismatch (7.43). A refused Differential is followed by the Full list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from gatewayd.site.capability import SEND_LIST_MAX_LENGTH, learn
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import CommandCode, CommandError, CommandState, Result
from gatewayd.site.command import Command, Report, failed
from gatewayd.site.tag_list import Changes, Held, Tag

PIECE_DEFAULT = 10
"""Entries per message where the charge point does not say: below 2 KiB of text, which small ones take."""
PIECE_MAX = 1000
"""Entries per message whatever it says: below 256 KiB of text, the size that our own listener takes."""
RETRIED_IN_FULL = frozenset({Result.VersionMismatch, Result.Failed})
"""Refusals of a Differential after which OCPP 1.6, 5.15 wants the full list sent."""


class SendList(Struct, frozen=True):
    """Wanted: the charge point's list has this version, and these changes or, if `full`, these entries alone."""

    version: int
    full: bool
    changes: Changes


def pieces(changes: Changes, size: int) -> list[Changes]:
    """The same in pieces of at most `size` entries; what is deleted comes last."""
    entries: Sequence[Tag | str] = (*changes.puts, *changes.deletes)
    return [
        Changes(
            tuple(entry for entry in entries[at : at + size] if isinstance(entry, Tag)),
            tuple(entry for entry in entries[at : at + size] if isinstance(entry, str)),
        )
        for at in range(0, len(entries), size)
    ]


class Delivery:
    """One sending to one charge point; `on_report` hears of queued, sent, and exactly one outcome."""

    def __init__(
        self, charge_point: ChargePoint, on_report: Callable[[Report], None], *, full: bool, version: int
    ) -> None:
        """`version` is what the list is to be called there; 0: the gateway chooses."""
        self._cp, self._site = charge_point, charge_point.bank.site
        self._on_report = on_report
        self._full, self._version = full, version
        self._waiting: list[SendList] = []
        self._edit = 0

    def start(self, now: float) -> None:
        """Begin; asks for the size of a piece first where that matters and is not known."""
        changes = self._changes()
        entries = len(changes.puts) + len(changes.deletes)
        if entries > 1 and self._cp.send_list_max_length is None and self._cp.quirk_profile.own_questions:
            command = Command(CommandCode.GetConfiguration, _Asking(self), key=SEND_LIST_MAX_LENGTH.name)
            self._cp.offer(command, now)
        else:
            self._send(now)

    def asked(self, value: str, now: float) -> None:
        """The charge point said how many entries a piece may have, or nothing of use."""
        learn(self._cp, SEND_LIST_MAX_LENGTH, value)
        if self._cp.send_list_max_length is None:
            self._cp.send_list_max_length = PIECE_DEFAULT  # asked once
        self._send(now)

    def _changes(self) -> Changes:
        """What is to be sent now; everything, and `_full`, where the charge point's list is not one of ours."""
        held, tags = self._cp.held_list, self._site.tags
        if not self._full and held is not None and held.version == self._cp.list_version:
            since = tags.changes_since(held.edit)
            if since is not None:
                return since
        self._full = True
        return Changes(tuple(tags.entries.values()))

    def _send(self, now: float) -> None:
        """Cut what is to be sent now into pieces, number them, and send the first."""
        changes, tags = self._changes(), self._site.tags
        size = min(self._cp.send_list_max_length or PIECE_DEFAULT, PIECE_MAX)
        cut = pieces(changes, size)
        before = 0 if self._full else (self._cp.list_version or 0)
        if not cut and not self._full and self._version in (0, before):
            self._on_report(Report(CommandState.done, Result.Accepted))  # it has this list
            return
        cut = cut or [Changes()]
        last = self._version or max(tags.version, before + len(cut))
        if last - len(cut) < before and not self._full:
            self._full = True
            self._send(now)
            return
        if last < len(cut):
            self._on_report(failed(CommandError.bad_parameter))
            return
        tags.reach(last, self._site.journal)
        first = last - len(cut) + 1
        self._edit = tags.edit
        self._waiting = [SendList(first + i, self._full and i == 0, piece) for i, piece in enumerate(cut)]
        self._next(now)

    def _next(self, now: float) -> None:
        self._cp.held_list = None  # what it holds is not known before the last piece is accepted
        wanted = self._waiting[0]
        command = Command(CommandCode.none, self, payload=wanted, durable=self._site.journal.written)
        self._cp.offer(command, now)

    def report(self, command: Command, report: Report, now: float) -> None:
        """A piece was queued, sent, answered or failed."""
        if not report.final:
            self._on_report(report)
            return
        taken = self._waiting.pop(0)
        if report.result == Result.Accepted:
            self._cp.list_version = taken.version
            self._cp.touch()
            if self._waiting:
                self._next(now)
                return
            self._cp.held_list = Held(taken.version, self._edit)
        elif report.result in RETRIED_IN_FULL and not self._full:
            self._full = True
            self._send(now)
            return
        self._on_report(report)


class _Asking(Struct, frozen=True):
    """Hears what SendLocalListMaxLength is."""

    delivery: Delivery

    def report(self, command: Command, report: Report, now: float) -> None:
        if report.final:
            self.delivery.asked(report.text if report.result == Result.Accepted else "", now)
