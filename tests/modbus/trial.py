"""The gateway's Modbus, with live registers behind it, tried with hostile input and judged answer by answer.

Nothing may raise; no answer may be 04; every answer must be the one that contract and pymodbus ask for (`mirror`); and
a request that was refused must have changed nothing: no register of any bank, no word to a charge point, no entry of
the journal. A trial is one seed: what it finds, it finds again.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import inf
from random import Random

from gatewayd.modbus.adu import Heard, RtuFrame, RtuFramer, rtu_frame
from gatewayd.modbus.server import Server, TcpSession
from gatewayd.points.bank import Units
from tests.kit import Kit, WireEnd
from tests.modbus.hostile import Requests, mbap, pieces, sound
from tests.modbus.mirror import NOBODY, READS, Box, Plant, Unit
from tests.ocpp.hostile import GOOD

PLANT = """
[modbus]
charge_point_units = 100
[[charge_point]]
number = 1
identity = "CP001"
connectors = 2
[[charge_point]]
number = 3
identity = "CP003"
connectors = 7
[[charge_point]]
number = 21
identity = "CP021"
connectors = 1
"""
BANK_1, BANK_2 = {1: 2, 3: 7}, {1: 1}
UNITS, NO_UNITS = (1, 2, 101, 103, 0, 255), (3, 9, 102, 104, 247)
LINE_UNITS, LINE_NO_UNITS = (1, 2, 101, 103), (9, 102, 247)
TCP_CLIENTS = ("BMS", "viewer", "tool")
CHARACTER_S, SILENCE_S, LATENCY_S = 0.001, 0.0035, 0.001

KINDS = {"pdu": 70, "stream": 15, "line": 15}
"""What a trial tries, in hundredths."""


LIFE = 5000
"""Inputs after which a new gateway begins."""


class Found(Exception):
    """Something that must not happen."""


@dataclass(frozen=True)
class Parts:
    """What is tried. A broken one in its place must be found."""

    server: Callable[[Units, Callable[[int], None]], Server] = lambda units, on_exception: Server(
        units, writes=True, on_exception=on_exception
    )
    session: Callable[[Server, str, float], TcpSession] = TcpSession
    framer: Callable[[Units], RtuFramer] = lambda units: RtuFramer(
        units, silence_s=SILENCE_S, character_s=CHARACTER_S, latency_s=LATENCY_S
    )


class Site:
    """A gateway whose charge points are connected, charge, ask and answer."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.kit = Kit(PLANT)
        self.ends = [self.kit.connect(identity) for identity in ("CP001", "CP003", "CP021")]
        for end in self.ends:
            end.boot()
            for number in range(1, end.session.charge_point.connector_count + 1):
                end.status(number, "Charging")
                end.send("StartTransaction", GOOD["StartTransaction"] | {"connectorId": number})

    def live(self) -> None:
        """Something happens at the charge points, and time passes."""
        random, place = self._random, self._random.randrange(len(self.ends))
        end = self.ends[place]
        if end.closed:  # it let too many Calls go unanswered
            end.disconnect()
            end = self.ends[place] = self.kit.connect(end.session.charge_point.name)
            end.boot()
        for call in end.calls():
            if random.random() < 0.7:
                end.answer(call, {"status": random.choice(("Accepted", "Rejected"))})
        action = random.choice(list(GOOD))
        payload = GOOD[action]
        if "connectorId" in payload:
            payload = payload | {"connectorId": random.randint(0, 2)}
        end.send_text(json.dumps([2, f"{random.getrandbits(32):x}", action, payload]))
        end.frames()
        end._sent.clear()
        self.kit.site.journal.waiting.clear()
        if random.random() < 0.2:
            self.kit.run_for(random.choice((0.01, 0.5, 1.0, 2.0, 3.0)))

    def said(self) -> tuple[int, ...]:
        """How much the gateway has said: to the journal, and to each charge point."""
        return self.kit.site.journal.written, *(_said(end) for end in self.ends)


def _said(end: WireEnd) -> int:
    session = end.session
    return len(session.words) + len(session.waiting) + (session.open_call is not None)


class Trial:
    """One seed's worth. `run(n)` tries n inputs and returns what they were; raises Found, or whatever broke."""

    def __init__(self, seed: int, parts: Parts | None = None) -> None:
        self._random = Random(seed)
        self._parts = parts or Parts()
        self._codes: list[int] = []
        self.tried: Counter[str] = Counter()
        self._settle(Site(self._random))

    def _settle(self, site: Site) -> None:
        self._site, self._kit = site, site.kit
        self._server = self._parts.server(self._kit.units, self._codes.append)
        shared: dict[Box, tuple[Hashable, float]] = {}
        self._plants = Plant(BANK_1, shared), Plant(BANK_2, shared)
        first, second = self._plants
        self._units = {1: Unit(first), 2: Unit(second), 101: Unit(first, 3000, 3000), 103: Unit(first, 9000, 3000)}
        self._requests = Requests(self._random, self._plants)
        self._framer = self._parts.framer(self._kit.units)
        self._line_s = self._kit.now
        self._sessions = {client: self._parts.session(self._server, client, self._kit.now) for client in TCP_CLIENTS}
        self._begun = dict.fromkeys(TCP_CLIENTS, b"")
        self._look()

    @property
    def inputs(self) -> int:
        return self.tried["PDUs"] + self.tried["TCP frames"] + self.tried["sounds"]

    def run(self, inputs: int) -> Counter[str]:
        kinds, weights = list(KINDS), list(KINDS.values())
        tries = {"pdu": self._try_pdu, "stream": self._try_stream, "line": self._try_line}
        done = lived = 0
        while done < inputs:
            if done - lived >= LIFE:
                self._settle(Site(self._random))
                lived = done
            done += tries[self._random.choices(kinds, weights)[0]]()
            if self._random.random() < 0.02:
                self._site.live()
                self._look()
        return self.tried

    # --- what is true ---------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take the registers as they are now for the truth; remember what was said."""
        for plant, bank in zip(self._plants, self._kit.units.banks(), strict=True):
            for first, size in plant.spans:
                plant.registers[2 * first : 2 * (first + size)] = bank.read(first, size)
        self._said = self._site.said()

    def _unchanged(self, what: object) -> None:
        if self._site.said() != self._said:
            raise Found(f"{what} was refused and something was said")
        for plant, bank in zip(self._plants, self._kit.units.banks(), strict=True):
            for first, size in plant.spans:
                if bank.read(first, size) != plant.registers[2 * first : 2 * (first + size)]:
                    raise Found(f"{what} was refused and a register changed")

    def _expected(self, unit: int, pdu: bytes, client: str, now: float, *, line: bool = False) -> bytes | None:
        found = self._units.get(unit)
        if found is None and not line and unit in (0, 255):
            found = self._units[1]
        if found is None:
            return None if line else bytes((pdu[0] | 0x80, NOBODY))
        return found.answer(pdu, client, now)

    def _judge(self, pdu: bytes, answer: bytes | None, wanted: bytes | None, *, moved: bool = False) -> bool:
        """Whether the request changed something; `moved`: another did since the registers were looked at."""
        self.tried["answers" if answer is not None else "silence"] += 1
        if answer is not None and answer[0] & 0x80:
            self.tried[f"exception {answer[1]:02X}"] += 1
        same = answer == wanted
        if moved and wanted is not None and answer is not None and wanted[0] in READS:
            same = (answer[0], len(answer)) == (wanted[0], len(wanted))
        if not same:
            raise Found(f"{pdu.hex()} is answered {_hex(answer)}, not {_hex(wanted)}")
        changes = answer is not None and not answer[0] & 0x80 and pdu[0] not in READS
        self.tried["writes"] += changes
        return changes

    # --- the three ways in ----------------------------------------------------------------------------------

    def _try_pdu(self) -> int:
        random, now = self._random, self._kit.now
        unit = random.choice(UNITS if random.random() < 0.95 else NO_UNITS)
        pdu, client = self._requests.pdu(), random.choice(TCP_CLIENTS)
        codes = len(self._codes)
        answer = self._server.answer_tcp(unit, pdu, client, now)
        if self._judge(pdu, answer, self._expected(unit, pdu, client, now)):
            self._look()
        else:
            if pdu[0] not in READS or random.random() < 0.05:
                self._unchanged(pdu.hex())
            if self._codes[codes:] != ([answer[1]] if answer[0] & 0x80 else []):
                raise Found(f"{pdu.hex()}: exceptions counted are {self._codes[codes:]}")
        self._codes.clear()
        self.tried["PDUs"] += 1
        return 1

    def _try_stream(self) -> int:
        """Several requests of one client, in pieces; its session goes on until its stream breaks."""
        random, now = self._random, self._kit.now
        client = random.choice(TCP_CLIENTS)
        session, count = self._sessions[client], random.choice((1, 1, 2, 3, 10))
        data = b"".join(
            mbap(random, random.choice(UNITS if random.random() < 0.95 else NO_UNITS), self._requests.pdu())
            for _ in range(count)
        )
        for piece in pieces(random, data):
            before = self._begun[client]
            requests, self._begun[client], broken = _frames(before + piece)
            self._judge_stream(client, session.receive(piece, now), requests, now)
            if (session.fault is not None) is not broken:
                raise Found(f"after {(before + piece).hex()} the fault is {session.fault}")
            if (session.deadline < inf) is not bool(self._begun[client]):
                raise Found(f"after {(before + piece).hex()} the deadline is {session.deadline}")
            if broken:
                if session.receive(piece, now) != b"":
                    raise Found(f"{piece.hex()} is answered on a broken stream")
                session.closed()
                for plant in self._plants:
                    plant.release(client)
                self._begun[client] = b""
                self._sessions[client] = self._parts.session(self._server, client, now)
                self.tried["broken streams"] += 1
                break
        self.tried["TCP frames"] += count
        self._codes.clear()
        return count

    def _judge_stream(self, client: str, answers: bytes, requests: list[bytes], now: float) -> None:
        moved = False
        for request in requests:
            wanted = self._expected(request[6], request[7:], client, now)
            head, length = answers[:7], int.from_bytes(answers[4:6], "big")
            if head[:4] != request[:4] or head[6:] != request[6:7]:
                raise Found(f"{request.hex()} is answered {answers.hex()}")
            moved |= self._judge(request[7:], answers[7 : 6 + length], wanted, moved=moved)
            answers = answers[6 + length :]
        if answers:
            raise Found(f"nobody asked for {answers.hex()}")
        if moved:
            self._look()
        elif requests:
            self._unchanged(b"".join(requests).hex())

    def _try_line(self) -> int:
        """One sound on a serial line after a silence, then silence."""
        random = self._random
        heard: list[RtuFrame] = []
        one = sound(random, self._requests, LINE_UNITS, LINE_NO_UNITS)
        self._line_s += 2 * SILENCE_S + LATENCY_S
        if random.random() < 0.5:
            self._answer_line(self._framer.silent(self._line_s), None)
        for piece, pause in one.pieces:
            self._line_s += (pause + len(piece)) * CHARACTER_S
            heard += self._framer.feed(piece, self._line_s)
        self._line_s += SILENCE_S + LATENCY_S
        heard += self._framer.silent(self._line_s)
        data = b"".join(piece for piece, _ in one.pieces)
        for frame in heard:
            # Noise can be a frame by chance; then it must really be there.
            if frame.heard is Heard.REQUEST and one.request is None and rtu_frame(frame.unit, frame.pdu) not in data:
                raise Found(f"{data.hex()} is heard as {frame}")
        self._answer_line(heard, one.request)
        self.tried["sounds"] += 1
        self._codes.clear()
        return 1

    def _answer_line(self, heard: list[RtuFrame], request: tuple[int, bytes] | None) -> None:
        moved = False
        now = self._kit.now
        requests = [(frame.unit, frame.pdu) for frame in heard if frame.heard is Heard.REQUEST]
        if request is not None and requests != [request]:
            raise Found(f"{request} is heard as {heard}")
        for unit, pdu in requests:
            answer = self._server.answer_rtu(unit, pdu, "rtu", now)
            self._framer.transmitted(rtu_frame(unit, answer) if answer else b"", self._line_s)
            self._line_s += 0.3  # so long the longest answer takes
            if unit == 0:
                taken = [self._units[bank].answer(pdu, "rtu", now) for bank in (1, 2)] if pdu[0] not in READS else []
                self._judge(pdu, answer, None)
                moved |= any(not each[0] & 0x80 for each in taken)
            else:
                wanted = self._expected(unit, pdu, "rtu", now, line=True)
                moved |= self._judge(pdu, answer, wanted, moved=moved)
        if moved:
            self._look()
        else:
            self._unchanged(heard)


def _frames(stream: bytes) -> tuple[list[bytes], bytes, bool]:
    """Whole TCP frames, what is left, and whether the stream is broken, by the messaging guide alone."""
    found: list[bytes] = []
    while len(stream) >= 6:
        protocol, length = int.from_bytes(stream[2:4], "big"), int.from_bytes(stream[4:6], "big")
        if protocol != 0 or not 2 <= length <= 254:
            return found, b"", True
        if len(stream) < 6 + length:
            break
        found.append(stream[: 6 + length])
        stream = stream[6 + length :]
    return found, stream, False


def _hex(answer: bytes | None) -> str:
    return "with silence" if answer is None else answer.hex()


def run(seed: int, inputs: int, parts: Parts | None = None) -> Counter[str]:
    """One trial; what goes wrong in it names its seed."""
    logging.disable(logging.CRITICAL)  # a gateway among such peers has much to say
    trial = Trial(seed, parts)
    try:
        return trial.run(inputs)
    except Exception as error:
        error.add_note(f"seed {seed}, after {trial.inputs} inputs")
        raise
    finally:
        logging.disable(logging.NOTSET)
