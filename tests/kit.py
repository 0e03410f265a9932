"""The whole central role without sockets or clocks: a site, its banks, and charge points as wire ends.

kit = Kit()                                  # CP001 with 2 connectors as charge point 1
cp = kit.connect("CP001"); cp.boot()
kit.write(3000 + 300 + 18, 1)                # registers as the BMS writes them
(call,) = cp.calls()                         # what the gateway asked: Frame(id, action, payload)
cp.answer(call, {"status": "Accepted"})
kit.read(3000 + 300 + 223)                   # and reads them
kit.run_until(kit.now + 60)                  # virtual time: everything due in between happens
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any, NamedTuple

from gatewayd import assembly, config
from gatewayd.ocpp.session import Close, Send, Session
from gatewayd.points.bank import Bank
from gatewayd.site.timestamp import format_utc

EPOCH = 1_767_225_600.0
"""2026-01-01T00:00:00Z, when every kit starts."""
START = 1000.0
"""Monotonic time of the start."""


class Frame(NamedTuple):
    """A Call as it went over the wire."""

    id: str
    action: str
    payload: Any


class WireEnd:
    """The charge point's end of one connection: texts in and out, and nothing else."""

    def __init__(self, kit: Kit, identity: str) -> None:
        self.kit = kit
        entry = next(each for each in kit.config.charge_points if each.identity == identity)
        ocpp = kit.config.ocpp
        self.session = Session(
            kit.site.charge_points[identity],
            f"{entry.number}-{len(kit.ends)}-",
            ocpp.call_timeout_s,
            ocpp.heartbeat_interval_s,
            frozenset(ocpp.ask_bms),
        )
        self.closed: tuple[int, str] | None = None
        self._sent: list[Any] = []
        self._numbers = 0
        self.session.opened(kit.now)

    def send_text(self, text: str) -> None:
        """Anything at all, as it is."""
        self.session.received(text, self.kit.now)

    def send(self, action: str, payload: Any, unique_id: str | None = None) -> Any:
        """A Call; returns the payload of its answer, the whole frame of a CALLERROR, or None while there is none."""
        self._numbers += 1
        unique_id = unique_id or f"cp-{self._numbers}"
        self.send_text(json.dumps([2, unique_id, action, payload]))
        return self.answer_to(unique_id)

    def answer_to(self, unique_id: str) -> Any:
        """The answer to a Call of this id, if it came by now."""
        for frame in self.frames():
            if frame[1] == unique_id and frame[0] in (3, 4):
                return frame[2] if frame[0] == 3 else frame
        return None

    def frames(self) -> list[Any]:
        """Everything the gateway has sent on this connection, decoded."""
        while self.session.words:
            word = self.session.words.popleft()
            if isinstance(word, Send):
                self._sent.append(json.loads(word.text))
            elif isinstance(word, Close):
                self.closed = (word.code, word.reason)
        return self._sent

    def calls(self) -> list[Frame]:
        """The Calls of the gateway that were not looked at yet."""
        found = [Frame(*frame[1:4]) for frame in self.frames() if frame[0] == 2]
        self._sent = [frame for frame in self._sent if frame[0] != 2]
        return found

    def answer(self, call: Frame, payload: Any) -> None:
        """Answer a Call of the gateway."""
        self.send_text(json.dumps([3, call.id, payload]))

    def refuse(self, call: Frame, code: str, description: str = "") -> None:
        """Answer a Call of the gateway with a CALLERROR."""
        self.send_text(json.dumps([4, call.id, code, description, {}]))

    def boot(self, **more: Any) -> Any:
        """A BootNotification; the answer."""
        return self.send("BootNotification", {"chargePointVendor": "Kit", "chargePointModel": "Wire", **more})

    def status(self, connector: int, status: str, **more: Any) -> Any:
        """A StatusNotification of now."""
        payload = {"connectorId": connector, "errorCode": "NoError", "status": status, "timestamp": self.kit.stamp()}
        return self.send("StatusNotification", payload | more)

    def disconnect(self) -> None:
        self.session.closed(self.kit.now)


class Kit:
    """A gateway in virtual time. `toml` is added to the configuration; without charge points there is CP001."""

    def __init__(self, toml: str = "") -> None:
        if "[[charge_point]]" not in toml:
            toml += '\n[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'
        self.config = config.parse(toml, "kit.toml")
        self.now = START
        self.site = assembly.build_site(self.config, START, EPOCH, "KIT")
        self.units = assembly.build_units(self.site, self.config)
        self.ends: list[WireEnd] = []

    @property
    def epoch(self) -> float:
        return self.site.clock.epoch(self.now)

    def stamp(self, ago_s: float = 0.0) -> str:
        """A timestamp as charge points write it."""
        return format_utc(self.epoch - ago_s)

    def connect(self, identity: str = "CP001") -> WireEnd:
        """A charge point dials in; its older connection, if any, is left for the test to close."""
        end = WireEnd(self, identity)
        self.ends.append(end)
        return end

    def bank(self, unit: int) -> Any:
        found = self.units.find(unit)
        assert found is not None, f"nobody has unit id {unit}"
        return found

    @property
    def bank_1(self) -> Bank:
        return self.units.banks()[0]

    def read(self, address: int, quantity: int = 1, unit: int = 1) -> Any:
        """One register as a number, several as a list."""
        data = self.bank(unit).read(address, quantity)
        numbers = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
        return numbers[0] if quantity == 1 else numbers

    def read_32(self, address: int, *, signed: bool = False, unit: int = 1) -> int:
        """A 32-bit point in word order big."""
        return int.from_bytes(self.bank(unit).read(address, 2), "big", signed=signed)

    def read_text(self, address: int, registers: int, unit: int = 1) -> str:
        text: bytes = self.bank(unit).read(address, registers)
        return text.rstrip(b"\0").decode("ascii")

    def write(self, address: int, *registers: int, client: Hashable = "bms", unit: int = 1) -> None:
        """FC6 or FC16; negative numbers as two's complement."""
        data = b"".join((register & 0xFFFF).to_bytes(2, "big") for register in registers)
        self.bank(unit).write(address, data, client, self.now)

    def write_32(self, address: int, value: int, client: Hashable = "bms", unit: int = 1) -> None:
        self.bank(unit).write(address, (value & 0xFFFFFFFF).to_bytes(4, "big"), client, self.now)

    def write_text(self, address: int, text: str, registers: int, client: Hashable = "bms", unit: int = 1) -> None:
        self.bank(unit).write(address, text.encode("ascii").ljust(2 * registers, b"\0"), client, self.now)

    def run_until(self, when: float) -> None:
        """Let time pass: the agenda is done in order, second by second as the daemon does."""
        while self.now < when:
            due = self.site.agenda.next()
            self.now = min(when, max(self.now, due) if due is not None else when, self.now + 1)
            self.site.advance(self.now)
            self.site.agenda.run(self.now)
            self.site.journal.settle(self.now)
            self.units.tick()

    def run_for(self, seconds: float) -> None:
        self.run_until(self.now + seconds)
