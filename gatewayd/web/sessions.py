"""Who is signed in: tokens of 256 bits, of which webd keeps only the hash, and the secret that its forms prove.

Sessions live in memory: after a restart of webd everybody signs in again. Pure but for the random numbers; time comes
in, monotonic seconds.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final

TOKEN_BYTES: Final = 32
"""Twice the 128 bits of promises, R26."""
IDLE_S: Final = 30 * 60.0
"""Somebody who reads a screen in a plant room comes back within half an hour; a page that looks for news by itself
counts as somebody."""
LONGEST_S: Final = 12 * 3600.0
"""A working day; then the password is asked again, however busy the session was."""
SESSIONS_MAX: Final = 128
"""Four for each user there may be; the one that was quiet longest goes."""
SECRET_BYTES: Final = 32


@dataclass(slots=True)
class Session:
    """One browser that signed in, or one program."""

    user: str
    since: float
    seen: float
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(SECRET_BYTES), repr=False)

    def proof(self) -> str:
        """What a form of ours brings along. Another text each time, so that compressed pages do not give it away."""
        pad = secrets.token_bytes(SECRET_BYTES)
        return base64.urlsafe_b64encode(pad + _xor(pad, self.secret)).decode()

    def is_proof(self, given: str) -> bool:
        """Whether a page of this session made it."""
        try:
            raw = base64.urlsafe_b64decode(given.encode("ascii"))
        except ValueError:
            return False
        if len(raw) != 2 * SECRET_BYTES:
            return False
        return hmac.compare_digest(_xor(raw[:SECRET_BYTES], raw[SECRET_BYTES:]), self.secret)


class Sessions:
    """All of them, by the hash of their token."""

    def __init__(self) -> None:
        self._sessions: dict[bytes, Session] = {}

    def begin(self, user: str, now: float) -> tuple[str, Session]:
        """A new session and its token, which is told this once."""
        self._forget_old(now)
        if len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].seen)]
        token = secrets.token_urlsafe(TOKEN_BYTES)
        session = self._sessions[_key(token)] = Session(user, now, now)
        return token, session

    def find(self, token: str, now: float) -> Session | None:
        """The session of a token, if it is not over."""
        key = _key(token)
        session = self._sessions.get(key)
        if session is None:
            return None
        if _over(session, now):
            del self._sessions[key]
            return None
        session.seen = now
        return session

    def lasts(self, session: Session, now: float) -> bool:
        """Whether it is still one of them."""
        return any(each is session for each in self._sessions.values()) and not _over(session, now)

    def end(self, token: str) -> None:
        """Signed out."""
        self._sessions.pop(_key(token), None)

    def end_all(self, user: str, but: Session | None = None) -> None:
        """A user whose password or role changed, or who is gone, signs in again; `but` is who changed it."""
        self._sessions = {key: each for key, each in self._sessions.items() if each.user != user or each is but}

    def end_everybody(self) -> None:
        """Everybody signs in again: the users are other ones."""
        self._sessions.clear()

    def _forget_old(self, now: float) -> None:
        self._sessions = {key: each for key, each in self._sessions.items() if not _over(each, now)}


def _over(session: Session, now: float) -> bool:
    return now - session.seen > IDLE_S or now - session.since > LONGEST_S


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
