"""A charge point as somebody met it, played to the whole application: its frames, its habits, and what a BMS sees.

A replay is a list of steps in virtual time. The frames that the charge point says are those of the thread, shortened
and with its own spelling, or, where a thread tells in words only (IN_WORDS in `test_replays`), frames that fit them.
What it answers is its habit, a function of what it was asked, so that a gateway that does not know the habit meets its
consequences. Between them stands nothing of ours: bytes go to the listener, registers come from Modbus.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import trio

from tests.journeys.network import OCPP
from tests.journeys.plant import Plant
from tests.services.ocpp_peer import PING, PONG, TEXT, Peer, frame, request
from tests.simulator.bms import Bms

CP = 1
IDENTITY = "CP001"
ANSWERED_S = 20.0
"""The gateway answers whatever it is asked within this, a decision of the BMS included."""
NOW = re.compile(r"<now(?:([+-]\d+)h)?(?:-(\d+)s)?>")
"""`<now>`, as in a thread's zone `<now+10h>`, as of a while ago `<now-90s>`: date and time, to the second, no zone."""


@dataclass(frozen=True)
class Refusal:
    """Answers with a CALLERROR."""

    code: str
    description: str = ""


SILENT = None
"""Does not answer."""
Reply = dict[str, Any] | Refusal | str | None
"""A payload, a CALLERROR, a text as it goes over the wire with `<call>` for the Call's id, or SILENT."""
Habit = Callable[["Stage", Any], Reply]
"""What the charge point makes of a Call's payload."""


class Step(Protocol):
    """One thing that happens, or that is looked at."""

    async def play(self, stage: Stage) -> None: ...


@dataclass(frozen=True)
class Replay:
    """One thread, played."""

    profile: str
    thread: str
    """As the profile cites it, without the host: `lbbrhzn/ocpp/issues/2032`."""
    seen: str
    """What goes wrong with who does not know it."""
    steps: tuple[Step, ...]
    habits: Mapping[str, Habit] = field(default_factory=dict)
    """Action → what it makes of it; it accepts everything else."""
    head: Mapping[str, bytes] = field(default_factory=dict)
    """Of its handshake: `without` names a header that it leaves out."""
    pongs: bool = True
    """It answers pings."""
    switch: str = ""
    """The switch without which this goes wrong; "": the gateway copes by itself, and the profile tells of it because
    its installer should know."""

    @property
    def name(self) -> str:
        return f"{self.profile}: {self.seen}"


class Stage:
    """One charge point, the gateway, and a BMS."""

    def __init__(self, plant: Plant, bms: Bms, replay: Replay) -> None:
        self.plant, self.bms, self.replay = plant, bms, replay
        self.calls: list[tuple[float, str, Any]] = []
        """What the gateway asked: when, which action, with which payload."""
        self.memory: dict[str, Any] = {"pinged": False}
        """What the habits remember."""
        self.transaction_id = 0
        """As the gateway gave it last."""
        self.ended: list[float] = []
        """When its links ended."""
        self._numbers = 0
        self._answers: dict[str, Any] = {}
        self._told = trio.Event()
        self._peer: Peer | None = None

    async def dial(self) -> None:
        """A new connection; from now on the gateway is answered."""
        stream = await self.plant.network.dialler(IDENTITY, OCPP)()
        peer = self._peer = Peer(stream)
        assert await peer.upgrade(request(**self.replay.head)) == 101, "refused"
        self.plant.nursery.start_soon(self._listen, peer)

    async def hang_up(self) -> None:
        """Without a word, as after a reboot."""
        if self._peer is not None:
            await self._peer.stream.aclose()

    async def send(self, text: str) -> None:
        assert self._peer is not None
        try:
            await self._peer.send(frame(TEXT, self.written(text).encode()))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as gone:
            raise AssertionError("the link is gone") from gone

    async def said(self, text: str) -> Any:
        """Says this, and waits for what the gateway answers to its id: a payload, or the whole CALLERROR."""
        await self.send(text)
        found = re.match(r'\[2,\s*"([^"]+)"', text)
        assert found is not None, text
        with trio.move_on_after(ANSWERED_S):
            while found[1] not in self._answers:
                await self._told.wait()
        assert found[1] in self._answers, f"no answer to {text}"
        return self._answers.pop(found[1])

    def call(self, action: str, payload: Any) -> str:
        """The text of a Call of the charge point."""
        self._numbers += 1
        return f'[2,"{self._numbers}","{action}",{json.dumps(payload)}]'

    def written(self, text: str) -> str:
        """With the time and the transaction id put in."""

        def moment(found: re.Match[str]) -> str:
            epoch = self.plant.wall() - float(found[2] or 0)
            return (datetime.fromtimestamp(epoch, UTC) + timedelta(hours=int(found[1] or 0))).isoformat()[:19]

        return NOW.sub(moment, text).replace('"<id>"', str(self.transaction_id))

    async def _listen(self, peer: Peer) -> None:
        try:
            while True:
                opcode, data = await peer.frame()
                if opcode == PING:
                    self.memory["pinged"] = True
                    if self.replay.pongs:
                        await peer.send(frame(PONG, data))
                elif opcode == TEXT:
                    await self._heard(json.loads(data))
        except (EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.append(trio.current_time())

    async def _heard(self, message: list[Any]) -> None:
        if message[0] != 2:
            self._answers[message[1]] = message[2] if message[0] == 3 else message
            if message[0] == 3 and "transactionId" in message[2]:
                self.transaction_id = message[2]["transactionId"]
            self._told.set()
            self._told = trio.Event()
            return
        _, call_id, action, payload = message
        self.calls.append((trio.current_time(), action, payload))
        habit = self.replay.habits.get(action) or self.replay.habits.get("*")
        reply = accepts(self, payload) if habit is None else habit(self, payload)
        if isinstance(reply, Refusal):
            self._answer(json.dumps([4, call_id, reply.code, reply.description, {}]))
        elif isinstance(reply, str):
            self._answer(reply.replace("<call>", call_id))
        elif reply is not None:
            self._answer(json.dumps([3, call_id, reply]))

    def _answer(self, text: str) -> None:
        """At once, or as slowly as it is; into the void if the link is gone meanwhile."""

        async def answer() -> None:
            await trio.sleep(self.memory.get("answers_after_s", 0.0))
            with suppress(AssertionError):
                await self.send(text)

        self.plant.nursery.start_soon(answer)


def accepts(stage: Stage, payload: Any) -> Reply:
    return {"status": "Accepted"}


def holds(actual: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there; what else there is does not matter."""
    if isinstance(wanted, dict):
        return isinstance(actual, dict) and all(k in actual and holds(actual[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return isinstance(actual, list) and len(actual) == len(wanted) and all(map(holds, actual, wanted))
    return bool(actual == wanted)


def profiled(profile: str, switches: Mapping[str, Any]) -> str:
    """The configuration of one charge point with this profile, and switches over it."""
    own = "".join(f"{name} = {json.dumps(value)}\n" for name, value in switches.items())
    head = f'[[charge_point]]\nnumber = {CP}\nidentity = "{IDENTITY}"\nconnectors = 1\nprofile = "{profile}"\n'
    return head + (f"[charge_point.quirks]\n{own}" if own else "")


async def perform(replay: Replay, toml: str, folder: Path) -> None:
    """Play it to a gateway with this configuration. AssertionError where it goes wrong."""
    wrong = None
    async with trio.open_nursery() as nursery:
        plant = Plant(nursery, folder, toml)
        await plant.start()
        stage = Stage(plant, await plant.bms(), replay)
        await stage.bms.write("decision_default", 3)  # who is not in the list may charge
        try:
            await stage.dial()
            for step in replay.steps:
                await step.play(stage)
        except AssertionError as error:
            wrong = error
        await plant.stop()
        nursery.cancel_scope.cancel()
    if wrong is not None:
        raise wrong
