"""What charge points make of Calls, in the ways that threads tell of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import trio

from tests.quirks.stage import SILENT, Habit, Refusal, Reply, Stage

Profile = dict[str, Any]
ACCEPTED: Reply = {"status": "Accepted"}
REJECTED: Reply = {"status": "Rejected"}
NOT_SUPPORTED: Reply = {"status": "NotSupported"}


def says(reply: Reply) -> Habit:
    """Always the same."""
    return lambda stage, payload: reply


def has_keys(**values: str) -> Habit:
    """Its configuration keys, of those that were asked for."""

    def get_configuration(stage: Stage, payload: Any) -> Reply:
        asked = payload.get("key") or list(values)
        known = [{"key": key, "readonly": True, "value": values[key]} for key in asked if key in values]
        return {"configurationKey": known, "unknownKey": [key for key in asked if key not in values]}

    return get_configuration


def takes(fits: Callable[[Profile], bool], otherwise: Reply = REJECTED) -> Habit:
    """Takes charging profiles that fit; remembers the limit that holds then, None for none."""

    def set_charging_profile(stage: Stage, payload: Any) -> Reply:
        told = payload["csChargingProfiles"]
        if not fits(told):
            return otherwise
        limit = told["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"]
        _held(stage)[told["chargingProfilePurpose"], told["stackLevel"]] = told["chargingProfileId"], limit
        stage.memory["limit"] = _in_force(stage)
        return ACCEPTED

    return set_charging_profile


def forgets(unless: Callable[[int], bool] = lambda level: False) -> Habit:
    """Clears the profile of an id, or all; but of such a level it says that it knows none."""

    def clear_charging_profile(stage: Stage, payload: Any) -> Reply:
        held = _held(stage)
        meant = [place for place, (number, _) in held.items() if payload.get("id", number) == number]
        if not meant or any(unless(level) for _, level in meant):
            return {"status": "Unknown"}
        for place in meant:
            del held[place]
        stage.memory["limit"] = _in_force(stage)
        return ACCEPTED

    return clear_charging_profile


def _held(stage: Stage) -> dict[tuple[str, int], tuple[int, float]]:
    """Purpose and stack level → id and limit."""
    held: dict[tuple[str, int], tuple[int, float]] = stage.memory.setdefault("profiles", {})
    return held


def _in_force(stage: Stage) -> float | None:
    """The lowest of what each purpose says, of several levels the highest; TxProfile in place of TxDefaultProfile."""
    said = {purpose: limit for (purpose, _), (_, limit) in sorted(_held(stage).items())}
    if "TxProfile" in said:
        said.pop("TxDefaultProfile", None)
    return min(said.values(), default=None)


def restarts(stage: Stage, payload: Any) -> Reply:
    """Crashes in place of an answer, and boots twenty seconds later."""

    async def restart() -> None:
        await stage.hang_up()
        await trio.sleep(20.0)
        await stage.dial()
        with suppress(AssertionError):
            await stage.said(stage.call("BootNotification", {"chargePointVendor": "X", "chargePointModel": "Y"}))

    stage.plant.nursery.start_soon(restart)
    return SILENT


def deaf_after(action: str, **payload: Any) -> dict[str, Habit]:
    """Answers everything until it is asked for this, and then nothing more."""

    def answer(asked: str) -> Habit:
        def habit(stage: Stage, said: Any) -> Reply:
            if asked == action and all(said.get(key) == value for key, value in payload.items()):
                stage.memory["deaf"] = True
            return SILENT if stage.memory.get("deaf") else ACCEPTED

        return habit

    return {action: answer(action), "*": answer("")}


def deaf_until_told(stage: Stage, payload: Any) -> Reply:
    """Answers nothing before the replay says that it hears."""
    return ACCEPTED if stage.memory.get("hears") else SILENT


def busy_at_first(habit: Habit) -> Habit:
    """Rejects once what it accepts then. No thread tells of this: it shows whether after a refusal the gateway goes on
    to what the charge point never takes."""

    def set_charging_profile(stage: Stage, payload: Any) -> Reply:
        refused_now = not stage.memory.get("refused")
        reply = habit(stage, payload)
        if reply == ACCEPTED and refused_now:
            stage.memory["refused"] = True
            return REJECTED
        return reply

    return set_charging_profile


def hexadecimal_only(stage: Stage, payload: Any) -> Reply:
    """A remote start, for the tag of an RFID card only."""
    return ACCEPTED if set(payload["idTag"]) <= set("0123456789ABCDEF") else REJECTED


def too_soon_after_stop(stage: Stage, payload: Any) -> Reply:
    """A remote start within two minutes of the stop: it accepts, and drops off the network."""
    if trio.current_time() - stage.memory.get("stopped_at", 0.0) < 120.0:
        stage.plant.nursery.start_soon(stage.hang_up)
    return ACCEPTED


def only(**wanted: Any) -> Callable[[Profile], bool]:
    """Profiles in which all of this stands."""
    return lambda told: all(told.get(key) == value for key, value in wanted.items())


def in_unit(unit: str) -> Callable[[Profile], bool]:
    return lambda told: told["chargingSchedule"]["chargingRateUnit"] == unit


def not_relative_as_maximum(stage: Stage, payload: Any) -> Reply:
    told = payload["csChargingProfiles"]
    if (told["chargingProfilePurpose"], told["chargingProfileKind"]) == ("ChargePointMaxProfile", "Relative"):
        return Refusal(
            "PropertyConstraintViolation",
            "When chargingProfilePurpose =ChargingStationMaxProfile, chargingProfileKind SHALL NOT be Relative",
        )
    return takes(lambda told: True)(stage, payload)
