"""Certificates of charge points, as far as the site must know: who signs them, and how that may fail. No I/O."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class UnusableRequest(ValueError):
    """A certificate signing request that will not be signed; the message says why."""


class Signed(NamedTuple):
    """A signed certificate."""

    chain: str
    """It and its authority's as PEM, its own first."""
    until: int
    """When it ends, epoch seconds."""


class Signer(Protocol):
    """The gateway's own authority."""

    def check(self, request: str, identity: str) -> None:
        """Raises UnusableRequest for a request (PEM) that cannot be signed for this identity."""

    def sign(self, request: str, identity: str, epoch: float) -> Signed:
        """Raises UnusableRequest."""
