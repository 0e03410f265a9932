"""The bridge whose central system may be away, pure: what is answered here, kept, told later, renumbered (ocpp.md)."""

from __future__ import annotations

import json

import pytest

from gatewayd.ocpp.session import SILENT_BOOT_S
from gatewayd.site import backlog, upstream_ids
from gatewayd.site.codes import LinkState
from tests.ocpp.bridged import BOOT
from tests.ocpp.buffered import DECIDED_S, Buffered, begun, buffered

UPSTREAM_BIT, LINK_STATE = 3007, 3032
OWN = upstream_ids.FIRST


def test_it_is_served_without_its_central_system() -> None:
    kit, end = buffered()
    assert end.send("BootNotification", BOOT)["status"] == "Accepted"
    assert (kit.read(LINK_STATE), kit.read(UPSTREAM_BIT)) == (LinkState.accepted, 0)
    assert end.status(1, "Preparing") == {}
    assert "currentTime" in end.send("Heartbeat", {})
    own = begun(kit, end)
    assert own >= OWN
    assert end.meter(1500, own) == {}
    assert end.finish(own) == {}
    assert end.up() == []


def test_what_it_missed_is_told_states_first_then_in_order_and_nothing_of_it_reaches_the_charge_point() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    end.status(1, "Preparing")
    own = begun(kit, end)
    end.status(1, "Charging")
    end.meter(1500, own)
    end.finish(own, 2000)
    end.frames()
    end.centre_comes()
    assert kit.read(UPSTREAM_BIT) == 1
    missed = end.drain()
    assert [call.action for call in missed] == [
        "BootNotification", "StatusNotification", "StartTransaction", "MeterValues", "StopTransaction",
    ]  # fmt: skip
    assert missed[1].payload["status"] == "Charging", "of a state only the newest counts"
    assert missed[3].payload["transactionId"] == missed[4].payload["transactionId"] == 71
    assert end.down() == []
    assert len(kit.site.backlog) == 0
    end.say('[2, "after" ,"Heartbeat",{}]')
    assert end.up() == ['[2, "after" ,"Heartbeat",{}]'], "byte for byte again"


def test_a_transaction_that_goes_on_keeps_its_id_at_the_charge_point_and_has_the_central_systems_upstream() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    own = begun(kit, end)
    end.centre_comes()
    end.drain(71)
    assert kit.site.charge_points["CP001"].connectors[1].open_transaction.id == 71  # type: ignore[union-attr]
    assert end.meter(1500, own, "m") is None
    (text,) = end.up()
    assert json.loads(text)[3]["transactionId"] == 71
    end.centre_says('[3,"m",{}]')
    end.down()
    end.centre_says('[2,"c","RemoteStopTransaction",{"transactionId":71 }]')
    assert end.down() == [f'[2,"c","RemoteStopTransaction",{{"transactionId":{own} }}]']
    end.say('[3,"c",{"status":"Accepted"}]')
    assert end.up() == ['[3,"c",{"status":"Accepted"}]']
    end.finish(own, 2500)
    (text,) = end.up()
    assert json.loads(text)[3]["transactionId"] == 71
    assert not kit.site.charge_points["CP001"].transactions.by_id(71).open  # type: ignore[union-attr]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_of_other_transactions_not_a_byte_is_changed(binary: bool) -> None:
    def wire(text: str) -> str | bytes:
        return text.encode() if binary else text

    kit, end = buffered()
    end.send("BootNotification", BOOT)
    own = begun(kit, end)
    end.centre_comes()
    end.drain(71)
    end.down()
    stamp = kit.stamp()
    for id_, sent, passed in ((1, 4711, 4711), (2, own, 71)):
        stop = '[2, "s%d" ,"StopTransaction",{"transactionId" : %d, "meterStop":1.0e3,"x":"\u00e9","timestamp":"%s"}]'
        end.say(wire(stop % (id_, sent, stamp)))
        assert end.up() == [wire(stop % (id_, passed, stamp))]
        end.centre_says(wire(f'[3,"s{id_}", {{}}]'))
        assert end.down() == [wire(f'[3,"s{id_}", {{}}]')]
    end.centre_says(wire('[2,"c","RemoteStopTransaction",{"transactionId":71 }]'))
    assert end.down() == [wire(f'[2,"c","RemoteStopTransaction",{{"transactionId":{own} }}]')]


def test_our_own_stop_names_the_id_that_the_charge_point_knows() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    own = begun(kit, end)
    end.centre_comes()
    end.drain(71, status="Blocked")
    (stop,) = end.calls()
    assert (stop.action, stop.payload) == ("RemoteStopTransaction", {"transactionId": own})
    end.answer(stop, {"status": "Accepted"})
    assert end.up() == [], "the answer to ours stays here"


def test_what_was_passed_on_and_not_answered_is_answered_here_and_told_again() -> None:
    kit, end = buffered()
    end.centre_comes()
    end.send("BootNotification", BOOT, "b")
    end.up()
    end.centre_says(f'[3,"b",{json.dumps(end.centre_answer("BootNotification", 0, ""))}]')
    assert end.begin() is None
    assert len(end.up()) == 1
    end.centre_goes()
    kit.run_for(DECIDED_S)
    answer = end.answer_to(f"cp-{end._numbers}")
    assert answer["transactionId"] >= OWN
    end.centre_comes()
    assert [call.action for call in end.drain()] == ["BootNotification", "StartTransaction"]


def test_a_start_that_comes_again_is_told_once() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    stamp = kit.stamp()
    start = {"connectorId": 1, "idTag": "TAG", "meterStart": 1, "timestamp": stamp}
    end.send("StartTransaction", start, "1")
    kit.run_for(DECIDED_S)
    first = end.answer_to("1")
    assert end.send("StartTransaction", start, "2") == first
    end.centre_comes()
    assert [call.action for call in end.drain()].count("StartTransaction") == 1
    assert end.send("StartTransaction", start, "3") is None
    assert len(end.up()) == 1, "passed on; the central system knows it"


def test_meter_values_are_thinned_oldest_first_and_the_loss_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MESSAGES_MAX", 10)
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    own = begun(kit, end)
    for wh in range(1001, 1031):
        assert end.meter(wh, own) == {}
    end.finish(own, 2000)
    assert kit.site.backlog.lost == 22
    end.centre_comes()
    missed = [call for call in end.drain() if call.action not in ("BootNotification", "StatusNotification")]
    values = [
        call.payload["meterValue"][0]["sampledValue"][0]["value"] for call in missed if call.action == "MeterValues"
    ]
    assert missed[0].action == "StartTransaction"
    assert missed[-1].action == "StopTransaction"
    assert values == [str(wh) for wh in range(1023, 1031)]


def test_a_start_that_cannot_be_kept_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MESSAGES_MAX", 2)
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    for number in range(3):
        end.send("StartTransaction", {"connectorId": 1, "idTag": "TAG", "meterStart": number, "timestamp": kit.stamp()})
        kit.run_for(DECIDED_S)
    assert [end.answer_to(f"cp-{number}") is not None for number in (2, 3, 4)] == [True, True, False]
    assert kit.site.backlog.lost == 0


def test_what_only_the_central_system_knows_is_refused_in_words() -> None:
    _, end = buffered()
    end.send("BootNotification", BOOT)
    assert end.send("SignCertificate", {"csr": "x"})[2:4] == ["GenericError", "the central system is away"]
    assert end.send("Vendor.Thing", {})[2] == "GenericError"
    assert end.send("DataTransfer", {"vendorId": "x"}) == {"status": "UnknownVendorId"}


def test_answers_to_a_central_system_that_is_gone_stay_here() -> None:
    _, end = buffered()
    end.centre_comes()
    end.centre_says('[2,"c","Reset",{"type":"Soft"}]')
    assert len(end.down()) == 1
    end.centre_goes()
    end.say('[3,"c",{"status":"Accepted"}]')
    end.centre_comes()
    assert end.up() == []


def test_disconnected_it_leaves_everything_for_the_next_connection() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    own = begun(kit, end)
    end.centre_comes()
    end.up()
    end.disconnect()
    end.centre_goes()
    again = Buffered(kit)
    again.centre_comes()
    assert again.told() is None, "it may boot first"
    kit.run_for(SILENT_BOOT_S)
    assert [call.action for call in again.drain()] == ["BootNotification", "StartTransaction"]
    assert kit.site.charge_points["CP001"].upstream_ids.upstream(own) == 71
