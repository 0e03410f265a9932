"""Passwords of HTTP Basic: who knows one, and who has to wait (ocpp.md, Password; promises, R26)."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from gatewayd.ocpp import handshake
from gatewayd.ocpp.handshake import Refused
from gatewayd.ocpp.lockout import Lockout, household
from gatewayd.site.refusal import Cause

HASHINGS = 1
"""Argon2 at a time: each takes as many MiB as its hash says, by default 64."""


class Passwords:
    """Judges what callers bring. Nobody guesses faster by guessing in parallel, from many addresses, or by asking for
    what is known already; nobody else has to wait for it."""

    def __init__(self) -> None:
        self._addresses, self._identities = Lockout(), Lockout()
        self._homes: dict[str, str] = {}
        """Identity → where it last knew its password: others' guesses do not lock it out there."""
        self._known: dict[str, bytes] = {}
        """Identity → keyed hash of its configured password and what was found to fit it: argon2 need not say it again
        when twenty charge points come back at once."""
        self._secret = secrets.token_bytes(32)
        self._queues: dict[str, trio.Lock] = {}
        self._hashing = trio.CapacityLimiter(HASHINGS)

    async def check(self, identity: str, configured: str, authorization: bytes, address: str) -> None:
        """Raises Refused: 401 for a missing or wrong password, 429 for who guesses too often."""
        place = household(address)
        async with self._in_turn(place):
            self._wait(identity, place)
            given = handshake.credentials(authorization)
            if given is None:
                why = "it sends no password" if not authorization else "what it sends as password cannot be read"
                raise _unauthorized(Cause.no_password, why, identity)
            user, password = given
            if not handshake.is_user(identity, user):
                why = "the user of HTTP Basic is not its identity"
            elif await self._fits(identity, configured, password):
                self._homes[identity] = place
                return
            else:
                why = "its password is wrong"
            now = trio.current_time()
            self._addresses.note_wrong(place, now)
            self._identities.note_wrong(identity, now)
            raise _unauthorized(Cause.wrong_password, why, identity)

    def _wait(self, identity: str, place: str) -> None:
        now = trio.current_time()
        if (wait_s := self._addresses.wait_s(place, now)) > 0:
            why = "too many wrong passwords from this address"
        elif self._homes.get(identity) != place and (wait_s := self._identities.wait_s(identity, now)) > 0:
            why = "too many wrong passwords for this identity"
        else:
            return
        raise Refused(Cause.locked_out, why, f"Retry-After: {math.ceil(wait_s)}", identity=identity)

    async def _fits(self, identity: str, configured: str, password: bytes) -> bool:
        if not configured.startswith(handshake.HASHED):
            return handshake.password_is_right(configured, password)
        mark = hashlib.blake2b(configured.encode() + b"\0" + password, key=self._secret, digest_size=32).digest()
        if hmac.compare_digest(self._known.get(identity, b""), mark):
            return True
        judge = handshake.password_is_right
        if await trio.to_thread.run_sync(judge, configured, password, limiter=self._hashing):
            self._known[identity] = mark
            return True
        return False

    @asynccontextmanager
    async def _in_turn(self, place: str) -> AsyncIterator[None]:
        """One after the other from the same place."""
        queue = self._queues.setdefault(place, trio.Lock())
        try:
            async with queue:
                yield
        finally:
            if not queue.statistics().tasks_waiting and not queue.locked():
                self._queues.pop(place, None)


def _unauthorized(cause: Cause, why: str, identity: str) -> Refused:
    return Refused(cause, why, 'WWW-Authenticate: Basic realm="ocpp"', identity=identity)
