"""Certificates of charge points, as far as the site must know: who signs them, and how that may fail. No I/O."""

from __future__ import annotations

from collections.abc import Callable
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
    """The gateway's own authority. It works elsewhere, which takes a moment: `heard` is told later what came of it."""

    def check(self, request: str, identity: str, heard: Callable[[str], None]) -> None:
        """Whether a request (PEM) can be signed for this identity: "", or why not."""

    def sign(self, request: str, identity: str, heard: Callable[[Signed | str], None]) -> None:
        """The certificate, or why there is none."""
