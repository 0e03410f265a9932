"""Charging profiles over the wire: whatever the site's records hold, what goes out is valid."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gatewayd.ocpp import profiles, schema
from gatewayd.ocpp.schema_core import RemoteStartTransaction
from gatewayd.ocpp.schema_fields import Payload
from gatewayd.site.charging_profile import ClearProfiles, GetSchedule, Period, Profile, SetProfile
from gatewayd.site.codes import ProfileKind, ProfilePurpose, ProfileRecurrency, RateUnit
from gatewayd.site.timestamp import format_utc
from tests.ocpp.standard import is_valid

U32, I32 = st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31 - 1)
TENTHS = st.integers(0, 2**31 - 1)
PURPOSES, KINDS = st.sampled_from(list(ProfilePurpose)[1:]), st.sampled_from(list(ProfileKind)[1:])
UNITS = st.sampled_from(RateUnit)
PROFILES = st.builds(
    Profile,
    I32,
    PURPOSES,
    KINDS,
    st.integers(0, 65_535),
    UNITS,
    st.lists(st.builds(Period, U32, TENTHS), min_size=1, max_size=24).map(tuple),
    st.none() | st.integers(1, 3),
    st.sampled_from(ProfileRecurrency),
    st.none() | I32,
    st.none() | U32,
    st.none() | U32,
    st.none() | U32,
    st.none() | U32,
    st.none() | TENTHS,
)


def sent(payload: Payload) -> Any:
    """What `schema.encode` lets out, valid by the standard's schema."""
    text = json.loads(bytes(schema.encode(payload)))
    assert is_valid(type(payload).__name__, text), text
    return text


@given(connector=st.integers(0, 7), profile=PROFILES)
def test_every_profile_goes_out_valid(connector: int, profile: Profile) -> None:
    text = sent(profiles.set_charging_profile(SetProfile(connector, profile), format_utc))["csChargingProfiles"]
    limits = [round(10 * p["limit"]) for p in text["chargingSchedule"]["chargingSchedulePeriod"]]
    assert limits == [period.limit for period in profile.periods]
    assert ("recurrencyKind" in text) == bool(profile.recurrency)
    assert ("transactionId" in text) == (profile.transaction_id is not None)


@given(profile=PROFILES.filter(lambda profile: profile.transaction_id is None))
def test_every_profile_without_a_transaction_goes_with_a_remote_start(profile: Profile) -> None:
    sent(RemoteStartTransaction("TAG", 1, profiles.charging_profile(profile, format_utc)))


@given(
    st.builds(ClearProfiles, st.none() | I32, st.none() | st.integers(0, 7), st.none() | PURPOSES, st.none() | TENTHS)
)
def test_every_clearing_goes_out_valid_and_an_id_stands_alone(wanted: ClearProfiles) -> None:
    text = sent(profiles.clear_charging_profile(wanted))
    if wanted.id is not None:
        assert text == {"id": wanted.id}


@given(st.builds(GetSchedule, st.integers(0, 7), U32, UNITS))
def test_every_question_goes_out_valid(wanted: GetSchedule) -> None:
    assert sent(profiles.get_composite_schedule(wanted))["duration"] == wanted.duration_s


@given(
    st.fixed_dictionaries(
        {"status": st.sampled_from(["Accepted", "Rejected"])},
        optional={
            "scheduleStart": st.sampled_from(["2026-01-01T00:00:00Z", "soon", "", "2026-01-01 00:00:00.5+02"]),
            "chargingSchedule": st.fixed_dictionaries(
                {
                    "chargingRateUnit": st.sampled_from(["A", "W"]),
                    "chargingSchedulePeriod": st.lists(
                        st.fixed_dictionaries({"startPeriod": I32, "limit": st.floats(-1e300, 1e300)}), max_size=30
                    ),
                }
            ),
        },
    )
)
def test_every_composite_schedule_is_understood(answer: dict[str, Any]) -> None:
    payload: Any = schema.decode_answer("GetCompositeSchedule", json.dumps(answer).encode())
    found = profiles.composite_schedule(payload)
    assert (found is None) == ("chargingSchedule" not in answer)
    if found is not None:
        assert len(found.periods) == len(answer["chargingSchedule"]["chargingSchedulePeriod"])
        assert (found.start is None) == (answer.get("scheduleStart") in (None, "soon", ""))
