"""Sessions on a charge point: ocpp.md, Transactions, and quirks T1 to T8, from the wire to registers and journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from gatewayd.assembly import restore_site
from gatewayd.ocpp.session import Send
from gatewayd.services.ledger.writer import Ledger
from gatewayd.site.codes import QuirkBits, StopReason
from gatewayd.site.journal import SaveFact, SaveInformative, SaveReading, SaveTransaction
from gatewayd.site.transaction import KEPT_TRANSACTIONS, TAKEN_OVER_MAX, Transaction
from tests.kit import EPOCH, Kit, WireEnd

C1, C2 = 3300, 3600
ACTIVE, NEEDS_AUTHORIZATION, STOP_REASON, ID, START, DURATION, METER_START, ENERGY, METER_STOP, TAG = (
    5, 8, 35, 40, 42, 44, 46, 48, 50, 54,
)  # fmt: skip
COUNT, TIME_TOTAL = 228, 230
QUIRKS, INFORMATIVE = 3044, 3060


def booted(toml: str = "") -> tuple[Kit, WireEnd]:
    kit = Kit(toml)
    kit.write(18, 1)  # decision_default: accept
    kit.write(17, 10)
    end = kit.connect()
    end.boot()
    return kit, end


def start(kit: Kit, end: WireEnd, meter: int, *, connector: int = 1, ago_s: float = 0, **more: Any) -> int:
    payload = {"connectorId": connector, "idTag": "TAG", "meterStart": meter, "timestamp": kit.stamp(ago_s)} | more
    unique_id = f"start {kit.now} {connector} {meter} {ago_s}"
    end.send("StartTransaction", payload, unique_id)
    kit.run_for(1)
    transaction: int = end.answer_to(unique_id)["transactionId"]
    return transaction


def stop(kit: Kit, end: WireEnd, transaction: int, meter: int, *, ago_s: float = 0, **more: Any) -> Any:
    payload = {"transactionId": transaction, "meterStop": meter, "timestamp": kit.stamp(ago_s)} | more
    return end.send("StopTransaction", payload)


def energy(end: WireEnd, wh: float, transaction: int | None = None, *, connector: int = 1, ago_s: float = 0) -> Any:
    values = [{"timestamp": end.kit.stamp(ago_s), "sampledValue": [{"value": f"{wh}"}]}]
    payload = {"connectorId": connector, "meterValue": values}
    return end.send("MeterValues", payload | ({} if transaction is None else {"transactionId": transaction}))


def known(kit: Kit, transaction: int) -> Transaction:
    found = kit.site.charge_points["CP001"].transactions.by_id(transaction)
    assert found is not None
    return found


def informed(kit: Kit) -> Iterator[tuple[int, int, int]]:
    """What the BMS hears of ends: transaction, meter, energy; each confirmed."""
    while kit.read(INFORMATIVE):
        yield kit.read_32(3068, signed=True), kit.read_32(3066), kit.read_32(3084)
        kit.write(3102, kit.read(INFORMATIVE))


async def restarted(kit: Kit, directory: Path, toml: str = "") -> Kit:
    path = directory / "ledger.sqlite"
    async with trio.open_nursery() as nursery:
        await nursery.start(Ledger(path).run, kit.site.journal)
        nursery.cancel_scope.cancel()
    new = Kit(toml)
    restore_site(new.site, Ledger(path).load())
    return new


class TestOneSession:
    def test_shows_while_it_runs_and_until_the_next_start(self) -> None:
        kit, end = booted()
        end.status(1, "Preparing")
        assert kit.read(C1 + NEEDS_AUTHORIZATION) == 1
        began = int(kit.epoch)
        one = start(kit, end, 5000)
        assert (kit.read(C1 + ACTIVE), kit.read(C1 + NEEDS_AUTHORIZATION)) == (1, 0)
        assert kit.read_32(C1 + ID, signed=True) == one
        assert kit.read_32(C1 + START) == began
        assert kit.read_32(C1 + METER_START) == 5000
        assert kit.read_text(C1 + TAG, 10) == "TAG"
        kit.run_for(599)
        energy(end, 6500)
        assert (kit.read_32(C1 + DURATION), kit.read_32(C1 + ENERGY), kit.read_32(44 + 2)) == (600, 1500, 1500)
        kit.run_for(300)
        assert stop(kit, end, one, 7001, reason="EVDisconnected") == {}
        kit.run_for(3600)
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ID, signed=True)) == (0, 0)
        assert (kit.read_32(C1 + DURATION), kit.read_32(C1 + ENERGY)) == (900, 2001)
        assert kit.read_32(C1 + METER_STOP) == 7001
        assert kit.read(C1 + STOP_REASON) == StopReason.EVDisconnected
        assert kit.read_text(C1 + TAG, 10) == "TAG"
        assert (kit.read_32(C1 + COUNT), kit.read_32(C1 + TIME_TOTAL)) == (1, 900)
        two = start(kit, end, 7001, idTag="NEXT")
        assert two > one
        assert kit.read_text(C1 + TAG, 10) == "NEXT"
        assert (kit.read_32(C1 + DURATION), kit.read_32(C1 + ENERGY)) == (1, 0)

    @pytest.mark.parametrize(
        ("reason", "code"),
        [({}, StopReason.Local), *(({"reason": r.name}, r) for r in StopReason if 0 < r < StopReason.unlisted)],
    )
    def test_ends_for_the_reason_that_is_said(self, reason: dict[str, Any], code: StopReason) -> None:
        kit, end = booted()
        assert stop(kit, end, start(kit, end, 0), 10, **reason) == {}
        assert kit.read(C1 + STOP_REASON) == code
        assert not kit.read(QUIRKS) & QuirkBits.unlisted_value

    def test_a_reason_that_nobody_lists_is_answered_normally(self) -> None:
        kit, end = booted()
        assert stop(kit, end, start(kit, end, 0), 10, reason="Boredom") == {}
        assert kit.read(C1 + STOP_REASON) == StopReason.unlisted
        assert kit.read(QUIRKS) & QuirkBits.unlisted_value

    def test_its_energy_is_stop_minus_start_to_the_wh_whatever_the_meter_said_between(self) -> None:
        kit, end = booted()
        one = start(kit, end, 1_000_000_001)
        energy(end, 1_000_009_999.7, one)
        assert kit.read_32(C1 + ENERGY) == 9998
        stop(kit, end, one, 1_000_009_998)
        assert kit.read_32(C1 + ENERGY) == 9997
        assert list(informed(kit)) == [(one, 1_000_009_998, 9997)]
        assert not kit.read(QUIRKS) & QuirkBits.energy_backwards

    def test_an_end_below_its_start_is_no_energy_and_a_quirk(self) -> None:
        kit, end = booted()
        stop(kit, end, start(kit, end, 500), 400)
        assert kit.read_32(C1 + ENERGY) == 0
        assert kit.read(QUIRKS) & QuirkBits.energy_backwards

    def test_two_connectors_do_not_meet(self) -> None:
        kit, end = booted()
        one, two = start(kit, end, 100), start(kit, end, 200, connector=2)
        energy(end, 150, one)
        energy(end, 290, two, connector=2)
        stop(kit, end, two, 300)
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ENERGY)) == (1, 50)
        assert (kit.read(C2 + ACTIVE), kit.read_32(C2 + ENERGY)) == (0, 100)

    def test_a_reservation_that_it_used_is_over(self) -> None:
        kit, end = booted()
        kit.site.charge_points["CP001"].connectors[1].reservation_id = 9
        start(kit, end, 0, reservationId=9)
        assert kit.read_32(C1 + 52) == 0


class TestDurability:
    def words(self, end: WireEnd) -> list[Send]:
        found = [word for word in end.session.words if isinstance(word, Send)]
        end.session.words.clear()
        return found

    def entries(self, kit: Kit, kind: type) -> list[int]:
        return [n + 1 for n, entry in enumerate(kit.site.journal.waiting) if isinstance(entry, kind)]

    def test_start_values_and_stop_are_answered_when_they_are_on_the_disk_and_not_before(self) -> None:
        kit, end = booted()
        end.frames()
        for _ in range(2):  # the second time around it is all repeated
            text = f'{{"connectorId":1,"idTag":"T","meterStart":5,"timestamp":"{kit.stamp(kit.epoch - EPOCH)}"}}'
            end.send_text(f'[2,"a","StartTransaction",{text}]')
            kit.run_for(1)
            (word,) = self.words(end)
            assert word.withheld
            assert word.durable >= self.entries(kit, SaveTransaction)[-1]
        end.send_text(
            f'[2,"b","MeterValues",{{"connectorId":1,"transactionId":1,"meterValue":[{{"timestamp":"{kit.stamp()}",'
            '"sampledValue":[{"value":"9"}]}]}]'
        )
        (word,) = self.words(end)
        assert (word.withheld, word.durable) == (True, self.entries(kit, SaveReading)[-1])
        for _ in range(2):
            text = f'{{"transactionId":1,"meterStop":9,"timestamp":"{kit.stamp(kit.epoch - EPOCH)}"}}'
            end.send_text(f'[2,"c","StopTransaction",{text}]')
            (word,) = self.words(end)
            assert word.withheld
            assert word.durable >= max(self.entries(kit, SaveTransaction)[-1], self.entries(kit, SaveInformative)[-1])
        assert len(self.entries(kit, SaveInformative)) == 1

    def test_a_session_whose_end_was_answered_is_counted_for_good(self) -> None:
        kit, end = booted()
        for count in (1, 2):  # two within the pace of settings
            one = start(kit, end, 100)
            kit.run_for(2)
            stop(kit, end, one, 500)
            facts = {entry.name: entry.value for entry in kit.site.journal.waiting if isinstance(entry, SaveFact)}
            assert facts["1/1/session_count"] == count
            assert facts["1/1/session_time_total_s"] == kit.read_32(C1 + 230) > 0

    @pytest.mark.parametrize(
        ("action", "payload"),
        [
            ("Heartbeat", "{}"),
            ("StatusNotification", '{"connectorId":1,"errorCode":"NoError","status":"Available"}'),
            ("MeterValues", '{"connectorId":1,"meterValue":[{"timestamp":"x","sampledValue":[{"value":"9"}]}]}'),
            ("BootNotification", '{"chargePointVendor":"V","chargePointModel":"M"}'),
            ("FirmwareStatusNotification", '{"status":"Idle"}'),
        ],
    )
    def test_what_is_no_transaction_waits_for_no_disk(self, action: str, payload: str) -> None:
        _, end = booted()
        end.frames()
        end.send_text(f'[2,"a","{action}",{payload}]')
        (word,) = self.words(end)
        assert (word.durable, word.withheld) == (0, False)

    async def test_ids_go_on_after_a_restart_and_what_ran_runs_on(self, tmp_path: Path) -> None:
        kit, end = booted()
        one, two = start(kit, end, 100), start(kit, end, 200, connector=2)
        energy(end, 350, two, connector=2)
        stop(kit, end, one, 150)
        kit = await restarted(kit, tmp_path)
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ENERGY), kit.read_32(C1 + METER_STOP)) == (0, 50, 150)
        assert (kit.read(C2 + ACTIVE), kit.read_32(C2 + ENERGY), kit.read_32(C2 + ID)) == (1, 150, two)
        assert kit.read_32(C1 + COUNT) == 1
        kit.write(18, 1)
        end = kit.connect()
        assert stop(kit, end, two, 400) == {}
        assert kit.read_32(C2 + ENERGY) == 200
        assert start(kit, end, 150) > max(one, two)


class TestT1T2StopsWithIdsOfTheirOwn:
    @pytest.mark.parametrize("unlearned", [0, -1, -5])
    def test_the_only_session_that_fits_is_meant(self, unlearned: int) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        assert stop(kit, end, unlearned, 180) == {}
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ENERGY)) == (0, 80)
        assert kit.read(QUIRKS) & QuirkBits.unknown_transaction
        assert list(informed(kit)) == [(one, 180, 80)]

    @pytest.mark.parametrize("unlearned", [0, -1])
    def test_a_repetition_of_it_says_nothing_new(self, unlearned: int) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        payload = {"transactionId": unlearned, "meterStop": 180, "timestamp": kit.stamp()}
        assert [end.send("StopTransaction", payload) for _ in range(3)] == [{}] * 3
        assert list(informed(kit)) == [(one, 180, 80)]
        assert kit.read_32(C1 + COUNT) == 1

    def test_of_two_that_fit_neither_is_stopped(self) -> None:
        kit, end = booted()
        start(kit, end, 100)
        start(kit, end, 100, connector=2)
        assert stop(kit, end, 0, 180) == {}
        assert (kit.read(C1 + ACTIVE), kit.read(C2 + ACTIVE)) == (1, 1)

    @pytest.mark.parametrize("foreign", [77, 2**31, 2**40])
    def test_a_foreign_id_never_stops_anothers_session(self, foreign: int) -> None:
        kit, end = booted()
        start(kit, end, 100)
        assert stop(kit, end, foreign, 180) == {}
        assert kit.read(C1 + ACTIVE) == 1
        assert kit.read(QUIRKS) & QuirkBits.unknown_transaction

    def test_another_charge_points_id_is_foreign(self) -> None:
        kit, end = booted('[[charge_point]]\nnumber=1\nidentity="CP001"\n[[charge_point]]\nnumber=2\nidentity="CP002"')
        other = kit.connect("CP002")
        one = start(kit, end, 100)
        assert stop(kit, other, one, 180) == {}
        assert kit.read(C1 + ACTIVE) == 1


def test_t3_a_stop_without_tag_and_reason_is_allowed() -> None:
    kit, end = booted()
    assert stop(kit, end, start(kit, end, 100), 180) == {}
    assert kit.read_text(3074, 10) == "TAG"  # the start's


class TestT4RepeatedStarts:
    def test_are_one_transaction(self) -> None:
        kit, end = booted()
        payload = {"connectorId": 1, "idTag": "TAG", "meterStart": 7, "timestamp": kit.stamp()}
        end.send("StartTransaction", payload, "1")
        kit.run_for(1)
        answers = {str(end.send("StartTransaction", payload, f"again {n}")) for n in range(5)}
        assert answers == {str(end.answer_to("1"))}
        assert kit.site.next_transaction_id == 2

    def test_an_offline_queue_keeps_its_old_times(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100, ago_s=7200)
        assert stop(kit, end, one, 900, ago_s=3600) == {}
        assert kit.read_32(C1 + START) == int(EPOCH) - 7200
        assert kit.read_32(C1 + DURATION) == 3601
        assert list(informed(kit)) == [(one, 900, 800)]
        assert kit.read(3008) == 0  # clock_bad

    def test_replayed_twice_it_is_still_one_session(self) -> None:
        kit, end = booted()
        began = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": kit.stamp(7200)}
        end.send("StartTransaction", began, "1")
        kit.run_for(1)
        one = end.answer_to("1")["transactionId"]
        ended = {"transactionId": one, "meterStop": 900, "timestamp": kit.stamp(3600)}
        end.send("StopTransaction", ended)
        end.disconnect()
        end = kit.connect()
        assert end.send("StartTransaction", began)["transactionId"] == one
        assert end.send("StopTransaction", ended) == {}
        assert list(informed(kit)) == [(one, 900, 800)]
        assert (kit.read_32(C1 + COUNT), kit.read(C1 + ACTIVE)) == (1, 0)


class TestT5OnlyTheStopEverCame:
    DATA = tuple(
        {"timestamp": f"2025-12-31T{hour}:00:00Z", "sampledValue": [{"value": kwh, "unit": "kWh", "context": context}]}
        for hour, kwh, context in ((22, "1.5", "Transaction.Begin"), (23, "4.2", "Transaction.End"))
    )

    def test_a_record_is_made_of_it_with_start_and_energy_from_its_data(self) -> None:
        kit, end = booted('[[charge_point]]\nnumber=1\nidentity="CP001"\nconnectors=1')
        assert stop(kit, end, 55, 4200, ago_s=3600, transactionData=self.DATA, idTag="X") != {}
        assert list(informed(kit)) == [(55, 4200, 2700)]
        record = known(kit, 55)
        assert (record.incomplete, record.id_tag, record.start_epoch) == (True, "X", EPOCH - 7200)
        assert (kit.read_32(C1 + ENERGY), kit.read_32(C1 + DURATION), kit.read(C1 + ACTIVE)) == (2700, 3600, 0)
        assert kit.read_32(C1 + COUNT) == 1

    @pytest.mark.parametrize("transaction", [0, -1, 55, 2**40])
    def test_without_data_it_has_no_length_and_no_energy(self, transaction: int) -> None:
        kit, end = booted()
        assert stop(kit, end, transaction, 4200) == {}
        ((number, meter, wh),) = informed(kit)
        assert (number, meter, wh) == (55 if transaction == 55 else 1, 4200, 0)
        assert kit.read(QUIRKS) & QuirkBits.unknown_transaction
        assert (kit.read_32(C1 + COUNT), kit.read_32(C2 + COUNT)) == (0, 0)  # nobody knows where it was

    @pytest.mark.parametrize("stamp", ["2025-12-31T23:00:00Z", "1970-01-01T00:00:07Z", "yesterday"])
    @pytest.mark.parametrize("transaction", [0, 55, 2**40])
    def test_its_repetition_is_recognised(self, transaction: int, stamp: str) -> None:
        kit, end = booted()
        payload = {"transactionId": transaction, "meterStop": 4200, "timestamp": stamp}
        for _ in range(3):
            assert end.send("StopTransaction", payload) == {}
            kit.run_for(40)
        assert len(list(informed(kit))) == 1

    def test_another_id_is_another_session_though_it_ended_alike(self) -> None:
        kit, end = booted()
        for transaction in (55, 56):  # a power failure ends both connectors at once, without a word of the meter
            assert stop(kit, end, transaction, 0) == {}
        assert [number for number, _, _ in informed(kit)] == [55, 56]

    def test_data_that_cannot_be_true_is_not_believed(self) -> None:
        kit, end = booted()
        stop(kit, end, 0, 1000, transactionData=self.DATA)  # the meter began above its end
        stop(kit, end, -1, 5000, ago_s=9000, transactionData=self.DATA)  # and this one after its end
        assert [wh for _, _, wh in informed(kit)] == [0, 0]

    def test_its_id_is_not_given_again(self) -> None:
        kit, end = booted()
        stop(kit, end, 55, 4200)
        assert start(kit, end, 4200) == 56

    @pytest.mark.parametrize("absurd", [TAKEN_OVER_MAX + 1, 2**31 - 1, 2**53])
    def test_an_absurd_id_does_not_use_up_ours(self, absurd: int) -> None:
        kit, end = booted()
        stop(kit, end, absurd, 4200)
        end.status(1, "Charging")
        energy(end, 4300, absurd)
        assert start(kit, end, 4200) == 2


class TestT6TheGatewayForgot:
    def test_the_id_comes_back_with_the_values_of_a_charging_connector(self) -> None:
        kit, end = booted()
        end.status(1, "Charging")
        assert energy(end, 5000, 321) == {}
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ID)) == (1, 321)
        energy(end, 5600, 321)
        stop(kit, end, 321, 5700)
        assert list(informed(kit)) == [(321, 5700, 700)]
        assert start(kit, end, 5700) == 322

    @pytest.mark.parametrize("status", ["Available", "Preparing", "Finishing", "SuspendedEV"])
    def test_but_not_with_those_of_another(self, status: str) -> None:
        kit, end = booted()
        end.status(1, status)
        assert energy(end, 5000, 321) == {}
        assert kit.read(C1 + ACTIVE) == 0

    @pytest.mark.parametrize("nothing", [None, 0, -1])
    def test_and_not_without_an_id(self, nothing: int | None) -> None:
        kit, end = booted()
        end.status(1, "Charging")
        energy(end, 5000, nothing)
        assert kit.read(C1 + ACTIVE) == 0

    @pytest.mark.parametrize("unlearned", [None, 0, -1])
    def test_values_without_an_id_belong_to_the_session_there(self, unlearned: int | None) -> None:
        kit, end = booted()
        start(kit, end, 5000)
        energy(end, 5250, unlearned)
        assert kit.read_32(C1 + ENERGY) == 250

    def test_values_of_a_foreign_session_do_not(self) -> None:
        kit, end = booted()
        start(kit, end, 5000)
        energy(end, 5250, 99)
        assert kit.read_32(C1 + ENERGY) == 0
        assert kit.read(QUIRKS) & QuirkBits.unknown_transaction


class TestT7ValuesAfterTheEnd:
    def test_change_nothing_where_the_charge_point_said_what_it_was(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        stop(kit, end, one, 500)
        end.status(1, "Charging")
        energy(end, 520, one)
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ENERGY), known(kit, one).meter_stop_wh) == (0, 400, 500)

    async def test_are_credited_where_the_end_was_guessed(self, tmp_path: Path) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        end.status(1, "Available")
        kit.run_for(61)
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ENERGY)) == (0, 0)
        energy(end, 520, one)
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ENERGY)) == (0, 420)
        energy(end, 510, one)
        assert kit.read_32(C1 + ENERGY) == 420
        kit = await restarted(kit, tmp_path)
        assert kit.read_32(C1 + ENERGY) == 420

    def test_never_to_one_that_the_next_has_followed(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        two = start(kit, end, 100)
        energy(end, 900, one, ago_s=1)
        assert (known(kit, one).energy_wh, known(kit, two).energy_wh) == (0, 0)


class TestT8AvailableWithAnOpenSession:
    def test_closes_it_after_a_minute(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        energy(end, 600, one)
        kit.run_for(30)
        end.status(1, "Available")
        kit.run_for(59)
        assert kit.read(C1 + ACTIVE) == 1
        kit.run_for(1)
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ENERGY)) == (0, 500)
        assert kit.read(C1 + STOP_REASON) == StopReason.Other
        assert known(kit, one).incomplete

    @pytest.mark.parametrize(
        "status", ["Preparing", "Charging", "SuspendedEVSE", "Finishing", "Faulted", "Unavailable"]
    )
    def test_unless_it_was_a_slip(self, status: str) -> None:
        kit, end = booted()
        start(kit, end, 100)
        end.status(1, "Available")
        kit.run_for(50)
        end.status(1, status)
        kit.run_for(5)
        end.status(1, "Available")
        kit.run_for(55)
        assert kit.read(C1 + ACTIVE) == 1
        kit.run_for(5)
        assert kit.read(C1 + ACTIVE) == 0

    def test_repeated_it_does_not_begin_anew(self) -> None:
        kit, end = booted()
        start(kit, end, 100)
        for _ in range(3):
            end.status(1, "Available")
            kit.run_for(20)
        assert kit.read(C1 + ACTIVE) == 0

    def test_the_next_session_is_not_meant(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        end.status(1, "Available")
        kit.run_for(50)
        stop(kit, end, one, 120)
        start(kit, end, 120)
        kit.run_for(600)
        assert kit.read(C1 + ACTIVE) == 1
        end.status(1, "Available")
        kit.run_for(60)
        assert kit.read(C1 + ACTIVE) == 0

    def test_a_late_stop_corrects_it_and_is_told(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        end.status(1, "Available")
        kit.run_for(60)
        assert kit.read_32(C1 + TIME_TOTAL) == 61
        assert list(informed(kit)) == []
        stop(kit, end, one, 900, ago_s=31, reason="EVDisconnected")
        assert (kit.read_32(C1 + ENERGY), kit.read(C1 + STOP_REASON)) == (800, StopReason.EVDisconnected)
        assert (kit.read_32(C1 + COUNT), kit.read_32(C1 + TIME_TOTAL)) == (1, 30)
        assert list(informed(kit)) == [(one, 900, 800)]
        assert not known(kit, one).incomplete


class TestAStartOnAnOpenConnector:
    def test_closes_the_old_one_with_other_incomplete(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        energy(end, 350, one)
        kit.run_for(100)
        two = start(kit, end, 400)
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ID)) == (1, two)
        old = known(kit, one)
        assert (old.open, old.stop_reason, old.incomplete, old.energy_wh) == (False, StopReason.Other, True, 250)
        assert kit.read_32(C1 + COUNT) == 1

    def test_a_late_stop_corrects_the_old_one_and_leaves_the_new(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        two = start(kit, end, 400)
        assert stop(kit, end, one, 390, ago_s=1) == {}
        assert list(informed(kit)) == [(one, 390, 290)]
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ID)) == (1, two)
        assert not known(kit, one).incomplete

    def test_the_old_one_ended_when_the_new_one_began(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100, ago_s=7200)
        start(kit, end, 400, ago_s=3600)
        assert known(kit, one).duration_s(kit.epoch) == 3601

    def test_a_session_of_the_past_does_not_end_the_one_that_runs(self) -> None:
        kit, end = booted()
        runs = start(kit, end, 5000)
        past = start(kit, end, 1000, ago_s=7200)
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ID)) == (1, runs)
        assert not known(kit, past).open
        stop(kit, end, past, 2000, ago_s=3600)
        assert list(informed(kit)) == [(past, 2000, 1000)]
        assert (kit.read(C1 + ACTIVE), kit.read_32(C1 + ID), kit.read_32(C1 + COUNT)) == (1, runs, 1)


class TestConnectorsThatAreNotConfigured:
    def test_are_refused_with_an_id_and_leave_nothing_open(self) -> None:
        kit, end = booted()
        payload = {"connectorId": 9, "idTag": "TAG", "meterStart": 7, "timestamp": kit.stamp()}
        answer = end.send("StartTransaction", payload)
        assert answer == {"idTagInfo": {"status": "Invalid"}, "transactionId": 1}
        assert end.send("StartTransaction", payload) == answer
        assert stop(kit, end, 1, 57) == {}
        assert list(informed(kit)) == [(1, 57, 50)]

    def test_a_flood_of_them_is_bounded(self) -> None:
        kit, end = booted()
        for number in range(2000):
            payload = {"connectorId": 3 + number, "idTag": "T", "meterStart": 7, "timestamp": "2026-01-01T00:00:00Z"}
            assert end.send("StartTransaction", payload, "same")["idTagInfo"]["status"] == "Invalid"
            end.frames().clear()
        transactions = kit.site.charge_points["CP001"].transactions
        assert transactions.open() == []
        assert sum(transactions.by_id(number) is not None for number in range(2001)) == KEPT_TRANSACTIONS


class TestTransactionData:
    def test_feeds_the_meter(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        values = [
            {"timestamp": kit.stamp(), "sampledValue": [{"value": "230.4", "measurand": "Voltage", "phase": "L1"}]}
        ]
        stop(kit, end, one, 500, transactionData=values)
        assert kit.read_32(C1 + 78) == 2304

    def test_older_than_what_is_shown_it_changes_nothing(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        energy(end, 480, one)
        values = [{"timestamp": kit.stamp(60), "sampledValue": [{"value": "120"}]}]
        stop(kit, end, one, 500, transactionData=values)
        assert kit.read_32(C1 + 64) == 480
        assert kit.read_32(C1 + ENERGY) == 400


class TestClocks:
    @pytest.mark.parametrize("stamp", ["1970-01-01T00:00:05Z", "2019-12-31T23:59:59Z", "2026-01-01T02:00:00Z", "now"])
    def test_a_stamp_that_cannot_be_true_is_replaced_by_the_receipt(self, stamp: str) -> None:
        kit, end = booted()
        one = start(kit, end, 100, timestamp=stamp)
        assert kit.read_32(C1 + START) == int(kit.epoch) - 1
        assert kit.read(3008) == 1
        kit.run_for(100)
        stop(kit, end, one, 500, timestamp=stamp)
        assert kit.read_32(C1 + DURATION) == 101
        assert kit.read(QUIRKS) & QuirkBits.bad_timestamp

    def test_a_good_stamp_says_that_the_clock_is_good_again(self) -> None:
        kit, end = booted()
        start(kit, end, 100, timestamp="1970-01-01T00:00:05Z")
        assert kit.read(3008) == 1
        end.status(1, "Charging")
        assert kit.read(3008) == 0

    def test_a_stop_before_its_start_takes_no_time(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        stop(kit, end, one, 500, ago_s=3600)
        assert (kit.read_32(C1 + DURATION), kit.read_32(C1 + ENERGY)) == (0, 400)
        assert kit.read_32(C1 + TIME_TOTAL) == 0

    def test_our_own_clock_set_back_makes_no_negative_duration(self) -> None:
        kit, end = booted()
        one = start(kit, end, 100)
        kit.site.clock.offset_s -= 86400
        kit.run_for(10)
        assert kit.read_32(C1 + DURATION) == 0
        stop(kit, end, one, 500)
        assert kit.read_32(C1 + DURATION) == 0
