"""R14: no HTTP input kills the page.

5,000 connections with requests that are wrong on purpose (tests/web/hostile_http.py: bent lines and headers, chunks,
pipelines, forms, API bodies, cookies, upgrades to h2c with trailing bytes, HTTP/2 without asking), over real sockets
against the real webd in front of a real gatewayd. No exception that nobody handled stands in its log, nothing is
answered by 500, a good client is served all the while by the same process, and its memory stays bounded.
The release form is HOSTILE_HTTP_REQUESTS=250000.

Twins: a webd that lets a bad form's error through, and one that grants upgrades as anycorn does by itself.
"""

from __future__ import annotations

import os
import re
import resource
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from gatewayd.web.app import Webd, routes
from gatewayd.web.settings import Settings
from tests.browser.plant import Plant, standing
from tests.process.daemon import charge_points
from tests.process.page_client import ask, claimed, dial, signed_in
from tests.promises.report import seen
from tests.web.hostile_http import Attempt, End, Requests, is_to_be_answered

REQUESTS = int(os.environ.get("HOSTILE_HTTP_REQUESTS", "5000"))
SEED = 1000
AT_A_TIME = 16
MEMORY_MIB = 192
"""Of the 256 at which its unit ends it. It comes to 127 within 4,000 connections, and stays there for 20,000 more: each
thread that ever hashed a password keeps its 19."""
ANSWER_S, SILENCE_S, MORE_S = 30.0, 0.3, 0.15
"""An attacker waits for an answer as long as anybody would; where none is due, because webd waits for the rest of the
request, or for the next one, it goes."""
LEFT_MOST, LEFT_PATIENCE_S = 8, 60.0
"""Descriptors that webd may have more than before the attack; its connections to gatewayd come and go."""
LOOK_EVERY = 25
SOURCES = [f"127.0.0.{number}" for number in range(2, 50)]
"""Whoever guesses passwords is counted by address, and a good client has its own."""
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ?[A-Za-z -]*\r\n")
OWNER = "owner"
"""Nobody that a hostile request names."""


@dataclass
class Outcome:
    """What was seen of the page."""

    faults: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    good: int = 0
    memory_mib: float = 0.0


def memory_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def open_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


class Attack:
    """So many attempts, several at a time."""

    def __init__(self, plant: Plant, count: int) -> None:
        settings = Settings(plant.config, plant.web_state, plant.state)
        host = f"127.0.0.1:{plant.web_port}"
        self._requests = Requests(SEED, routes(Webd(settings)), host)
        self._plant, self._count, self._begun = plant, count, 0
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        assert self._plant.web is not None
        await self._session(await claimed(self._plant.web_port, OWNER))
        descriptors = open_descriptors(self._plant.web.pid)
        await self._burst(self._count)
        await self._look()
        if self._plant.web.poll() is None:
            self.outcome.memory_mib = memory_mib(self._plant.web.pid)
            await self._until_all_places_are_free(descriptors)
        self._judge()
        return self.outcome

    async def _burst(self, until: int) -> None:
        async with trio.open_nursery() as nursery:
            for place in range(AT_A_TIME):
                nursery.start_soon(self._some, until, place)

    async def _some(self, until: int, place: int) -> None:
        while self._begun < until and self._plant.web is not None and self._plant.web.poll() is None:
            number, attempt = self._begun, self._requests.attempt()
            self._begun += 1
            self.outcome.kinds[attempt.kind] += 1
            answer = await self._made(attempt, SOURCES[number % len(SOURCES)])
            for status in STATUS.findall(answer):
                self.outcome.statuses[status.decode()] += 1
                if status == b"500":
                    self.outcome.faults.append(f"number {number}: 500 to {attempt.text[:600]!r}")
            if number % LOOK_EVERY == 0:
                await self._look()

    async def _made(self, attempt: Attempt, source: str) -> bytes:
        """What came back until webd hung up, or said nothing any more."""
        received = b""
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            first_s = ANSWER_S if attempt.end is End.wait and is_to_be_answered(attempt.text) else SILENCE_S
            async with await dial(self._plant.web_port, source) as stream:
                for piece in attempt.pieces:
                    await stream.send_all(piece)
                if attempt.end is End.reset:
                    await trio.aclose_forcefully(stream)
                    return b""
                if attempt.end is End.eof:
                    await stream.send_eof()
                while True:
                    data = b""
                    with trio.move_on_after(MORE_S if received else first_s):
                        data = await stream.receive_some(65536)
                    if not data:
                        break
                    received += data
        return received

    async def _look(self) -> None:
        """A good request, and another session where this one is over."""
        try:
            answer = await ask(self._plant.web_port, "GET", "/api/v1/session", token=self._requests.token)
            if answer.status == 401:
                await self._session(await signed_in(self._plant.web_port, OWNER))
            elif answer.status != 200:
                self.outcome.faults.append(f"a good request got {answer.status}")
            self.outcome.good += 1
        except (OSError, trio.BrokenResourceError, trio.TooSlowError, IndexError) as error:
            self.outcome.faults.append(f"a good request was not answered: {error!r}")

    async def _until_all_places_are_free(self, before: int) -> None:
        """Everybody has gone; whoever webd still keeps a place for would have it for ever."""
        assert self._plant.web is not None
        with trio.move_on_after(LEFT_PATIENCE_S):
            while open_descriptors(self._plant.web.pid) > before + LEFT_MOST:  # noqa: ASYNC110 - another process
                await trio.sleep(0.5)
            return
        self.outcome.faults.append(f"{open_descriptors(self._plant.web.pid)} descriptors open, before {before}")

    async def _session(self, token: str) -> None:
        """The token, and a proof as the page has it for its forms."""
        self._requests.token = token
        page = await ask(self._plant.web_port, "GET", "/settings", cookie=token)
        found = re.search(rb'name="csrf_token" value="([^"]+)"', page.body)
        assert found, page
        self._requests.proof = found[1].decode()

    def _judge(self) -> None:
        outcome, log = self.outcome, self._plant.web_log()
        assert self._plant.web is not None
        if self._plant.web.poll() is not None:
            outcome.faults.append(f"webd ended: {log[-2000:]}")
        if "Traceback" in log:
            outcome.faults.append(f"unhandled: {log[log.index('Traceback') :][:4000]}")
        if outcome.memory_mib > MEMORY_MIB:
            outcome.faults.append(f"it has {outcome.memory_mib:.0f} MiB")


async def attacked(folder: Path, count: int, program: Sequence[str] = ()) -> Outcome:
    plant = Plant(folder, charge_points("CP001", "CP002"), web_program=program)
    async with standing(plant, claimed=False):
        return await Attack(plant, count).run()


@pytest.mark.limit(300 + REQUESTS / 10)
async def test_five_thousand_hostile_connections(tmp_path: Path) -> None:
    outcome = await attacked(tmp_path, REQUESTS)
    kinds, statuses = (", ".join(f"{count:,} {what}" for what, count in each.most_common())
                       for each in (outcome.kinds, outcome.statuses))  # fmt: skip
    assert outcome.faults == []
    assert outcome.good >= REQUESTS // LOOK_EVERY
    assert outcome.statuses.total() > REQUESTS / 2, "webd was so slow that hardly anything was tried"
    seen("R14", f"{outcome.kinds.total():,} connections, 0 unhandled, 0 answers of 500 ({kinds})")
    seen("R14", f"answers: {statuses}; {outcome.good} good ones between them; {outcome.memory_mib:.0f} MiB of memory")


TRUSTS_FORMS = """
import sys
from gatewayd.web import forms
from gatewayd.web.__main__ import main
class Nothing(Exception):
    pass
forms.FormParserError = Nothing
forms.ValueError = Nothing
sys.exit(main())
"""
ANYCORNS_OWN = """
import sys
from anycorn.tcp_server import TCPServer
from gatewayd.web import server
from gatewayd.web.__main__ import main
server.Connection = TCPServer
sys.exit(main())
"""


@pytest.mark.twin("R14")
async def test_a_page_that_trusts_its_forms_is_found(tmp_path: Path) -> None:
    outcome = await attacked(tmp_path, 600, [sys.executable, "-c", TRUSTS_FORMS])
    assert any("500 to" in each for each in outcome.faults)
    assert any("unhandled" in each for each in outcome.faults)


@pytest.mark.twin("R14")
async def test_a_page_that_speaks_all_that_anycorn_speaks_is_found(tmp_path: Path) -> None:
    outcome = await attacked(tmp_path, 600, [sys.executable, "-c", ANYCORNS_OWN])
    assert any("unhandled" in each for each in outcome.faults)
