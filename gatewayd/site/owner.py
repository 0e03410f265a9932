"""Whose turn it is to fill a mailbox (modbus.md, Types: mailboxes)."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

QUIET_S = 2.0
"""A client that began to fill a mailbox and is quiet this long has lost it."""


@dataclass(slots=True)
class Ownership:
    """A mailbox belongs to the client that began to fill it until it commits, closes, or is quiet for 2 s."""

    client: Hashable | None = None
    since: float = 0.0

    def may_write(self, client: Hashable, now: float) -> bool:
        return self.client is None or self.client == client or now - self.since >= QUIET_S

    def take(self, client: Hashable, now: float) -> None:
        self.client, self.since = client, now

    def release(self) -> None:
        self.client = None
