"""SIGKILL at random instants under load, and then the books of both sides compared to the Wh (promises, R9).

The charge points are the simulated ones with books of their own; the BMS decides, and notes every end it is told of.
What a charge point got an answer to must be in the gateway, once; what it got none to it says again.
"""

from __future__ import annotations

import json
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import trio

from tests.process.daemon import Daemon, charge_points
from tests.simulator.bms import BadAnswer, Bms, ConnectionLost, ModbusError
from tests.simulator.charge_point import ChargePoint, Transaction, Vehicle

CHARGE_POINTS = ("KILL1", "KILL2", "KILL3", "KILL4")
LIFE_S = (0.05, 1.6)
"""How long a life lasts after `ready`; some end before."""
STILLBORN = 0.15
"""The share of lives that end while the daemon is still starting."""
START_UP_S = (0.0, 0.8)
STAYS_S = ((0.3, 2.5), (4.0, 10.0))
"""How long cars stay, by connector: sessions that begin and end in the neighbourhood of every kill, and such that
outlive it."""
CONNECTORS = len(STAYS_S)
BACKLOG_MAX = 8
"""No car comes while a charge point has more to say: of ends that nobody confirms the gateway keeps 16, and a charge
point that says a long queue at once lets nobody confirm, because its starts come first."""
CALM_TIMEOUT_S = 90.0
TROUBLE = (OSError, ModbusError, BadAnswer, ConnectionLost, trio.TooSlowError, ValueError)

Key = tuple[int, int]
"""Number of a charge point, transaction id."""


@dataclass
class Books:
    """What was acknowledged, as those heard it to whom it was said."""

    faults: list[str] = field(default_factory=list)
    readings: dict[Key, int] = field(default_factory=dict)
    """Highest acknowledged meter reading of each transaction."""
    ends: dict[Key, set[tuple[int, int]]] = field(default_factory=dict)
    """What the BMS was told of each end: (meter stop, session energy)."""
    kills: int = 0
    looked_at: int = 0
    """Open transactions that were looked at right after a restart."""


class Ear:
    """Hears the frames of one charge point: which meter readings were answered."""

    def __init__(self, number: int, books: Books) -> None:
        self._number, self._books = number, books
        self._asked: dict[str, tuple[Key, int]] = {}

    def __call__(self, direction: str, text: str) -> None:
        frame = json.loads(text)
        if direction == "sent" and frame[0] == 2 and frame[2] == "MeterValues" and "transactionId" in frame[3]:
            samples = [s for value in frame[3]["meterValue"] for s in value["sampledValue"]]
            for sample in samples:
                if sample.get("measurand", "").startswith("Energy.Active.Import.Register"):
                    key = self._number, int(frame[3]["transactionId"])
                    self._asked[frame[1]] = key, int(float(sample["value"]))
        elif direction == "received" and frame[0] == 3 and frame[1] in self._asked:
            key, reading = self._asked.pop(frame[1])
            self._books.readings[key] = max(reading, self._books.readings.get(key, 0))


class Trial:
    """One daemon with its load; `run` kills it so many times and returns the faults found."""

    def __init__(self, folder: Path, seed: int, program: Sequence[str] = ()) -> None:
        self.daemon = Daemon(folder, charge_points(*CHARGE_POINTS, connectors=CONNECTORS), program=program)
        self.books = Books()
        self._random = Random(f"kill/{seed}")
        self._driving = True
        self.charge_points: list[ChargePoint] = []

    async def run(self, kills: int) -> list[str]:
        async with trio.open_nursery() as nursery:
            await self._begin(nursery)
            while self.books.kills < kills and not self.books.faults:
                await self._one_life()
            self._driving = False
            if not self.books.faults:
                await self._calm()
            nursery.cancel_scope.cancel()
        code = await self.daemon.stop(signal.SIGTERM)
        if code:
            self.books.faults.append(f"the last stop ended with {code}")
        if not self.books.faults:
            self._compare()
        return self.books.faults

    async def _begin(self, nursery: trio.Nursery) -> None:
        await self.daemon.start()
        bms = await self.daemon.bms()
        await bms.write("decision_timeout", 30)
        await trio.sleep(1.2)  # until it is durable
        for number, identity in enumerate(CHARGE_POINTS, 1):
            made = self.daemon.charge_point(identity, CONNECTORS)
            made.trace = Ear(number, self.books)
            self.charge_points.append(made)
            await nursery.start(made.run)
            for connector in range(1, CONNECTORS + 1):
                nursery.start_soon(self._drive, made, connector, Random(f"{identity}/{connector}"))
        nursery.start_soon(self._decide)

    async def _one_life(self) -> None:
        """From a running daemon to the next running daemon; what stands in the registers is looked at first."""
        await trio.sleep(self._random.uniform(*LIFE_S))
        await self.daemon.kill()
        self.books.kills += 1
        if self._random.random() < STILLBORN:
            await self.daemon.launch()
            await trio.sleep(self._random.uniform(*START_UP_S))
            await self.daemon.kill()
            self.books.kills += 1
        self._check_ledger_after_kill()
        await self.daemon.start()
        await self._look_at_open_ones()

    # --- load -----------------------------------------------------------------------------------------------

    async def _drive(self, charge_point: ChargePoint, connector: int, random: Random) -> None:
        """One driver after the other."""
        while self._driving:
            while charge_point.outbox.waiting_durable > BACKLOG_MAX:  # noqa: ASYNC110  nobody announces that
                await trio.sleep(0.05)
            charge_point.plug(connector, Vehicle(soc_percent=random.uniform(20, 60)))
            with trio.move_on_after(8):
                if await charge_point.present_tag(f"TAG{connector}", connector) == "Accepted":
                    await trio.sleep(random.uniform(*STAYS_S[connector - 1]))
            charge_point.unplug(connector)
            await trio.sleep(random.uniform(0.05, 0.3))

    async def _decide(self) -> None:
        """A BMS that accepts everybody and confirms every end, and connects again whenever it must."""
        while True:
            with suppress(*TROUBLE):
                bms = await self.daemon.bms()
                bms.client.timeout_s = 1.0
                while True:
                    for number in range(1, len(CHARGE_POINTS) + 1):
                        await self._decide_one(bms, number)
                    await trio.sleep(0.02)
            await trio.sleep(0.05)

    async def _decide_one(self, bms: Bms, number: int) -> None:
        request = await bms.request(number)
        if request is None:
            return
        if request.informative:
            told = self.books.ends.setdefault((number, request.transaction_id), set())
            told.add((request.meter_wh, request.session_energy_wh))
        await bms.respond(request)

    # --- comparing ------------------------------------------------------------------------------------------

    def _rows(self) -> dict[Key, tuple[int, str, int, int, int | None]]:
        """The gateway's own books: (connector, stamp, meter start, last reading, meter stop)."""
        with closing(sqlite3.connect(self.daemon.ledger)) as ledger:
            rows = ledger.execute(
                "SELECT charge_point, id, connector, start_stamp, meter_start_wh, last_wh, meter_stop_wh "
                "FROM charging_transaction"
            )
            return {(row[0], row[1]): row[2:] for row in rows}

    @property
    def sessions(self) -> int:
        """That the charge points have in their books."""
        return sum(len(charge_point.books) for charge_point in self.charge_points)

    def _fault(self, text: str) -> None:
        self.books.faults.append(f"after {self.books.kills} kills: {text}")

    def _check_ledger_after_kill(self) -> None:
        """Right after a kill: nothing that was acknowledged is missing in the file."""
        rows = self._rows()
        for key, reading in self.books.readings.items():
            if key not in rows:
                self._fault(f"transaction {key} had an acknowledged reading and is not there")
            elif rows[key][3] < reading:
                self._fault(f"transaction {key}: reading {reading} was acknowledged, {rows[key][3]} is there")
        for number, book in self._known():
            row = rows.get((number, book.transaction_id or 0))
            if row is None:
                self._fault(f"the start of {(number, book.transaction_id)} was acknowledged and is not there")
            elif book.stop_acknowledged and row[4] != book.meter_stop_wh:
                self._fault(f"the stop of {(number, book.transaction_id)} at {book.meter_stop_wh} reads {row[4]}")

    def _known(self) -> Iterator[tuple[int, Transaction]]:
        """The sessions whose start was acknowledged, by the number of their charge point."""
        for number, charge_point in enumerate(self.charge_points, 1):
            for book in charge_point.books:
                if book.start_acknowledged:
                    yield number, book

    async def _look_at_open_ones(self) -> None:
        """The first reads of a new life: a transaction that runs stands there, with what was acknowledged."""
        running = [
            (number, charge_point.transaction(connector))
            for number, charge_point in enumerate(self.charge_points, 1)
            for connector in range(1, CONNECTORS + 1)
        ]
        bms = await self.daemon.bms()
        for number, book in running:
            if book is None or not book.start_acknowledged or not book.running:
                continue
            shown = await bms.number("transaction_id", number, book.connector)
            if book.running and shown != book.transaction_id:
                self._fault(f"{(number, book.transaction_id)} runs, connector {book.connector} shows {shown}")
                continue
            energy = await bms.number("session_energy_wh", number, book.connector)
            heard = self.books.readings.get((number, book.transaction_id or 0), 0) - book.meter_start_wh
            if book.running and energy < heard:
                self._fault(f"{(number, book.transaction_id)}: {heard} Wh were acknowledged, {energy} are shown")
            self.books.looked_at += 1
        await bms.client.close()

    async def _calm(self) -> None:
        """The drivers leave, everything that waits is said and answered, the BMS confirms it all."""
        with trio.move_on_after(CALM_TIMEOUT_S) as waited:
            while not self._is_calm():  # noqa: ASYNC110  the BMS polls, so do we
                await trio.sleep(0.1)
        if waited.cancelled_caught:
            for number, charge_point in enumerate(self.charge_points, 1):
                for book in charge_point.books:
                    if not book.stop_acknowledged:
                        self._fault(f"charge point {number} waits for answers still: {book}")
            for number, book in self._known():
                if (number, book.transaction_id) not in self.books.ends:
                    self._fault(f"the BMS was never told of the end of {(number, book.transaction_id)}")

    def _is_calm(self) -> bool:
        said = all(book.stop_acknowledged for charge_point in self.charge_points for book in charge_point.books)
        return said and all((number, book.transaction_id) in self.books.ends for number, book in self._known())

    def _compare(self) -> None:
        """At the end: each session once, equal to the Wh, in the ledger and as the BMS was told."""
        rows = self._rows()
        starts = Counter((key[0], *row[:3]) for key, row in rows.items())
        for start, times in starts.items():
            if times > 1:
                self._fault(f"{times} transactions for the same start {start}")
        ids = Counter(book.transaction_id for _, book in self._known())
        for given, times in ids.items():
            if times > 1:
                self._fault(f"id {given} was given {times} times")
        for number, book in self._known():
            key = number, book.transaction_id or 0
            row = rows.pop(key, None)
            if row is None:
                self._fault(f"{key} is lost")
                continue
            if (row[2], row[4]) != (book.meter_start_wh, book.meter_stop_wh):
                self._fault(f"{key} is {row}, the charge point has {book.meter_start_wh}..{book.meter_stop_wh}")
            told = self.books.ends.get(key, set())
            if told != {(book.meter_stop_wh, book.energy_wh)}:
                self._fault(f"the BMS was told {told} of {key}, the charge point has {book.energy_wh} Wh")
        for key, row in rows.items():
            self._fault(f"{key} {row} is in the ledger and in nobody's books")
