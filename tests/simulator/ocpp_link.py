"""One OCPP-J link: frames over an open WebSocket, one Call open per direction, for either side of the wire.

Written for the simulated peers alone (OCPP-J 1.6, 4.1 and 4.2); the gateway has its own.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from .script import Payload, Rule, Script

CALL, RESULT, ERROR = 2, 3, 4
# How long the peer's Call counts as open when we never answer it: the gateway's own call_timeout_s is 60 s, and a
# peer whose Call has timed out may send the next one. A little less, for the way of the frame.
PEER_CALL_TIMEOUT_S = 59.0
# A device needs a moment for an answer; and only so can a second Call arrive while the first is open.
ANSWER_LATENCY_S = 0.02
# A closing handshake that the peer does not answer is given up after this long.
CLOSE_TIMEOUT_S = 2.0


class LinkLost(Exception):
    """The link went down before the answer came, or is not up."""


class NoAnswer(Exception):
    """The answer did not come in time."""


class CallFailed(Exception):
    """The peer answered with CALLERROR."""

    def __init__(self, code: str, description: str = "", details: Payload | None = None) -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code
        self.description = description
        self.details = details or {}


class Refusal(Exception):
    """Raised by a handler: answer this Call with CALLERROR."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.description = description


@dataclass(slots=True)
class Answer:
    """What a handler makes of a Call: the payload of the result, and what happens once it is on the wire."""

    payload: Payload
    then: Callable[[], None] | None = None


Handler = Callable[[str, Payload], Answer]
Trace = Callable[[str, str], None]  # ("sent" or "received", the text of the frame)


def _no_trace(direction: str, text: str) -> None:
    return None


@dataclass(slots=True)
class _Waiting:
    unique_id: str
    answered: trio.Event
    outcome: Payload | CallFailed | LinkLost | None = None


class Link:
    """`run` serves the peer's Calls until the link is down; `call` asks the peer.

    `violations`: Calls that came while one was open; they are answered with CALLERROR. `strays`: texts that are no
    frame, and answers that match nothing.
    """

    def __init__(
        self,
        socket: WebSocketConnection,
        stream: trio.abc.Stream,
        handler: Handler,
        *,
        script: Script | None = None,
        random: Random | None = None,
        trace: Trace = _no_trace,
        answer_latency_s: float = ANSWER_LATENCY_S,
    ) -> None:
        self.socket = socket
        self.script = script or Script()
        self.violations: list[str] = []
        self.strays: list[str] = []
        self.last_received_at = trio.current_time()
        self._stream = stream
        self._handler = handler
        self._random = random or Random()
        self._trace = trace
        self._answer_latency_s = answer_latency_s
        self._one_call = trio.StrictFIFOLock()
        self._waiting: _Waiting | None = None
        self._open_since: float | None = None
        self._open_id = ""
        self.down = False

    async def run(self) -> None:
        """Serve until the peer or we close; never raises for what the peer does."""
        try:
            async with trio.open_nursery() as nursery:
                with suppress(ConnectionClosed):
                    while True:
                        text = await self.socket.get_message()
                        self.last_received_at = trio.current_time()
                        await self._take(text if isinstance(text, str) else repr(text), nursery)
                nursery.cancel_scope.cancel()
        finally:
            self.down = True
            if self._waiting:
                self._finish(self._waiting, LinkLost())

    async def call(
        self, action: str, payload: Payload, timeout_s: float = 60.0, unique_id: str | None = None
    ) -> Payload:
        """Ask, and wait for the answer. LinkLost, NoAnswer or CallFailed."""
        async with self._one_call:
            waiting = _Waiting(unique_id or str(uuid.UUID(int=self._random.getrandbits(128), version=4)), trio.Event())
            payload = self.script.for_call(action, payload)
            self._waiting = waiting
            try:
                if self.down:
                    raise LinkLost
                with trio.move_on_after(timeout_s):
                    await self.send_raw(json.dumps([CALL, waiting.unique_id, action, payload], separators=(",", ":")))
                    await waiting.answered.wait()
            finally:
                self._waiting = None
        if waiting.outcome is None:
            raise NoAnswer(action)
        if isinstance(waiting.outcome, Exception):
            raise waiting.outcome
        return waiting.outcome

    async def send_raw(self, text: str) -> None:
        """Any text as one frame. LinkLost when the link is down."""
        if self.down:
            raise LinkLost
        self._trace("sent", text)
        try:
            await self.socket.send_message(text)
        except ConnectionClosed:
            raise LinkLost from None

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close with the handshake of WebSocket."""
        with trio.move_on_after(CLOSE_TIMEOUT_S):
            await self.socket.aclose(code, reason)

    async def cut(self) -> None:
        """Drop the transport without a word, as when the cable is pulled and the peer's socket dies."""
        await trio.aclose_forcefully(self._stream)

    async def _take(self, text: str, nursery: trio.Nursery) -> None:
        self._trace("received", text)
        frame = _parse(text)
        if frame is None:
            self.strays.append(text)
        elif frame[0] == CALL:
            await self._take_call(frame[1], frame[2], frame[3], nursery)
        elif self._waiting is None or self._waiting.unique_id != frame[1]:
            self.strays.append(text)
        elif frame[0] == RESULT:
            self._finish(self._waiting, frame[2])
        else:
            self._finish(self._waiting, CallFailed(frame[2], frame[3], frame[4] if len(frame) > 4 else {}))

    async def _take_call(self, unique_id: str, action: str, payload: Payload, nursery: trio.Nursery) -> None:
        now = trio.current_time()
        if self._open_since is not None and now - self._open_since < PEER_CALL_TIMEOUT_S:
            self.violations.append(f"{action} {unique_id} came while {self._open_id} was open")
            with suppress(LinkLost):
                await self._send_error(unique_id, "GenericError", "another Call is open")
            return
        self._open_since, self._open_id = now, f"{action} {unique_id}"
        nursery.start_soon(self._answer, unique_id, action, payload, self.script.for_answer(action), now)

    async def _answer(self, unique_id: str, action: str, payload: Payload, rule: Rule, opened_at: float) -> None:
        if self._answer_latency_s + rule.delay_s > 0:
            await trio.sleep(self._answer_latency_s + rule.delay_s)
        then = None
        with suppress(LinkLost):
            try:
                if rule.error:
                    raise Refusal(*rule.error)
                answer = self._handler(action, payload) if rule.acts else Answer(_scripted(rule, payload))
            except Refusal as refusal:
                await self._send_error(unique_id, refusal.code, refusal.description)
            else:
                then = answer.then
                if not rule.drop:
                    await self.send_raw(json.dumps([RESULT, unique_id, answer.payload], separators=(",", ":")))
        if self._open_since == opened_at and not rule.drop:
            self._open_since = None
        if then:
            then()

    async def _send_error(self, unique_id: str, code: str, description: str) -> None:
        await self.send_raw(json.dumps([ERROR, unique_id, code, description, {}], separators=(",", ":")))

    def _finish(self, waiting: _Waiting, outcome: Payload | CallFailed | LinkLost) -> None:
        waiting.outcome = outcome
        waiting.answered.set()


def _scripted(rule: Rule, payload: Payload) -> Payload:
    if rule.answer is None:
        return {}
    return rule.answer(payload) if callable(rule.answer) else rule.answer


def _parse(text: str) -> list[Any] | None:
    """The frame as a list of at least three, or None if it is none."""
    try:
        frame = json.loads(text)
    except ValueError:
        return None
    if not isinstance(frame, list) or len(frame) < 3 or not isinstance(frame[1], str):
        return None
    match frame[0]:
        case 2:
            good = len(frame) == 4 and isinstance(frame[2], str) and isinstance(frame[3], dict)
        case 3:
            good = len(frame) == 3 and isinstance(frame[2], dict)
        case 4:
            good = len(frame) in (4, 5) and isinstance(frame[2], str) and isinstance(frame[3], str)
        case _:
            good = False
    return frame if good else None
