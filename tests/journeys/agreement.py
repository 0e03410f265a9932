"""Whether registers, ledger and charge points tell the same story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.journeys.inspector import Inspector
from tests.journeys.ledger_reader import Booked, transactions
from tests.simulator.bms import codes
from tests.simulator.central_system import CentralSystem
from tests.simulator.charge_point import ChargePoint, Transaction

SAME_TIME_S = 0.01  # stamps have milliseconds


def disagreements(
    inspector: Inspector,
    number: int,
    cp: ChargePoint,
    limits_a: Mapping[tuple[int, int], float | None],
    sample_interval_s: float,
) -> Iterator[str]:
    """What of one charge point's registers is not what it would say itself."""

    def read(name: str, connector: int | None = None) -> object:
        return inspector.read(name, number, connector)

    if not (cp.registered and read("connected") and read("registered")) or read("comm_error"):
        yield "is not connected"
        return
    running_now = sum(place.transaction is not None for place in cp.connectors)
    if cp.outbox.waiting_durable > running_now or not all(mine.start_acknowledged for mine in cp.books):
        yield f"still has {cp.outbox.waiting_durable} messages to say"  # one reading each may be on its way
    if read("decision_pending"):
        yield "waits for a decision"
    for place in cp.connectors:
        k, running = place.number, place.transaction
        if (shown := codes.name_of(codes.STATUSES, read("status", k))) != place.status():
            yield f"connector {k} is {place.status()}, shown is {shown}"
        if bool(read("transaction_active", k)) != (running is not None):
            yield f"connector {k}: a transaction runs: {running is not None}, shown is {not running}"
        if running and read("transaction_id", k) != running.transaction_id:
            yield f"connector {k}: transaction {running.transaction_id}, shown is {read('transaction_id', k)}"
        last = next((mine for mine in reversed(cp.books) if mine.connector == k), None)
        if last and not last.running and read("session_energy_wh", k) != last.energy_wh:
            yield f"connector {k}: {last.energy_wh} Wh charged, shown is {read('session_energy_wh', k)}"
        yield from _limit(inspector, number, cp, k, limits_a.get((number, k)))
        if running:
            shown_wh, meter_wh = read("energy_active_import_wh", k), cp.meter_wh(k)
            late_wh = 23_000 / 3600 * (sample_interval_s + 5)
            if not isinstance(shown_wh, int) or not meter_wh - late_wh <= shown_wh <= meter_wh:
                yield f"connector {k}: the meter reads {meter_wh} Wh, shown is {shown_wh}"


def _limit(inspector: Inspector, number: int, cp: ChargePoint, k: int, wanted_a: float | None) -> Iterator[str]:
    ceiling_a = 32.0
    holds_a = ceiling_a if wanted_a is None else min(wanted_a, ceiling_a)
    if abs(cp.effective_limit_a(k) - holds_a) > 0.05:
        result = inspector.read("limit_result", number, k)
        yield f"connector {k}: {wanted_a} A wanted, {cp.effective_limit_a(k)} A hold; limit_result {result}"
    elif wanted_a is not None and inspector.read("limit_active", number, k) != round(holds_a * 10):
        yield f"connector {k}: {holds_a} A hold, limit_active is {inspector.read('limit_active', number, k)}"


def unbooked(path: Path, charge_points: Mapping[int, ChargePoint], since: float = 0.0) -> Iterator[str]:
    """Where the ledger differs from what the charge points have in their books: every acknowledged transaction is
    there, to the Wh, once, and nothing else is (promises, R9). `since`: only what began at this time or later."""
    rows = [row for row in transactions(path) if row.start_epoch >= since]
    for number, cp in charge_points.items():
        left = {row.id: row for row in rows if row.charge_point == number}
        for mine in cp.books:
            found = [row for row in left.values() if _same_start(row, mine)]
            for row in found:
                del left[row.id]
            what = f"{cp.identity} connector {mine.connector} {mine.id_tag}"
            if len(found) != 1:
                if found or mine.start_acknowledged:
                    yield f"{what}: is in the ledger {len(found)} times"
                continue
            (row,) = found
            if mine.start_acknowledged and row.id != mine.transaction_id:
                yield f"{what}: transaction {mine.transaction_id} is booked as {row.id}"
            if mine.stop_acknowledged and (row.meter_stop_wh != mine.meter_stop_wh or row.incomplete):
                yield f"{what}: ended at {mine.meter_stop_wh} Wh, booked is {row.meter_stop_wh}"
        for row in left.values():
            yield f"{cp.identity}: nobody charged {row}"


def unequal_books(central: CentralSystem, charge_points: Iterable[ChargePoint]) -> Iterator[str]:
    """Where a central system's books differ from the charge points' own: every transaction stands there, once and to
    the Wh."""
    theirs = Counter(
        (each.identity, each.connector, each.id_tag, each.meter_start_wh, each.meter_stop_wh)
        for each in central.books.values()
    )
    mine = Counter(
        (cp.identity, each.connector, each.id_tag, each.meter_start_wh, each.meter_stop_wh)
        for cp in charge_points
        for each in cp.books
    )
    for each in (mine - theirs).elements():
        yield f"the central system does not know {each} of"
    for each in (theirs - mine).elements():
        yield f"the central system knows too much: {each}"


def _same_start(row: Booked, mine: Transaction) -> bool:
    return (
        (row.connector, row.id_tag, row.meter_start_wh) == (mine.connector, mine.id_tag, mine.meter_start_wh)
        and abs(row.start_epoch - mine.started_at) < SAME_TIME_S
    )  # fmt: skip
