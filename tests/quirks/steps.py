"""What happens in a replay: the steps, and the frames that charge points say."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import trio

from gatewayd.site.codes import QuirkBits
from tests.quirks.stage import CP, Stage, holds
from tests.simulator.bms import codes

WORDS = {"status": codes.STATUSES, "limit_result": codes.LIMIT_RESULTS}
"""Points that a step may name by their word."""

# --- what the charge point does -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Says:
    """A Call of the charge point, which the gateway answers with at least `answer`."""

    action: str
    payload: dict[str, Any]
    answer: dict[str, Any] = field(default_factory=dict)

    async def play(self, stage: Stage) -> None:
        got = await stage.said(stage.call(self.action, self.payload))
        assert holds(got, self.answer), f"{self.action} was answered with {got}"


@dataclass(frozen=True)
class Writes:
    """A text as it went over the wire, whatever it is; with a Call's id it is answered with no error, if `answered`."""

    text: str
    answered: bool = True

    async def play(self, stage: Stage) -> None:
        if not self.answered:
            await stage.send(self.text)
            return
        got = await stage.said(self.text)
        assert isinstance(got, dict), f"answered with {got}"


@dataclass(frozen=True)
class Passes:
    """Time. `beat_s`: the charge point sends a Heartbeat so often."""

    seconds: float
    beat_s: float = 0.0

    async def play(self, stage: Stage) -> None:
        end = trio.current_time() + self.seconds
        while self.beat_s and trio.current_time() + self.beat_s < end:
            await trio.sleep(self.beat_s)
            await stage.said(stage.call("Heartbeat", {}))
        await trio.sleep(end - trio.current_time())


@dataclass(frozen=True)
class Redials:
    """It hangs up, and comes back."""

    after_s: float = 5.0

    async def play(self, stage: Stage) -> None:
        await stage.hang_up()
        await trio.sleep(self.after_s)
        await stage.dial()


@dataclass(frozen=True)
class Turns:
    """From now on the habits find this in their memory."""

    memory: dict[str, Any]

    async def play(self, stage: Stage) -> None:
        stage.memory |= self.memory


@dataclass(frozen=True)
class StopsNow:
    """It remembers that a session ended at this moment."""

    async def play(self, stage: Stage) -> None:
        stage.memory["stopped_at"] = trio.current_time()


# --- what the BMS does --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sets:
    """A write to a register, by the point's name."""

    point: str
    value: int | str
    connector: int = 1

    async def play(self, stage: Stage) -> None:
        await stage.bms.write(self.point, self.value, CP, self.connector)


@dataclass(frozen=True)
class Guards:
    """The watchdog, which has every charge point hold a fallback, and the heartbeat that keeps it content."""

    timeout_s: int = 3600
    limit_a: float = 6.0

    async def play(self, stage: Stage) -> None:
        await stage.bms.write("watchdog_action", 1)
        await stage.bms.write("watchdog_limit", round(10 * self.limit_a))
        await stage.bms.write("watchdog_timeout_s", self.timeout_s)
        await stage.bms.heartbeat()


@dataclass(frozen=True)
class Limits:
    """`limit` of connector 1 with its unit in one write; None takes it away."""

    limit: float | None
    unit: str = "A"

    async def play(self, stage: Stage) -> None:
        await stage.bms.set_limit(CP, 1, self.limit, self.unit)


@dataclass(frozen=True)
class Commands:
    """The command mailbox, and what comes of it."""

    command: str
    result: str = "Accepted"
    error: str = "none"
    arguments: dict[str, Any] = field(default_factory=dict)

    async def play(self, stage: Stage) -> None:
        outcome = await stage.bms.command(CP, self.command, timeout_s=200, **self.arguments)
        assert (outcome.result, outcome.error) == (self.result, self.error), outcome


# --- what is looked at --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shows:
    """A register reads this, by the point's name; None: not available."""

    point: str
    value: int | str | None
    connector: int = 1

    async def play(self, stage: Stage) -> None:
        read = await stage.bms.read(self.point, CP, self.connector)
        shown = codes.name_of(WORDS[self.point], read) if self.point in WORDS else read
        assert shown == self.value, f"{self.point} shows {shown!r}"


class Quirks:
    """`quirks` shows exactly these."""

    def __init__(self, *bits: QuirkBits) -> None:
        self.bits = reduce(lambda some, bit: some | bit, bits, QuirkBits(0))

    async def play(self, stage: Stage) -> None:
        shown = QuirkBits(await stage.bms.number("quirks", CP, 0))
        assert shown == self.bits, f"quirks show {shown!r}"


@dataclass(frozen=True)
class Asked:
    """The gateway asked for at least this, so many times since the beginning; None: once or more."""

    action: str
    payload: dict[str, Any] = field(default_factory=dict)
    times: int | None = None

    async def play(self, stage: Stage) -> None:
        count = sum(action == self.action and holds(payload, self.payload) for _, action, payload in stage.calls)
        assert count == self.times if self.times is not None else count, (
            f"{count} times {self.action} {self.payload}; asked: {[call[1:] for call in stage.calls]}"
        )


def never(action: str, **payload: Any) -> Asked:
    """The gateway never asked for this."""
    return Asked(action, payload, 0)


@dataclass(frozen=True)
class Remembers:
    """The charge point itself is in this state."""

    memory: dict[str, Any]

    async def play(self, stage: Stage) -> None:
        assert holds(stage.memory, self.memory), f"the charge point remembers {stage.memory}"


@dataclass(frozen=True)
class Linked:
    """Its link was lost so many times."""

    lost: int = 0

    async def play(self, stage: Stage) -> None:
        assert len(stage.ended) == self.lost, f"links ended at {stage.ended}"


# --- frames -------------------------------------------------------------------------------------------------------


def boot(vendor: str, model: str, **more: str) -> Says:
    payload = {"chargePointVendor": vendor, "chargePointModel": model, **more}
    return Says("BootNotification", payload, {"status": "Accepted"})


def status(word: str, connector: int = 1, **more: Any) -> Says:
    return Says("StatusNotification", {"connectorId": connector, "errorCode": "NoError", "status": word, **more})


def start(meter: int, id_tag: str = "TAG", time: str = "<now>Z") -> Says:
    payload = {"connectorId": 1, "idTag": id_tag, "meterStart": meter, "timestamp": time}
    return Says("StartTransaction", payload, {"idTagInfo": {"status": "Accepted"}})


def stop(meter: int, transaction: int | str = "<id>", **more: Any) -> Says:
    return Says("StopTransaction", {"transactionId": transaction, "meterStop": meter, "timestamp": "<now>Z", **more})


def sample(
    value: str, measurand: str = "Energy.Active.Import.Register", unit: str = "Wh", **more: str
) -> dict[str, str]:
    return {"value": value, "measurand": measurand, "unit": unit, **more}


def meter(*samples: dict[str, str], transaction: int | str | None = "<id>", time: str = "<now>Z") -> Says:
    payload: dict[str, Any] = {"connectorId": 1, "meterValue": [{"timestamp": time, "sampledValue": list(samples)}]}
    return Says("MeterValues", payload if transaction is None else payload | {"transactionId": transaction})
