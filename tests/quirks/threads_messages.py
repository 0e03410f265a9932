"""Threads about connections, boots, messages and transactions, as replays."""

from __future__ import annotations

from gatewayd.site.codes import QuirkBits
from tests.quirks.habits import (
    deaf_after,
    deaf_until_told,
    hexadecimal_only,
    restarts,
    says,
    takes,
    too_soon_after_stop,
)
from tests.quirks.stage import SILENT, Replay
from tests.quirks.steps import (
    Asked,
    Commands,
    Limits,
    Linked,
    Passes,
    Quirks,
    Redials,
    Remembers,
    Says,
    Sets,
    Shows,
    StopsNow,
    Turns,
    Writes,
    boot,
    meter,
    never,
    sample,
    start,
    status,
    stop,
)

ABB = boot("ABB", "CDT_TACW11::NET_WIFI", chargePointSerialNumber="TACW11", firmwareVersion="TAC3Z9::V1.8.21")
AEFA = boot("AEFA", "Home OCPP", firmwareVersion="SW:A1B_2.8-HW:B07_0.5")
EN_PLUS = boot("EN+", "AC7000", firmwareVersion="V43.0.552")
GROWATT = boot("Growatt", "THOR_11AS", firmwareVersion="THOR_11AS-V5.2.4-20230307-NOVO")
STARCHARGE = boot("StarCharge", "Aurora", firmwareVersion="1.0.0.0.7b107_MG", iccid="", imsi="")
WALLBOX = boot("Wall Box Chargers", "PLP2-M-2-4", meterType="Internal NON compliant", meterSerialNumber="", imsi="")
OUTLET = {"context": "Sample.Periodic", "location": "Outlet"}

CONNECTIONS = (
    Replay(
        "grizzl-e-smart", "lbbrhzn/ocpp/issues/442", "no Sec-WebSocket-Protocol in the handshake",
        (
            boot("United Chargers", "Grizzl-E Smart", firmwareVersion="5.621"),
            status("Available"),
            Shows("status", "Available"),
            Quirks(QuirkBits.no_subprotocol),
        ),
        head={"without": b"Sec-WebSocket-Protocol"}, switch="assume_subprotocol",
    ),
    Replay(
        "grizzl-e-smart", "lbbrhzn/ocpp/issues/899", "GetConfiguration ends in a FormationViolation of four elements",
        (
            boot("United Chargers", "Grizzl-E Smart", firmwareVersion="5.633"),
            status("Available"),
            Passes(60, beat_s=30),
            never("GetConfiguration"),
            Quirks(QuirkBits.no_subprotocol),
        ),
        habits={"GetConfiguration": says('[4, "<call>", "FormationViolation", ""]')},
        head={"without": b"Sec-WebSocket-Protocol"}, switch="own_questions",
    ),
    Replay(
        "en-plus-ac", "lbbrhzn/ocpp/issues/211", "pings are not answered",
        (EN_PLUS, status("Available"), Passes(300, beat_s=55), Remembers({"pinged": False}), Linked(), Quirks()),
        pongs=False, switch="ping",
    ),
    Replay(
        "timxon-a0", "lbbrhzn/ocpp/issues/1679", "nothing is said for ten minutes while no car is there",
        (boot("Timxon", "A0"), status("Available"), Passes(600), Linked(), Shows("comm_error", 0, 0), Quirks()),
    ),
    Replay(
        "foxess-a-series", "lbbrhzn/ocpp/pull/2073", "it dials again after 19 minutes",
        (
            boot("FoxESS", "A022KP1"), status("Available"), Redials(19 * 60), boot("FoxESS", "A022KP1"),
            Shows("registered", 1, 0), Shows("reconnects", 1, 0), Quirks(),
        ),
    ),
    Replay(
        "ocular-lte-plus", "evcc-io/evcc/issues/32039", "after a reconnect it hears nothing before its own Boot",
        (
            Says("Heartbeat", {}),
            Passes(240, beat_s=54),
            Linked(),
            Shows("call_timeouts", 0, 0),
            Quirks(QuirkBits.no_boot_notification),
            Turns({"hears": True}),
            boot("Ocular", "LTE Plus"),
            Commands("ClearCache"),
        ),
        habits={"*": deaf_until_told}, switch="own_triggers",
    ),
    Replay(
        "ocular-lte-plus", "evcc-io/evcc/issues/32039", "GetConfiguration times out as well",
        (
            Says("Heartbeat", {}), Passes(120, beat_s=54), never("GetConfiguration"), Shows("call_timeouts", 0, 0),
            Linked(),
        ),
        habits={"*": deaf_until_told}, switch="own_questions",
    ),
    Replay(
        "starcharge-aurora", "lbbrhzn/ocpp/issues/1096", "a triggered BootNotification makes it deaf",
        (
            Says("StatusNotification", {
                "connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": "<now>.000Z",
                "vendorId": "StarCharge",
            }),
            Passes(20),
            Commands("ClearCache"),
            Quirks(QuirkBits.no_boot_notification),
            STARCHARGE,
            Commands("ClearCache"),
        ),
        habits=deaf_after("TriggerMessage", requestedMessage="BootNotification"), switch="own_triggers",
    ),
    Replay(
        "abb-terra-ac", "evcc-io/evcc/issues/15533", "it crashes when it is asked for its configuration",
        (ABB, status("Available", info="null", vendorErrorCode="0x0000"), Passes(300, beat_s=60), Linked(), Quirks()),
        habits={"GetConfiguration": restarts}, switch="own_questions",
    ),
    Replay(
        "wallbox-pulsar", "lbbrhzn/ocpp/issues/1503", "a Call before its Boot is answered makes it boot for ever",
        (
            Limits(10), Passes(20), never("SetChargingProfile"), never("GetConfiguration"), never("TriggerMessage"),
            WALLBOX, Passes(2), Asked("SetChargingProfile"), Shows("limit_result", "accepted"), Quirks(),
        ),
    ),
    Replay(
        "evbox-elvi", "evcc-io/evcc/issues/12083", "GetConfiguration is not answered, and what comes behind it waits",
        (
            boot("EV-BOX", "EVB-P22"), status("Available"), Passes(32), Limits(10), Passes(2),
            Shows("limit_result", "accepted"), Remembers({"limit": 10}), Quirks(),
        ),
        habits={"GetConfiguration": says(SILENT), "SetChargingProfile": takes(lambda told: True)},
        switch="own_questions",
    ),
    Replay(
        "mennekes-amtron-4business", "evcc-io/evcc/issues/26837", "an answer takes a minute",
        (
            boot("MENNEKES", "AMTRON 4Business"), status("Available"), Turns({"answers_after_s": 60.5}),
            Commands("ClearCache"), Shows("call_timeouts", 0, 0), Quirks(),
        ),
        switch="call_timeout_s",
    ),
    Replay(
        "mennekes-amtron-4business", "evcc-io/evcc/issues/26837", "RebootRequired to everything",
        (
            boot("MENNEKES", "AMTRON 4Business"), status("Available"),
            Commands("ChangeConfiguration", "RebootRequired", arguments={"key": "HeartbeatInterval", "value": "60"}),
            Passes(60), never("Reset"), Quirks(),
        ),
        habits={"ChangeConfiguration": says({"status": "RebootRequired"})},
    ),
)  # fmt: skip

MESSAGES = (
    Replay(
        "aefa-home", "lbbrhzn/ocpp/issues/2032", "a transactionId without a value",
        (
            AEFA,
            status("Charging", timestamp="<now>.120"),
            Writes(
                '[2,"m1","MeterValues",{"connectorId":1,"transactionId":,"meterValue":[{"timestamp":"<now>.377",'
                '"sampledValue":[{"value":"1750","context":"Sample.Periodic",'
                '"measurand":"Energy.Active.Import.Register","unit":"Wh","location":"Outlet"},'
                '{"value":"3600","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W",'
                '"location":"Outlet"},{"value":"226","context":"Sample.Periodic","measurand":"Voltage","unit":"V",'
                '"phase":"L1","location":"Inlet"}]}]}]'
            ),
            Shows("energy_active_import_wh", 1750),
            Shows("power_active_import_w", 3600),
            Shows("voltage_l1", 2260),
            Shows("clock_bad", 0, 0),
            Quirks(QuirkBits.invalid_json),
        ),
        switch="repair_json",
    ),
    Replay(
        "abb-terra-ac", "lbbrhzn/ocpp/pull/919", "its register begins at 0 with every session, but not outside of one",
        (
            ABB,
            meter(sample("1000000", **OUTLET), transaction=None, time="<now>.000Z"),
            start(0),
            status("Charging"),
            Passes(60),
            meter(sample("895", **OUTLET), time="<now>.000Z"),
            Shows("energy_active_import_wh", 1_000_895),
            Shows("session_energy_wh", 895),
            Passes(60),
            meter(sample("1000895", **OUTLET), transaction=None, time="<now>.000Z"),
            Passes(60),
            meter(sample("1100", **OUTLET), time="<now>.000Z"),
            Shows("energy_active_import_wh", 1_001_100),
            stop(1100),
            Shows("session_energy_wh", 1100),
            Quirks(),
        ),
        switch="energy_register",
    ),
    Replay(
        "abb-terra-ac", "evcc-io/evcc/issues/6817", "it writes null and 0x0000",
        (
            ABB, status("Preparing", info="null", vendorErrorCode="0x0000"), Shows("vendor_error_code", ""),
            Shows("status", "Preparing"), Quirks(),
        ),
    ),
    Replay(
        "growatt-thor", "lbbrhzn/ocpp/issues/1838", "the reading of Transaction.Begin stands behind the present one",
        (
            GROWATT,
            start(157440, time="<now+10h>+10:00"),
            status("Charging", timestamp="<now+10h>+10:00"),
            Passes(60),
            meter(
                sample("163630", context="Sample.Periodic", format="Raw"),
                sample("157440", context="Transaction.Begin", format="Raw"),
                sample("5.84", "Current.Import", "A", context="Sample.Periodic", phase="L1"),
                time="<now+10h>+10:00",
            ),
            Shows("energy_active_import_wh", 163630),
            Shows("session_energy_wh", 6190),
            Shows("current_l1_ma", 5840),
            Shows("clock_bad", 0, 0),
            Quirks(),
        ),
    ),
)  # fmt: skip

TRANSACTIONS = (
    Replay(
        "etrel-inch", "lbbrhzn/ocpp/issues/1000", "the id is its own, -16",
        (
            boot("Etrel", "INCH"), start(5000), status("Charging"), Passes(60),
            meter(sample("5800"), transaction=-16),
            Shows("session_energy_wh", 800),
            stop(6000, transaction=-16),
            Shows("transaction_active", 0), Shows("session_energy_wh", 1000),
            Quirks(QuirkBits.unknown_transaction),
        ),
    ),
    Replay(
        "en-plus-ac", "evcc-io/evcc/issues/14673", "meter values name a transaction that is over",
        (
            EN_PLUS, start(10000), status("Charging"), Passes(60), stop(10798), status("Finishing"), Passes(5),
            meter(sample("10798.0", context="Trigger"), sample("32.0", "Current.Offered", "A", context="Trigger")),
            Shows("transaction_active", 0), Shows("session_energy_wh", 798),
            Quirks(),
        ),
    ),
    Replay(
        "schneider-evlink", "ChargeTimeEU/Java-OCA-OCPP/issues/74", "a StartTransaction at 0 Wh ends the session",
        (
            boot("Schneider Electric", "EVB1A22P4KI"), start(4000), status("Charging"), Passes(600),
            start(0), status("Available"),
            Shows("transaction_active", 0), Quirks(QuirkBits.other),
        ),
        switch="start_may_mean_end",
    ),
    Replay(
        "foxess-a-series", "lbbrhzn/ocpp/pull/2073", "started within minutes of a stop it drops off the network",
        (
            boot("FoxESS", "A022KP1"), start(1000), status("Charging"), Passes(60), stop(1500), StopsNow(),
            status("Finishing"), Sets("start", 1), Passes(60), never("RemoteStartTransaction"), Passes(70),
            Asked("RemoteStartTransaction", times=1), Linked(), Quirks(),
        ),
        habits={"RemoteStartTransaction": too_soon_after_stop}, switch="start_pause_s",
    ),
    Replay(
        "alfen-eve", "lbbrhzn/ocpp/issues/514", "a remote start is rejected for a tag that is no hexadecimal number",
        (
            boot("Alfen BV", "NG910"), status("Preparing"),
            Commands("RemoteStartTransaction", "none", "bad_parameter", {"connector": 1, "id_tag": "EVC_0123"}),
            never("RemoteStartTransaction"),
            Commands("RemoteStartTransaction", arguments={"connector": 1, "id_tag": "00A1B2C3"}),
            Asked("RemoteStartTransaction", {"idTag": "00A1B2C3"}), Quirks(),
        ),
        habits={"RemoteStartTransaction": hexadecimal_only}, switch="hex_id_tags",
    ),
)  # fmt: skip
