"""One charge point that sends whatever it likes, beside one that behaves, on the same gateway.

Nothing may raise; what the gateway says is JSON and answers what was asked, once; no register of the other charge point
moves; and nothing grows. A trial is one seed: what it finds, it finds again.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from gatewayd.ocpp.session import Send, Session
from tests.kit import Kit, WireEnd
from tests.ocpp import hostile

PLANT = """
[ocpp]
ask_bms = ["DataTransfer", "SignCertificate"]
[[charge_point]]
number = 1
identity = "CP001"
[[charge_point]]
number = 2
identity = "CP002"
"""
MATRICES = ((1000, 1), (1200, 1), (1400, 2), (1800, 1), (2400, 2))
"""First register of each matrix, and registers of an entry (modbus.md, Addresses)."""
WRITES = ((3318, 1), (3318, 0), (3319, 1), (3319, 0), (3320, 1), (3320, 0), (3321, 1), (3321, 0), (3022, 1), (3022, 0))
"""Triggers of the hostile charge point: the BMS asks it things, so that its answers meet open Calls."""
DECISION_DEFAULT, ACCEPT = 18, 1
AGENDA_MAX = 300
"""Deadlines that two charge points can have open."""
WARM_UP = 0.3
"""Part of a trial after which memory may grow no more."""
GROWTH_MAX_KIB = 4096
"""What the allocator may take beyond that: it works in pieces of a MiB."""

Received = Callable[[Session, str | bytes, float], None]


class Found(Exception):
    """Something that must not happen."""


class Trial:
    def __init__(self, seed: int, received: Received = Session.received) -> None:
        self._received, self._random = received, Random(seed)
        self._texts = hostile.texts(seed)
        self.tried: Counter[str] = Counter()
        self.grown_kib = 0
        self._kit = Kit(PLANT)
        self._good = self._kit.connect("CP002")
        self._good.boot()
        self._good.status(1, "Charging")
        self._kit.write(DECISION_DEFAULT, ACCEPT)
        self._good.send("StartTransaction", hostile.GOOD["StartTransaction"])
        self._kit.run_for(10)  # nobody decides, and it may charge
        self._good.send("MeterValues", {"connectorId": 1, "meterValue": hostile.VALUES})
        self._good.frames().clear()
        self._dial()

    def _dial(self) -> None:
        self._end: WireEnd = self._kit.connect("CP001")
        self._end.session.id_prefix = "1-0-"  # as the hostile answers have it
        if self._random.random() < 0.9:
            self._end.boot()
        self._end.frames().clear()

    def run(self, inputs: int) -> Counter[str]:
        writes = itertools.cycle(WRITES)
        other = self._other()
        warm_kib = 0
        for number, text in enumerate(itertools.islice(self._texts, inputs)):
            self._received(self._end.session, text, self._kit.now)
            self._look_at_answers(text)
            self.tried["texts"] += 1
            if self._other() != other:
                raise Found(f"{text!r} moved a register of another charge point")
            self._kit.write(*next(writes))
            if number % 40 == 0:
                self._pass_time()
                other = self._other()
            if self._end.session.closing:
                self._end.disconnect()
                self._dial()
                other = self._other()
                self.tried["links closed"] += 1
            if number == int(inputs * WARM_UP):
                warm_kib = resident_kib()
        self.grown_kib = max(0, resident_kib() - warm_kib)
        if self.grown_kib > GROWTH_MAX_KIB:
            raise Found(f"memory grew by {self.grown_kib} KiB")
        return self.tried

    def _pass_time(self) -> None:
        kit = self._kit
        kit.run_for(self._random.choice((0.1, 1.0, 10.0, 70.0)))
        kit.write(3102, kit.read(3060))  # whatever it asks, the BMS confirms
        self._good.send("Heartbeat", {})
        self._good.frames().clear()
        self._said()
        kit.site.journal.waiting.clear()
        if len(kit.site.agenda) > AGENDA_MAX:
            raise Found(f"{len(kit.site.agenda)} entries on the agenda")

    def _other(self) -> bytes:
        """Every register of the other charge point."""
        bank = self._kit.bank_1
        entries = [bank.read(first + 8 * registers, 8 * registers) for first, registers in MATRICES]
        return b"".join([bank.read(6000, 900), bank.read(8400, 600), *entries])

    def _said(self) -> list[str | bytes]:
        words = self._end.session.words
        texts = [word.text for word in words if isinstance(word, Send)]
        words.clear()
        return texts

    def _look_at_answers(self, text: str | bytes) -> None:
        answers = []
        for said in self._said():
            frame = json.loads(said, parse_constant=_no_json)
            if frame[0] != 2:
                answers.append(frame)
                self.tried["CALLERROR" if frame[0] == 4 else "CALLRESULT"] += 1
        if len(answers) > 1:
            raise Found(f"{text!r} is answered {answers}")
        spelled = text.decode(errors="replace") if isinstance(text, bytes) else text
        for answer in answers:
            if json.dumps(answer[1])[1:-1] not in spelled and answer[1] not in spelled:
                raise Found(f"{text!r} is answered by {answer}, which nobody asked")


def _no_json(constant: str) -> None:
    raise Found(f"{constant} is no JSON")


def resident_kib() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def run(seed: int, inputs: int, received: Received = Session.received) -> Counter[str]:
    """One trial; what goes wrong in it names its seed. Raises Found, or whatever a text made raise."""
    logging.disable(logging.CRITICAL)  # a gateway among such peers has much to say
    trial = Trial(seed, received)
    try:
        return trial.run(inputs)
    except Exception as error:
        error.add_note(f"seed {seed}, after {trial.tried['texts']} texts")
        raise
    finally:
        logging.disable(logging.NOTSET)
