"""What charge points write into messages, and what the gateway makes of it: rows M1 to M11 of the list of habits."""

from __future__ import annotations

from typing import Any

import pytest

from gatewayd.ocpp.questions import Questions
from gatewayd.site.codes import CommandState, LinkState, QuirkBits, Status
from tests.kit import Kit, WireEnd

QUIRKS, LINK, COMMAND, SEQUENCE = 3044, 3032, 5400, 5505
ONE = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'


def booted(toml: str = "") -> tuple[Kit, WireEnd]:
    kit = Kit(toml)
    kit.site.on_registered.append(Questions().registered)
    end = kit.connect()
    end.boot()
    end.status(2, "Available")
    end.status(1, "Charging")  # nothing is left to ask for
    return kit, end


def meter(end: WireEnd, kit: Kit, *samples: dict[str, Any], connector: int = 1) -> Any:
    value = {"timestamp": kit.stamp(), "sampledValue": list(samples)}
    return end.send("MeterValues", {"connectorId": connector, "meterValue": [value]})


def connector(kit: Kit) -> Any:
    return kit.site.charge_points["CP001"].connectors[1]


def test_m1_a_field_without_its_value_is_mended_where_the_model_is_known_for_it() -> None:
    text = (
        '[2,"m","MeterValues",{"connectorId":1,"transactionId":,"meterValue":[{"timestamp":"2026-01-01T00:00:00Z",'
        '"sampledValue":[{"value":"4200"}]}]}]'
    )
    kit, end = booted(ONE + 'profile = "aefa-home"\n')
    end.send_text(text)
    assert end.answer_to("m") == {}
    assert connector(kit).meter.energy_active_import_wh == 4200
    assert kit.read(QUIRKS) & QuirkBits.invalid_json


def test_m1_otherwise_it_is_counted_and_the_link_stays() -> None:
    kit, end = booted()
    end.send_text('[2,"m","MeterValues",{"transactionId":,}]')
    assert kit.read(QUIRKS) & QuirkBits.invalid_json
    assert kit.read(LINK) == LinkState.accepted
    assert end.closed is None


def test_m1_a_truncated_answer_fails_the_call_that_it_names() -> None:
    kit, end = booted()
    kit.write(COMMAND, 7)  # ClearCache
    kit.write(SEQUENCE, 1)
    (call,) = end.calls()
    end.send_text(f'[3,"{call.id}",{{"status":"Acc')
    assert kit.site.charge_points["CP001"].mailbox.state == CommandState.failed
    assert end.closed is None


def test_m2_a_value_of_a_configuration_key_need_not_be_a_text() -> None:
    kit, end = booted()
    kit.run_for(31)
    while calls := [call for call in end.calls() if call.action == "GetConfiguration"]:
        end.answer(calls[0], {"configurationKey": [{"key": calls[0].payload["key"][0], "readonly": True, "value": 7}]})
    assert kit.site.charge_points["CP001"].max_stack_level == 7
    assert not kit.read(QUIRKS) & QuirkBits.schema_violation


@pytest.mark.parametrize("length", [501, 4000])
def test_m3_a_long_value_is_accepted(length: int) -> None:
    kit, end = booted()
    kit.run_for(31)
    asked = [call for call in end.calls() if call.action == "GetConfiguration"]
    key = {"key": "SupportedFeatureProfiles", "readonly": True, "value": "Core,SmartCharging," + "X" * length}
    end.answer(asked[0], {"configurationKey": [key]})
    assert not kit.read(QUIRKS) & QuirkBits.schema_violation
    assert end.closed is None


@pytest.mark.parametrize("code", ["Error", "SomethingNew"])
def test_m4_an_unlisted_error_code_shows_as_65534_and_is_answered(code: str) -> None:
    kit, end = booted()
    assert end.status(1, "Faulted", errorCode=code) == {}
    assert connector(kit).error_code == 65534
    assert kit.read(QUIRKS) & QuirkBits.unlisted_value


def test_m4_an_unlisted_unit_or_context_spoils_no_other_value() -> None:
    kit, end = booted()
    hertz = {"value": "50.0", "measurand": "Frequency", "unit": "Hertz", "context": "Somewhere"}
    assert meter(end, kit, hertz, {"value": "230", "measurand": "Voltage", "unit": "V"}) == {}
    assert connector(kit).meter.voltage_l1_v == 230


def test_m5_fields_that_do_not_belong_are_ignored_and_a_connector_is_used() -> None:
    kit, end = booted()
    kit.write(18, 1)
    assert end.send("Authorize", {"idTag": "TAG", "connectorId": 1, "vendorThing": {"x": [1]}}) is None
    kit.run_for(9)
    assert end.answer_to("cp-4")["idTagInfo"]["status"] == "Accepted"
    assert not kit.read(QUIRKS) & QuirkBits.schema_violation


def test_m6_null_and_empty_texts_are_as_if_they_were_not_there() -> None:
    kit, end = booted()
    assert end.boot(chargePointSerialNumber="", firmwareVersion="null", iccid="null") is not None
    assert end.status(1, "Charging", vendorErrorCode="0x0000", info="null", vendorId="") == {}
    assert connector(kit).vendor_error_code in ("", "0x0000")
    assert end.closed is None


def test_m7_measurand_and_unit_have_defaults() -> None:
    kit, end = booted()
    meter(end, kit, {"value": "1234"}, {"value": "11000", "measurand": "Power.Active.Import"})
    assert connector(kit).meter.energy_active_import_wh == 1234
    assert connector(kit).meter.power_active_import_w == 11000


@pytest.mark.parametrize("unit", ["Celcius", "Celsius"])
def test_m7_both_spellings_of_celsius(unit: str) -> None:
    kit, end = booted()
    assert meter(end, kit, {"value": "31.5", "measurand": "Temperature", "unit": unit}) == {}
    assert connector(kit).meter.temperature_celsius == 31.5


def test_m7_a_unit_of_energy_on_a_power_does_not_change_its_size() -> None:
    kit, end = booted()
    meter(end, kit, {"value": "7400", "measurand": "Power.Active.Import", "unit": "Wh"})
    assert connector(kit).meter.power_active_import_w == 7400


def test_m8_blanks_are_trimmed_and_phases_summed() -> None:
    kit, end = booted()
    phases = [
        {"value": f" {1000 * n} ", "measurand": "Power.Active.Import", "phase": f"L{n}-N", "unit": "W"}
        for n in (1, 2, 3)
    ]
    meter(end, kit, *phases)
    assert connector(kit).meter.power_active_import_w == 6000


def test_m9_a_register_that_begins_anew_with_each_session_does_not_run_backwards() -> None:
    kit, end = booted(ONE + '[charge_point.quirks]\nenergy_register = "session"\n')
    seen = []
    for wh in (0, 500, 900, 0, 300):
        kit.run_for(60)
        meter(end, kit, {"value": str(wh)})
        seen.append(connector(kit).meter.energy_active_import_wh)
    assert seen == sorted(seen)
    assert seen[-1] == 1200


def test_m10_an_old_status_does_not_overwrite_the_present_one() -> None:
    kit, end = booted()
    kit.run_for(3600)
    end.status(1, "Finishing")
    assert end.status(1, "Preparing", timestamp=kit.stamp(600)) == {}
    assert connector(kit).status == Status.Finishing


@pytest.mark.parametrize("stamp", ["yesterday", "2026-13-45T00:00:00Z", "1767225600"])
def test_m11_a_date_that_is_none_is_replaced_and_noted(stamp: str) -> None:
    kit, end = booted()
    assert end.status(1, "Charging", timestamp=stamp) == {}
    assert kit.read(QUIRKS) & QuirkBits.bad_timestamp
