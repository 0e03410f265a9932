"""What charge points ask of us: each operation from its payload to registers and answer (ocpp.md)."""

from __future__ import annotations

from typing import Any

import pytest

from gatewayd.ocpp import central, schema
from gatewayd.ocpp.schema import Direction
from gatewayd.site.codes import (
    DiagnosticsStatus,
    ErrorCode,
    FirmwareStatus,
    QuirkBits,
    SecurityEvent,
    Status,
)
from tests.kit import EPOCH, Kit, WireEnd
from tests.ocpp import hostile

BLOCK_0, C1, C2, IDENTITY = 3000, 3300, 3600, 5700
CLOCK_BAD, HEARTBEAT_AGE, MESSAGE_AGE, FIRMWARE, DIAGNOSTICS, SECURITY = 3008, 3037, 3038, 3046, 3047, 3058
STATUS, ERROR, STATUS_AGE, METER_AGE, STATUS_TIME, VENDOR_ERROR = C1 + 32, C1 + 33, C1 + 36, C1 + 37, C1 + 38, C1 + 120
QUIRKS, NEVER = 3044, 65535
UNLISTED = 65534


def booted() -> tuple[Kit, WireEnd]:
    kit = Kit()
    end = kit.connect()
    end.boot()
    return kit, end


def listed(enum: Any) -> list[Any]:
    return [member for member in enum if 0 < member < UNLISTED and member.name not in ("unknown", "unlisted")]


def test_every_operation_that_a_charge_point_may_ask_for_has_its_handler() -> None:
    theirs = {action for action, direction in schema.DIRECTION.items() if direction is not Direction.TO_CHARGE_POINT}
    assert set(central.HANDLERS) == theirs == set(hostile.GOOD)


@pytest.mark.parametrize("action", sorted(hostile.GOOD))
def test_every_operation_is_answered_within_the_decision_timeout(action: str) -> None:
    kit, end = booted()
    end.send(action, hostile.GOOD[action], "x")
    kit.run_for(9)
    answer = [frame for frame in end.frames() if frame[1] == "x"]
    assert [frame[0] for frame in answer] == [3]


class TestBoot:
    def test_shows_who_it_is(self) -> None:
        kit = Kit()
        end = kit.connect()
        payload = {
            "chargePointVendor": "Vendor", "chargePointModel": "Model", "chargePointSerialNumber": "CP-SERIAL",
            "chargeBoxSerialNumber": "BOX-SERIAL", "firmwareVersion": "1.2.3", "meterSerialNumber": "METER-7",
        }  # fmt: skip
        answer = end.send("BootNotification", payload)
        assert answer == {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 60}
        texts = {0: "CP001", 24: "Vendor", 34: "Model", 44: "CP-SERIAL", 57: "1.2.3", 82: "METER-7"}
        assert {at: kit.read_text(IDENTITY + at, 10) for at in texts} == texts
        end.send("BootNotification", {k: v for k, v in payload.items() if k != "chargePointSerialNumber"})
        assert kit.read_text(IDENTITY + 44, 13) == "BOX-SERIAL"

    def test_tells_the_configured_heartbeat_interval(self) -> None:
        kit = Kit("[ocpp]\nheartbeat_interval_s = 300")
        assert kit.connect().boot()["interval"] == 300

    def test_texts_outside_of_ascii_stay_readable(self) -> None:
        kit = Kit()
        kit.connect().send("BootNotification", {"chargePointVendor": "Überlader", "chargePointModel": "模型"})
        assert kit.read_text(IDENTITY + 24, 10) == "?berlader"
        assert kit.read_text(IDENTITY + 34, 10) == "??"


class TestHeartbeat:
    def test_tells_the_time_and_its_age_is_counted(self) -> None:
        kit, end = booted()
        assert kit.read(HEARTBEAT_AGE) == NEVER
        kit.run_for(61.7)
        assert end.send("Heartbeat", {}) == {"currentTime": "2026-01-01T00:01:01Z"}
        kit.run_for(10)
        assert (kit.read(HEARTBEAT_AGE), kit.read(MESSAGE_AGE)) == (10, 10)
        end.send_text("garbage")
        assert (kit.read(HEARTBEAT_AGE), kit.read(MESSAGE_AGE)) == (10, 0)


class TestStatus:
    @pytest.mark.parametrize("status", listed(Status))
    def test_every_listed_one(self, status: Status) -> None:
        kit, end = booted()
        assert end.status(1, status.name) == {}
        assert kit.read(STATUS) == status
        assert not kit.read(QUIRKS)

    @pytest.mark.parametrize("error", listed(ErrorCode))
    def test_every_listed_error(self, error: ErrorCode) -> None:
        kit, end = booted()
        end.status(1, "Faulted", errorCode=error.name, vendorErrorCode="E-17")
        assert (kit.read(ERROR), kit.read_text(VENDOR_ERROR, 25)) == (error, "E-17")
        end.status(1, "Available")
        assert kit.read_text(VENDOR_ERROR, 25) == ""

    def test_one_that_nobody_lists_is_answered_normally(self) -> None:
        kit, end = booted()
        assert end.status(1, "Dreaming", errorCode="Error") == {}
        assert kit.read(STATUS, 2) == [UNLISTED, UNLISTED]
        assert kit.read(QUIRKS) & QuirkBits.unlisted_value

    @pytest.mark.parametrize("ours", ["unknown", "unlisted", "none", "available", ""])
    def test_our_own_words_are_none_of_theirs(self, ours: str) -> None:
        kit, end = booted()
        end.status(1, ours)
        assert kit.read(STATUS) == UNLISTED

    def test_of_connector_0_is_that_of_the_whole(self) -> None:
        kit, end = booted()
        end.status(0, "Unavailable", errorCode="GroundFailure")
        assert kit.read(BLOCK_0 + 34, 2) == [Status.Unavailable, ErrorCode.GroundFailure]
        assert (kit.read(STATUS), kit.read(C2 + 32)) == (0, 0)

    def test_of_a_connector_that_is_not_configured_is_answered(self) -> None:
        kit, end = booted()
        assert end.status(3, "Available") == {}
        assert end.status(2**40, "Available") == {}
        assert kit.read(QUIRKS) & QuirkBits.other

    def test_its_time_and_age(self) -> None:
        kit, end = booted()
        assert kit.read(STATUS_AGE) == NEVER
        kit.run_for(100)
        end.status(1, "Available", timestamp=kit.stamp(30))
        kit.run_for(5)
        assert (kit.read_32(STATUS_TIME), kit.read(STATUS_AGE)) == (int(EPOCH) + 70, 5)

    def test_an_older_one_does_not_overwrite_a_newer_one(self) -> None:
        kit, end = booted()
        kit.run_for(100)
        end.status(1, "Charging")
        for ago in (1, 60, 86400):
            assert end.status(1, "Available", timestamp=kit.stamp(ago)) == {}
            assert kit.read(STATUS) == Status.Charging
        end.status(1, "Finishing", timestamp=kit.stamp(0))
        assert kit.read(STATUS) == Status.Finishing

    def test_one_of_whole_seconds_is_not_older_than_one_that_came_in_the_same_second(self) -> None:
        kit, end = booted()
        kit.run_for(100.75)
        end.send("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"})
        kit.run_for(0.125)
        end.status(1, "Finishing", timestamp=kit.stamp(0))
        assert kit.read(STATUS) == Status.Finishing
        end.status(1, "Available", timestamp=kit.stamp(1))
        assert kit.read(STATUS) == Status.Finishing

    def test_one_without_a_time_is_of_now(self) -> None:
        kit, end = booted()
        end.status(1, "Charging")
        kit.run_for(10)
        end.send("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Finishing"})
        assert (kit.read(STATUS), kit.read_32(STATUS_TIME)) == (Status.Finishing, int(EPOCH) + 10)
        assert kit.read(CLOCK_BAD) == 0

    def test_a_clock_that_was_ahead_and_is_right_now_hides_nothing(self) -> None:
        """Before its Boot was answered its clock was 50 s ahead, which is believed."""
        kit, end = booted()
        end.status(1, "Available", timestamp=kit.stamp(-50))
        assert kit.read_32(STATUS_TIME) == int(EPOCH)
        kit.run_for(10)
        end.status(1, "Charging")
        assert kit.read(STATUS) == Status.Charging

    @pytest.mark.parametrize("stamp", ["1970-01-01T00:00:00Z", "2019-06-01T00:00:00Z", "2027-01-01T00:00:00Z", "soon"])
    def test_a_time_that_cannot_be_true_is_that_of_receipt(self, stamp: str) -> None:
        kit, end = booted()
        end.status(1, "Available")
        kit.run_for(10)
        end.status(1, "Charging", timestamp=stamp)
        assert (kit.read_32(STATUS_TIME), kit.read(CLOCK_BAD)) == (int(EPOCH) + 10, 1)
        assert kit.read(STATUS) == Status.Charging
        assert kit.read(QUIRKS) & QuirkBits.bad_timestamp
        end.status(1, "Finishing")
        assert kit.read(CLOCK_BAD) == 0


class TestOurOwnClock:
    """A BMS that sets the clock back must not freeze what is shown (promises, R23)."""

    def test_set_back_the_status_goes_on(self) -> None:
        kit, end = booted()
        end.status(1, "Available")
        kit.site.clock.offset_s -= 5 * 365 * 86400
        end.status(1, "Charging")
        assert kit.read(STATUS) == Status.Charging

    def test_set_back_the_values_go_on(self) -> None:
        kit, end = booted()
        values(end, 1, "230")
        kit.site.clock.offset_s -= 365 * 86400
        values(end, 1, "231")
        assert kit.read_32(C1 + 78) == 2310

    def test_set_forward_the_charge_point_is_believed_meanwhile(self) -> None:
        kit, end = booted()
        stamp = kit.stamp()
        kit.site.clock.offset_s += 86400
        end.status(1, "Charging", timestamp=stamp)
        assert kit.read(STATUS) == Status.Charging
        assert kit.read(CLOCK_BAD) == 0


def values(end: WireEnd, connector: int, volts: str, **more: Any) -> Any:
    sample = {"value": volts, "measurand": "Voltage", "phase": "L1"}
    entry = {"timestamp": end.kit.stamp(), "sampledValue": [sample]}
    return end.send("MeterValues", {"connectorId": connector, "meterValue": [entry | more]})


class TestMeterValues:
    def test_become_registers_before_they_are_answered(self) -> None:
        kit, end = booted()
        assert kit.read(METER_AGE) == NEVER
        assert values(end, 1, "229.94") == {}
        assert kit.read_32(C1 + 78) == 2299
        assert kit.read(C1 + 6) == 1
        kit.run_for(7)
        assert kit.read(METER_AGE) == 7

    def test_are_fresh_for_three_minutes(self) -> None:
        kit, end = booted()
        for _ in range(3):
            values(end, 1, "230")
            kit.run_for(100)
        assert kit.read(C1 + 6) == 1
        kit.run_for(79)
        assert kit.read(C1 + 6) == 1
        kit.run_for(2)
        assert kit.read(C1 + 6) == 0
        values(end, 1, "230")
        assert kit.read(C1 + 6) == 1

    def test_times_that_do_not_add_up_exactly_do_not_keep_it_busy(self) -> None:
        """(heard + 180) - heard is a little less than 180 here: compared so, the look would be due again at once."""
        kit, end = booted()
        kit.run_until(1000.0246913578)
        heard = kit.now
        assert (heard + 180) - heard < 180
        values(end, 1, "230")
        kit.run_for(185)
        assert kit.read(C1 + 6) == 0

    def test_of_connector_0_are_the_charge_points_meter(self) -> None:
        kit, end = booted()
        entry = {"timestamp": kit.stamp(), "sampledValue": [{"value": "12.345", "unit": "kWh"}]}
        end.send("MeterValues", {"connectorId": 0, "meterValue": [entry]})
        assert kit.read_32(BLOCK_0 + 56) == 12345

    def test_of_a_connector_that_is_not_configured_are_answered(self) -> None:
        kit, end = booted()
        assert values(end, 7, "230") == {}
        assert kit.read(QUIRKS) & QuirkBits.other

    def test_a_bad_time_is_noted_and_the_value_taken(self) -> None:
        kit, end = booted()
        values(end, 1, "230", timestamp="1970-01-01T00:00:00Z")
        assert (kit.read_32(C1 + 78), kit.read(CLOCK_BAD)) == (2300, 1)
        values(end, 1, "231")
        assert (kit.read_32(C1 + 78), kit.read(CLOCK_BAD)) == (2310, 0)

    def test_a_unit_that_nobody_lists_is_noted_and_answered(self) -> None:
        kit, end = booted()
        entry = {"timestamp": kit.stamp(), "sampledValue": [{"value": "5", "measurand": "Magic", "unit": "Mana"}]}
        assert end.send("MeterValues", {"connectorId": 1, "meterValue": [entry]}) == {}
        assert kit.read(QUIRKS) & QuirkBits.unlisted_value


class TestProgress:
    @pytest.mark.parametrize("status", listed(FirmwareStatus))
    @pytest.mark.parametrize("operation", ["FirmwareStatusNotification", "SignedFirmwareStatusNotification"])
    def test_of_firmware(self, operation: str, status: FirmwareStatus) -> None:
        kit, end = booted()
        assert end.send(operation, {"status": status.name}) == {}
        assert kit.read(FIRMWARE) == status

    @pytest.mark.parametrize("status", listed(DiagnosticsStatus))
    def test_of_diagnostics(self, status: DiagnosticsStatus) -> None:
        kit, end = booted()
        for operation in ("DiagnosticsStatusNotification", "LogStatusNotification"):
            assert end.send(operation, {"status": status.name}) == {}
            assert kit.read(DIAGNOSTICS) == status

    def test_an_upload_failure_has_two_names(self) -> None:
        kit, end = booted()
        end.send("LogStatusNotification", {"status": "UploadFailure"})
        assert kit.read(DIAGNOSTICS) == DiagnosticsStatus.UploadFailed
        assert not kit.read(QUIRKS)

    @pytest.mark.parametrize(
        ("operation", "address"),
        [
            ("FirmwareStatusNotification", FIRMWARE),
            ("SignedFirmwareStatusNotification", FIRMWARE),
            ("DiagnosticsStatusNotification", DIAGNOSTICS),
            ("LogStatusNotification", DIAGNOSTICS),
        ],
    )
    def test_that_nobody_lists_is_answered_normally(self, operation: str, address: int) -> None:
        kit, end = booted()
        assert end.send(operation, {"status": "Meditating"}) == {}
        assert kit.read(address) == UNLISTED
        assert kit.read(QUIRKS) & QuirkBits.unlisted_value

    @pytest.mark.parametrize("event", listed(SecurityEvent))
    def test_of_security(self, event: SecurityEvent) -> None:
        kit, end = booted()
        assert end.send("SecurityEventNotification", {"type": event.name, "timestamp": kit.stamp()}) == {}
        assert kit.read(SECURITY) == event

    def test_of_a_security_event_of_its_own(self) -> None:
        kit, end = booted()
        end.send("SecurityEventNotification", {"type": "CoffeeSpilled", "timestamp": "never"})
        assert (kit.read(SECURITY), kit.read(CLOCK_BAD)) == (UNLISTED, 1)


def test_certificates_are_rejected_while_nobody_signs_them() -> None:
    _, end = booted()
    assert end.send("SignCertificate", {"csr": "-----BEGIN"}) == {"status": "Rejected"}
