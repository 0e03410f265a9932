"""Threads about limits, as replays."""

from __future__ import annotations

from typing import Any

from gatewayd.site.codes import QuirkBits
from tests.quirks.habits import (
    NOT_SUPPORTED,
    REJECTED,
    busy_at_first,
    forgets,
    has_keys,
    in_unit,
    not_relative_as_maximum,
    only,
    takes,
)
from tests.quirks.stage import SILENT, Habit, Replay, Reply, Stage, Step
from tests.quirks.steps import (
    Asked,
    Guards,
    Limits,
    Passes,
    Quirks,
    Redials,
    Remembers,
    Sets,
    Shows,
    Turns,
    boot,
    meter,
    never,
    sample,
    start,
    status,
)

MAXIMUM = {"csChargingProfiles": {"chargingProfilePurpose": "ChargePointMaxProfile"}}
FOR_TRANSACTION = {"csChargingProfiles": {"chargingProfilePurpose": "TxProfile"}}
RELATIVE = {"csChargingProfiles": {"chargingProfileKind": "Relative"}}
LEVEL_1 = {"csChargingProfiles": {"stackLevel": 1}}
IN_AMPERES = {"csChargingProfiles": {"chargingSchedule": {"chargingRateUnit": "A"}}}
ANY: Habit = takes(lambda told: True)
ACCEPTED = (Passes(2), Shows("limit_result", "accepted"))
NO_OTHER_LEVEL = (Remembers({"limit": 16}), never("SetChargingProfile", **LEVEL_1))


def charging(amperes: str, *, times: int = 1) -> tuple[Step, ...]:
    """Meter values every 20 s of a car that takes so much."""
    said = meter(sample("50000"), sample(amperes, "Current.Import", "A", phase="L1"))
    return (said, Passes(20)) * times


def no_maximum(told: dict[str, Any]) -> bool:
    return bool(told["chargingProfilePurpose"] != "ChargePointMaxProfile")


def timxon(stage: Stage, payload: Any) -> Reply:
    told = payload["csChargingProfiles"]
    if told["chargingProfilePurpose"] != "TxDefaultProfile":
        return NOT_SUPPORTED
    return SILENT if told["chargingProfileKind"] == "Absolute" else ANY(stage, payload)


def schneider(stage: Stage, payload: Any) -> Reply:
    if payload["csChargingProfiles"]["chargingProfilePurpose"] == "TxProfile":
        return NOT_SUPPORTED
    return ANY(stage, payload) if stage.memory.get("load_balancing") else REJECTED


LIMITS = (
    Replay(
        "abb-terra-ac", "lbbrhzn/ocpp/issues/1737", "it says 3 levels and rejects all but 0",
        (Guards(), boot("ABB", "TACW11"), status("Available"), Limits(16), *ACCEPTED, *NO_OTHER_LEVEL, Quirks()),
        habits={
            "GetConfiguration": has_keys(
                ChargingScheduleAllowedChargingRateUnit="Current,Power", ChargeProfileMaxStackLevel="3"
            ),
            "SetChargingProfile": takes(only(stackLevel=0)),
            "ClearChargingProfile": forgets(),
        },
        switch="limit_stack_level",
    ),
    Replay(
        "wallbox-pulsar", "evcc-io/evcc/issues/15581", "it rejects all levels but 0",
        (
            Guards(), boot("Wall Box Chargers", "PLP1"), status("Available"), Limits(16), *ACCEPTED,
            *NO_OTHER_LEVEL, Quirks(),
        ),
        habits={"SetChargingProfile": takes(only(stackLevel=0)), "ClearChargingProfile": forgets()},
        switch="limit_stack_level",
    ),
    Replay(
        "go-e-charger", "goecharger/go-eCharger-API-v2/issues/187", "what it took at level 0 cannot be cleared",
        (
            boot("go-e", "go-eCharger_V4", firmwareVersion="055.5"), status("Available"), Limits(16), *ACCEPTED,
            Remembers({"limit": 16}), Limits(None), Passes(5), Remembers({"limit": None}), Quirks(),
        ),
        habits={"SetChargingProfile": ANY, "ClearChargingProfile": forgets(unless=lambda level: level == 0)},
        switch="limit_stack_level",
    ),
    Replay(
        "go-e-charger", "goecharger/go-eCharger-API-v2/issues/105", "a profile is accepted and not obeyed",
        (
            boot("go-e", "go-eCharger_V4", firmwareVersion="055.5"), start(1000), status("Charging"),
            *charging("16.0"), Limits(10), *ACCEPTED, *charging("16.0", times=6),
            Shows("limit_result", "no_effect"), Quirks(QuirkBits.profile_without_effect),
        ),
    ),
    Replay(
        "go-e-charger", "goecharger/go-eCharger-API-v2/issues/217", "profiles are forgotten when the link goes",
        (
            boot("go-e", "go-eCharger_V4", firmwareVersion="056.2"), status("Available"), Limits(13), *ACCEPTED,
            Turns({"limit": None}), Redials(), boot("go-e", "go-eCharger_V4", firmwareVersion="056.2"),
            *ACCEPTED, Remembers({"limit": 13}), Quirks(),
        ),
        habits={"SetChargingProfile": ANY},
    ),
    Replay(
        "autel-maxicharger", "lbbrhzn/ocpp/issues/677", "Relative is refused for a ChargePointMaxProfile",
        (
            boot("Autel", "MaxiCharger"), status("Available"), Sets("limit_matrix", 160, 0), Passes(2),
            Shows("limit_result", "accepted", 0), Asked("SetChargingProfile", MAXIMUM),
            never("SetChargingProfile", **RELATIVE), Quirks(),
        ),
        habits={"SetChargingProfile": not_relative_as_maximum},
    ),
    Replay(
        "en-plus-ac", "evcc-io/evcc/pull/25069", "a limit of 0 A does not stop it",
        (
            boot("EN+", "AC7000"), start(1000), status("Charging"), *charging("16.0"), Limits(0), *ACCEPTED,
            *charging("16.0", times=6), Asked("RemoteStopTransaction", times=1),
        ),
        habits={"SetChargingProfile": ANY},
        switch="when_zero_refused",
    ),
    Replay(
        "evbox-elvi", "lbbrhzn/ocpp/issues/221", "it rejects every ChargePointMaxProfile",
        (
            boot("EV-BOX", "EVB-P20"), status("Available"), Limits(10), Passes(65), Shows("limit_result", "accepted"),
            Remembers({"limit": 10}), never("SetChargingProfile", **MAXIMUM), Quirks(),
        ),
        habits={"SetChargingProfile": busy_at_first(takes(no_maximum))},
        switch="limit_purposes",
    ),
    Replay(
        "schneider-evlink-smart-wallbox", "lbbrhzn/ocpp/issues/877", "limits are rejected while that is off in it",
        (
            boot("Schneider", "SMART WALLBOX"), start(1000), status("Charging"), Limits(10), Passes(2),
            Shows("limit_result", "rejected"), Turns({"load_balancing": True}), Limits(10), *ACCEPTED,
            never("SetChargingProfile", **FOR_TRANSACTION), Remembers({"limit": 10}), Quirks(),
        ),
        habits={"SetChargingProfile": schneider},
        switch="limit_purposes",
    ),
    Replay(
        "timxon-a0", "lbbrhzn/ocpp/issues/2158", "an absolute schedule gets no answer",
        (
            boot("Timxon", "A0"), status("Available"), Limits(10), *ACCEPTED, Remembers({"limit": 10}), Quirks(),
        ),
        habits={"SetChargingProfile": timxon},
        switch="limit_kind",
    ),
    Replay(
        "timxon-a0", "lbbrhzn/ocpp/issues/2158", "TxProfile and ChargePointMaxProfile are NotSupported",
        (
            boot("Timxon", "A0"), start(1000), status("Charging"), Limits(10), Passes(65),
            never("SetChargingProfile", **FOR_TRANSACTION), never("SetChargingProfile", **MAXIMUM),
            Shows("limit_result", "accepted"), Remembers({"limit": 10}), Quirks(),
        ),
        habits={"SetChargingProfile": busy_at_first(timxon)},
        switch="limit_purposes",
    ),
    Replay(
        "homecharge-efr", "evcc-io/evcc/issues/9838", "limits in A are not taken",
        (
            boot("EFR", "SECC-01"), status("Available"), Limits(6), *ACCEPTED, Remembers({"limit": 4140}), Quirks(),
        ),
        habits={"GetConfiguration": has_keys(), "SetChargingProfile": takes(in_unit("W"))},
        switch="limit_unit",
    ),
    Replay(
        "huawei-fusioncharge", "lbbrhzn/ocpp/issues/1635", "limits in W only, called power",
        (
            boot("Huawei", "FusionCharge AC"), status("Available"), Limits(10), Passes(60),
            Shows("rate_units", 2, 0), Shows("limit_result", "accepted"),
            never("SetChargingProfile", **IN_AMPERES), Remembers({"limit": 6900}), Quirks(),
        ),
        habits={
            "GetConfiguration": has_keys(ChargingScheduleAllowedChargingRateUnit="power"),
            "SetChargingProfile": takes(in_unit("W")),
        },
        switch="limit_unit",
    ),
)  # fmt: skip
