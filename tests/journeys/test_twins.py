"""Each invariant is shown to catch a gateway that is deliberately broken: the same storm, one part built wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from gatewayd.ocpp.session import Session
from gatewayd.points.bank import Bank, IllegalAddress
from gatewayd.site import sessions
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.command import Command, Report
from gatewayd.site.connector import Connector
from gatewayd.site.decision import Decisions
from gatewayd.site.journal import Journal, SaveFact, SaveReading, SaveTransaction
from gatewayd.site.model import Site
from gatewayd.site.quirk_profile import QuirkProfile
from gatewayd.site.transaction import Transactions
from tests.journeys import chaos
from tests.journeys.invariant import Invariant

SEEDS = (2, 3, 4)
"""One storm need not touch what is broken: an id is given out twice only if a charge point starts before the restart
and after it. The first that does is enough."""

Patch = Callable[[], AbstractContextManager[object]]


def instead(owner: Any, name: str) -> Callable[[Callable[..., Any]], Patch]:
    """Makes of a function the twin in which it stands for `owner.name`; its first argument is what stood there."""

    def twin(function: Callable[..., Any]) -> Patch:
        proper = getattr(owner, name)

        def broken(*arguments: Any, **named: Any) -> Any:
            return function(proper, *arguments, **named)

        return functools.partial(patch.object, owner, name, broken)

    return twin


@instead(Session, "_pump")
def does_not_wait_for_answers(proper: Any, session: Session, now: float) -> None:
    while session.waiting and not session.closing:
        session.open_call = None
        proper(session, now)


@instead(Session, "opened")
def does_not_wait_for_boot(proper: Any, session: Session, now: float) -> None:
    proper(session, now)
    session.register(now)


@instead(Session, "reply")
def forgets_an_answer_now_and_then(proper: Any, session: Session, call_id: str, *rest: Any, **more: Any) -> None:
    if call_id[0] not in "0":
        proper(session, call_id, *rest, **more)


@instead(Session, "reply")
def says_some_answers_twice(proper: Any, session: Session, call_id: str, *rest: Any, **more: Any) -> None:
    for _ in range(2 if call_id[0] in "0" else 1):
        proper(session, call_id, *rest, **more)


@instead(Session, "closed")
def loses_commands_with_the_link(proper: Any, session: Session, now: float) -> None:
    session.waiting.clear()
    session.open_call = None
    proper(session, now)


@instead(Command, "report")
def a_late_answer_changes_an_outcome(proper: Any, command: Command, report: Report, now: float) -> None:
    command.finished = False
    proper(command, report, now)
    if report.final:
        command.origin.report(command, Report(report.state, 2, report.error), now + 1)
        command.report(report, now)


@instead(Site, "new_transaction_id")
def counts_in_a_circle(proper: Any, site: Site) -> int:
    return int(proper(site)) % 5 + 1


@instead(Journal, "write")
def forgets_ids_over_a_restart(proper: Any, journal: Journal, entry: Any, *rest: Any) -> int:
    count = isinstance(entry, SaveFact) and entry.name == "next_transaction_id"
    if count or (isinstance(entry, SaveTransaction | SaveReading) and entry.transaction.open):
        return journal.written
    return int(proper(journal, entry, *rest))


@instead(Bank, "read")
def serves_only_who_is_connected(proper: Any, bank: Bank, address: int, quantity: int) -> bytes:
    charge_point = bank.records.charge_points.get(address // 3000)
    if charge_point is not None and not charge_point.connected:
        raise IllegalAddress
    return bytes(proper(bank, address, quantity))


@instead(sessions, "status_changed")
def puts_a_status_down_at_the_last_one_as_well(proper: Any, connector: Connector, now: float) -> None:
    proper(connector, now)
    last = max(connector.charge_point.bank.charge_points.values(), key=lambda each: each.number)
    last.connectors[connector.number].status = connector.status
    last.connectors[connector.number].touch()


@instead(Decisions, "inform")
def keeps_every_end_for_ever(proper: Any, decisions: Decisions, request: Any, journal: Journal) -> None:
    proper(decisions, request, journal)
    decisions.informative.extend([request] * 10)


@instead(Journal, "write")
def does_not_write_ends_down(proper: Any, journal: Journal, entry: Any, *rest: Any) -> int:
    if isinstance(entry, SaveTransaction) and not entry.transaction.open:
        return journal.written
    return int(proper(journal, entry, *rest))


@instead(Transactions, "known_start")
def does_not_know_a_start_that_comes_again(proper: Any, *arguments: Any) -> None:
    return None


@instead(ChargePoint, "take_quirks")
def asks_nobody_for_a_status(proper: Any, charge_point: ChargePoint, profile: QuirkProfile) -> None:
    proper(charge_point, replace(profile, own_questions=False))


TWINS = (
    (Invariant.one_call, does_not_wait_for_answers),
    (Invariant.quiet_before_boot, does_not_wait_for_boot),
    (Invariant.answered, forgets_an_answer_now_and_then),
    (Invariant.answered, says_some_answers_twice),
    (Invariant.outcome, loses_commands_with_the_link),
    (Invariant.outcome, a_late_answer_changes_an_outcome),
    (Invariant.transaction_ids, counts_in_a_circle),
    (Invariant.transaction_ids, forgets_ids_over_a_restart),
    (Invariant.served, serves_only_who_is_connected),
    (Invariant.neighbours, puts_a_status_down_at_the_last_one_as_well),
    (Invariant.buffers, keeps_every_end_for_ever),
    (Invariant.energy, does_not_write_ends_down),
    (Invariant.energy, does_not_know_a_start_that_comes_again),
    (Invariant.consistent, asks_nobody_for_a_status),
)


def _name(value: object) -> str | None:
    if isinstance(value, Invariant):
        return value.name
    return value.args[2].__closure__[0].cell_contents.__name__ if isinstance(value, functools.partial) else None


@pytest.mark.parametrize(("invariant", "broken"), TWINS, ids=_name)
def test_a_broken_build_is_complained_of(invariant: Invariant, broken: Patch) -> None:
    storms = (chaos.run(seed, chaos.SMALL, broken, enough=invariant) for seed in SEEDS)
    assert any(invariant in found.broken for found in storms), f"{invariant.value}: nothing noticed"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_build_that_is_not_broken_is_not(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    found = chaos.run(seed, chaos.SMALL, nullcontext)
    assert not found.broken, str(found)


def test_no_invariant_is_without_a_twin() -> None:
    assert {invariant for invariant, _ in TWINS} == set(Invariant)
