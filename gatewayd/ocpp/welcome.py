"""Tags that a central system accepted lately, so that a transaction may start with them while it cannot be asked, pure
(ocpp.md, Bridge)."""

from __future__ import annotations

from dataclasses import dataclass, field

from gatewayd.ocpp import frames, schema, schema_core

AUTHORIZE, REMOTE_START = "Authorize", "RemoteStartTransaction"
WELCOME_S = 300.0
"""A tag that the central system accepted may start a transaction so much later, though it cannot be asked then."""


@dataclass(slots=True)
class Welcome:
    """Of one charge point."""

    _until: dict[str, float] = field(default_factory=dict)
    """Tag → until when a transaction may start with it, monotonic."""

    def until(self, tag: str, now: float) -> float:
        """When it ends that this tag may start something; `now` where it may not."""
        return self._until.get(tag.casefold(), now)

    def answered(self, call: frames.Call, answer: frames.CallResult, now: float) -> None:
        """The central system answered an Authorize."""
        try:
            request = schema.decode_request(AUTHORIZE, call.payload)
            decided = schema.decode_answer(AUTHORIZE, answer.payload)
        except schema.PayloadError:
            return
        assert isinstance(request, schema_core.Authorize)
        assert isinstance(decided, schema_core.AuthorizeAnswer)
        if decided.idTagInfo.status == "Accepted":
            self._add(request.idTag, now)

    def starts(self, call: frames.Call, now: float) -> None:
        """The central system has something started with a tag."""
        try:
            request = schema.decode_request(REMOTE_START, call.payload)
        except schema.PayloadError:
            return
        assert isinstance(request, schema_core.RemoteStartTransaction)
        self._add(request.idTag, now)

    def _add(self, tag: str, now: float) -> None:
        self._until = {each: until for each, until in self._until.items() if until > now}
        self._until[tag.casefold()] = now + WELCOME_S
