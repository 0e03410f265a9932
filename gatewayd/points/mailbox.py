"""Registers that are filled one by one and judged when their sequence is written (modbus.md, Types and mailboxes)."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from gatewayd.points.block import Format, RawArea
from gatewayd.points.charge_point import CHARGE_POINT, COMMAND
from gatewayd.points.gateway import LIST, PROFILE
from gatewayd.points.point import Point, decode, single
from gatewayd.site import mailboxes
from gatewayd.site.list_mailbox import commit_list
from gatewayd.site.mailbox_fields import Fields
from gatewayd.site.owner import Ownership
from gatewayd.site.profile_mailbox import commit_profile


@dataclass(frozen=True, slots=True, eq=False)
class Mailbox:
    """A run of registers of one block that belongs to whoever began to fill it."""

    name: str
    block: str
    first: int
    """Offset in its block (absolute for the gateway block)."""
    registers: int
    points: list[Point]
    """The points judged together, which may lie in several areas of the same mailbox."""
    content: Callable[[Any], bytearray]
    owner: Callable[[Any], Ownership]
    touch: Callable[[Any], None]
    sequence: int | None = None
    """Offset of the register that commits; None in an area that has none of its own."""
    commit: Callable[[Any, Fields], Fields | None] | None = None
    """What the committed values do; returns values that the gateway puts into the mailbox itself, if any."""

    def area(self) -> RawArea:
        inside = range(self.first, self.first + self.registers)
        id_tags = [point for point in self.points if point.id_tag and point.offset in inside]
        return RawArea(self.first, self.registers, self.content, id_tags)

    def fill(self, record: Any, offset: int, data: bytes, client: Hashable, now: float, fmt: Format) -> None:
        """Store registers as they were written; run the mailbox when its sequence is among them."""
        at = 2 * (offset - self.first)
        self.content(record)[at : at + len(data)] = data
        owner = self.owner(record)
        owner.take(client, now)
        self.touch(record)
        if self.sequence is None or not offset <= self.sequence < offset + len(data) // 2:
            return
        owner.release()
        if self.commit is not None:
            answer = self.commit(record, self.fields(record, fmt))
            if answer:
                self._put(record, answer, fmt)

    def _put(self, record: Any, fields: Fields, fmt: Format) -> None:
        """Registers that the gateway fills, as they go on the wire."""
        content = self.content(record)
        for point in self.points:
            if point.name in fields:
                at = 2 * (point.offset - self.first)
                data = fmt.reorder(point, single(point, fields[point.name], ones_complement=fmt.ones_complement))
                content[at : at + len(data)] = data

    def fields(self, record: Any, fmt: Format) -> Fields:
        """All points of the mailbox by name; None for a text that is not printable ASCII."""
        found: dict[str, int | str | None] = {}
        for area in (box for box in MAILBOXES if box.block == self.block and box.points is self.points):
            content = bytes(area.content(record))
            for point in self.points:
                if area.first <= point.offset < area.first + area.registers:
                    at = 2 * (point.offset - area.first)
                    data = fmt.reorder(point, content[at : at + 2 * point.registers])
                    found[point.name] = decode(point, data, ones_complement=fmt.ones_complement)
        return found


def _written(points: list[Point], first: int, last: int) -> list[Point]:
    return [point for point in points if first <= point.offset <= last and point.access == "RW"]


_RESPONSE = [point for point in CHARGE_POINT if point.name.startswith("response_") and point.access == "RW"]

MAILBOXES = [
    Mailbox(
        "profile", "gateway", 2000, 121, _written(PROFILE, 2000, 2120),
        content=lambda bank: bank.profile.registers,
        owner=lambda bank: bank.profile.owner,
        touch=lambda bank: bank.touch(),
        sequence=2120, commit=commit_profile,
    ),
    Mailbox(
        "list", "gateway", 2300, 29, _written(LIST, 2300, 2328),
        content=lambda bank: bank.site.list_mailbox.registers,
        owner=lambda bank: bank.site.list_mailbox.owner,
        touch=lambda bank: bank.site.touch(),
        sequence=2328, commit=commit_list,
    ),
    Mailbox(
        "response", "charge_point", 88, 15, _RESPONSE,
        content=lambda cp: cp.response_registers,
        owner=lambda cp: cp.response_owner,
        touch=lambda cp: cp.touch(),
        sequence=102, commit=mailboxes.commit_response,
    ),
    Mailbox(
        "response_text", "charge_point", 195, 50, _RESPONSE,
        content=lambda cp: cp.response_text_registers,
        owner=lambda cp: cp.response_owner,
        touch=lambda cp: cp.touch(),
    ),
    Mailbox(
        "command", "command", 0, 106, _written(COMMAND, 0, 105),
        content=lambda cp: cp.mailbox.registers,
        owner=lambda cp: cp.mailbox_owner,
        touch=lambda cp: cp.touch_mailbox(),
        sequence=105, commit=mailboxes.commit_command,
    ),
]  # fmt: skip
"""The table of mailboxes."""
