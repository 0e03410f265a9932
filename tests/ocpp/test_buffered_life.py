"""A bridged charge point and a central system that comes, goes, hangs, errs and answers twice, by chance (ocpp.md).

Whatever happens, when the central system is well again it has every transaction once, from its start to its stop, it
has every meter value that was acknowledged, or the loss was counted, and one Call was open at a time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from gatewayd.ocpp.buffered_bridge import AHEAD_TIMEOUT_S
from gatewayd.ocpp.telling import ASIDE_MAX_S, TOLD_TIMEOUT_S
from tests.kit import Kit
from tests.ocpp.bridged import BOOT
from tests.ocpp.buffered import DECIDED_S, Buffered, buffered

STEPS, DROPS = 300, 0.03
ANSWERED_MAX_S = AHEAD_TIMEOUT_S + TOLD_TIMEOUT_S + DECIDED_S + 1
"""The central system has its time, then the BMS; looked at once a second."""
NEVER_LOST = ("StartTransaction", "StopTransaction")


@dataclass
class Life:
    """Both peers, and their books."""

    kit: Kit
    end: Buffered
    random: Random
    calm: float = 0.0
    """0..1; links last the longer."""
    there: bool = False
    mood: str = "well"
    """`well`, `hung` (answers no transaction), `sour` (answers those with errors), `deaf` (answers nothing)."""
    open_up: list[Any] = field(default_factory=list)
    """Calls that the central system has not answered."""
    told_at: dict[str, float] = field(default_factory=dict)
    """By their ids: after `TOLD_TIMEOUT_S` nobody waits for its answer, and the next may be said."""
    started: dict[int, int] = field(default_factory=dict)
    """meterStart → the central system's id."""
    stopped: dict[int, int] = field(default_factory=dict)
    """The central system's id → meterStop."""
    mine: dict[int, int] = field(default_factory=dict)
    """meterStart → the charge point's id."""
    ended: dict[int, int] = field(default_factory=dict)
    """The charge point's id → meterStop."""
    metered: list[int] = field(default_factory=list)
    """What the meter said, whenever that was acknowledged."""
    read: set[int] = field(default_factory=set)
    """What the central system has of that."""
    asked: dict[str, int] = field(default_factory=dict)
    """Ids of StartTransactions without an answer → meterStart."""
    most_open: int = 0
    count: int = 0
    calls: int = 0
    reading: int = 0
    said: str = ""
    """Id of its last Call that is not a StartTransaction."""
    spoken: str = ""
    """Its last Call."""
    waits_since: float | None = None
    longest_s: float = 0.0
    """That it waited for an answer."""

    def step(self) -> None:
        mine = (self.start, self.meter, self.stop, self.authorize, self.status)
        theirs = (self.answer, self.answer, self.answer, self.time, self.time, self.comes_or_goes, self.temper)
        if self.random.random() < DROPS * (1 - self.calm):
            self.drops()
        step = self.random.choice(mine + theirs)
        if step == self.comes_or_goes and self.there and self.random.random() < self.calm:
            return
        if step not in mine or self.answered():
            step()
        self.look()

    def answered(self) -> bool:
        """Whether the charge point has no Call open."""
        return not self.asked and (not self.said or self.end.answer_to(self.said) is not None)

    def say(self, action: str, payload: Any) -> None:
        self.calls += 1
        self.said = f"c{self.calls}"
        self.spoken = json.dumps([2, self.said, action, payload])
        self.end.say(self.spoken)

    def look(self) -> None:
        for text in self.end.up():
            frame = json.loads(text)
            if frame[0] == 2 and self.there:
                self.open_up.append(frame)
                self.told_at[frame[1]] = self.kit.now
                young = [each for each in self.open_up if self.kit.now < self.told_at[each[1]] + TOLD_TIMEOUT_S]
                self.most_open = max(self.most_open, len(young))
        if self.end.hung_up() is not None and self.there:
            self.goes()
        if self.answered():
            self.waits_since = None
            self.acknowledged()
            if isinstance(self.end.answer_to(self.said), list) and "StopTransaction" in self.spoken:
                self.said += "'"  # refused: again
                self.end.say(self.spoken.replace(self.said[:-1], self.said, 1))
                self.spoken = self.spoken.replace(self.said[:-1], self.said, 1)
        elif self.waits_since is None:
            self.waits_since = self.kit.now
        else:
            self.longest_s = max(self.longest_s, self.kit.now - self.waits_since)
        for unique_id in list(self.asked):
            answer = self.end.answer_to(unique_id)
            if answer is not None:
                meter = self.asked.pop(unique_id)
                if isinstance(answer, dict):
                    self.mine[meter] = answer["transactionId"]

    def acknowledged(self) -> None:
        """Its last Call was answered: if that was a meter value, it has said it once and for all."""
        if '"MeterValues"' in self.spoken and self.end.answer_to(self.said) == {}:
            self.metered.append(value_in(json.loads(self.spoken)[3]))
            self.spoken = ""

    # --- the charge point -----------------------------------------------------------------------------------

    def start(self) -> None:
        if len(self.mine) > len(self.ended):
            return
        self.count += 1
        self.asked[f"s{self.count}"] = meter = 1000 * self.count
        payload = {"connectorId": 1, "idTag": "TAG", "meterStart": meter, "timestamp": self.kit.stamp()}
        self.spoken = json.dumps([2, f"s{self.count}", "StartTransaction", payload])
        self.end.say(self.spoken)

    def drops(self) -> None:
        """Its link breaks; what it has no answer to it says again, word for word but for the id."""
        for unique_id in list(self.asked):
            meter = self.asked.pop(unique_id)
            self.asked[f"{unique_id}'"] = meter
        again = json.loads(self.spoken) if self.spoken and not self.answered() else None
        self.there = False
        self.open_up.clear()
        self.end.disconnect()
        self.end.centre_goes()
        self.end = Buffered(self.kit)
        if self.random.random() < 0.5:
            self.comes_or_goes()
        if self.random.random() < 0.5:
            self.asked, asked = {}, self.asked
            self.say("BootNotification", BOOT)
            while not self.answered():
                self.time()
            self.asked = asked
        self.waits_since = None
        if again is not None and again[2] in NEVER_LOST:
            again[1] += "'"
            self.said = "" if again[2] == "StartTransaction" else again[1]
            self.spoken = json.dumps(again)
            self.end.say(self.spoken)
        else:
            self.said = ""

    def running(self) -> int | None:
        return next((number for number in self.mine.values() if number not in self.ended), None)

    def meter(self) -> None:
        number = self.running()
        if number is not None:
            self.reading += 1
            sample = {"timestamp": self.kit.stamp(), "sampledValue": [{"value": str(self.reading)}]}
            self.say("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [sample]})

    def stop(self) -> None:
        number = self.running()
        if number is not None:
            self.ended[number] = meter = 1000 * self.count + 2
            self.say("StopTransaction", {"transactionId": number, "meterStop": meter, "timestamp": self.kit.stamp()})

    def authorize(self) -> None:
        self.say("Authorize", {"idTag": "TAG"})

    def status(self) -> None:
        self.say("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})

    # --- the central system ---------------------------------------------------------------------------------

    def comes_or_goes(self) -> None:
        if self.there:
            self.goes()
        else:
            self.there = True
            self.end.centre_comes()

    def goes(self) -> None:
        self.there = False
        self.open_up.clear()
        self.end.centre_goes()

    def temper(self) -> None:
        self.mood = self.random.choice(("well", "well", "hung", "sour", "deaf"))

    def answer(self) -> None:
        if not self.open_up:
            return
        call = self.open_up[0]
        if self.mood == "deaf" or (call[2] in NEVER_LOST and self.mood == "hung"):
            return
        self.open_up.pop(0)
        if call[2] in NEVER_LOST and self.mood == "sour":
            self.end.centre_says(json.dumps([4, call[1], "InternalError", "", {}]))
            return
        answer = json.dumps([3, call[1], self.worked(call[2], call[3])])
        self.end.centre_says(*[answer] * self.random.choice((1, 1, 2)))

    def worked(self, action: str, payload: Any) -> Any:
        if action == "Authorize":
            return {"idTagInfo": {"status": "Accepted"}}
        if action == "MeterValues":
            self.read.add(value_in(payload))
        number = 70
        if action == "StartTransaction":
            number = self.started.setdefault(payload["meterStart"], 70 + len(self.started))
        if action == "StopTransaction":
            self.stopped[payload["transactionId"]] = payload["meterStop"]
        return self.end.centre_answer(action, number, "Accepted")

    # --- both -----------------------------------------------------------------------------------------------

    def time(self) -> None:
        seconds = self.random.choice((1, 5, 12, 40))
        for _ in range(seconds):
            self.kit.run_for(1)
            self.look()

    def heal(self) -> None:
        self.mood = "well"
        ends = self.kit.now + 2 * ASIDE_MAX_S
        while self.kit.now < ends:
            if not self.there:
                self.comes_or_goes()
            self.time()
            for _ in range(30):
                self.look()
                self.answer()


def value_in(payload: Any) -> int:
    """Of a MeterValues with one."""
    return int(payload["meterValue"][0]["sampledValue"][0]["value"])


@pytest.mark.parametrize("seed", [*range(10), 177])
def test_every_transaction_stands_in_its_books_once(seed: int) -> None:
    kit, end = buffered()
    life = Life(kit, end, random := Random(seed), random.random())
    end.send("BootNotification", BOOT)
    for _ in range(STEPS):
        life.step()
    life.heal()
    assert life.count > 1
    assert life.longest_s <= ANSWERED_MAX_S
    assert life.most_open == 1
    mine = {meter: life.ended.get(number) for meter, number in life.mine.items()}
    theirs = {meter: life.stopped.get(number) for meter, number in life.started.items()}
    assert theirs == mine
    assert len(set(life.metered) - life.read) == kit.site.backlog.lost
    assert len(kit.site.backlog) == 0
