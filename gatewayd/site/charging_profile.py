"""Charging profiles as the site thinks of them, and what may be wanted of a charge point with them.

Plain records: whoever wants something puts one of `SetProfile`, `ClearProfiles`, `GetSchedule` into a command's
payload; how it goes over the wire is OCPP's business. Limits count 0.1 of the rate unit, times are epoch seconds.
"""

from __future__ import annotations

from math import floor

from msgspec import Struct

from gatewayd.site.codes import ProfileKind, ProfilePurpose, ProfileRecurrency, RateUnit
from gatewayd.site.meter import NOMINAL_VOLTAGE_V
from gatewayd.site.supply import NOMINAL_PHASES

OWN_PROFILE_IDS = range(1_000_000, 2_000_000)
"""Ids of the profiles that limits and the watchdog's fallback are sent as (modbus.md, Limits: from 1,000,000)."""
PICKED_PROFILE_IDS = 2_000_000
"""From here on the ids that the gateway picks for profiles of the mailbox."""


class Period(Struct, frozen=True):
    """A limit from `start_s` seconds after the start of the schedule."""

    start_s: int
    limit: int
    """0.1 of the rate unit."""


class Profile(Struct, frozen=True):
    """One charging profile; None is absent."""

    id: int
    purpose: ProfilePurpose
    kind: ProfileKind
    stack_level: int
    rate_unit: RateUnit
    periods: tuple[Period, ...]
    phases: int | None = None
    """1..3, of every period."""
    recurrency: ProfileRecurrency = ProfileRecurrency.none
    transaction_id: int | None = None
    valid_from: int | None = None
    valid_to: int | None = None
    start_schedule: int | None = None
    duration_s: int | None = None
    min_rate: int | None = None
    """0.1 of the rate unit."""


class SetProfile(Struct, frozen=True):
    """Wanted: this profile holds on this connector, 0 being the charge point as a whole."""

    connector: int
    profile: Profile


class ClearProfiles(Struct, frozen=True):
    """Wanted: profiles that match all that is given are gone; None matches any."""

    id: int | None = None
    connector: int | None = None
    purpose: ProfilePurpose | None = None
    stack_level: int | None = None

    def matches(self, connector: int, profile: Profile) -> bool:
        """Whether this profile is meant (OCPP 1.6, 5.5: by its id alone if there is one)."""
        if self.id is not None:
            return profile.id == self.id
        return (
            self.connector in (None, connector)
            and self.purpose in (None, profile.purpose)
            and self.stack_level in (None, profile.stack_level)
        )


class GetSchedule(Struct, frozen=True):
    """Wanted: what the charge point will allow on this connector during the next `duration_s` seconds."""

    connector: int
    duration_s: int
    rate_unit: RateUnit


class CompositeSchedule(Struct, frozen=True):
    """The answer to GetSchedule, in the unit that came."""

    rate_unit: RateUnit
    start: float | None
    periods: tuple[tuple[int, float], ...]
    """(start in seconds, limit in the rate unit)."""


def own_id(purpose: ProfilePurpose, number: int) -> int:
    """The id of a limit of ours: the same for the same purpose and connector, so that a new one replaces the old."""
    return OWN_PROFILE_IDS.start + 10 * purpose + number


def own_place(profile_id: int) -> ClearProfiles:
    """Which profile an `own_id` means, for a charge point that is to find it by other things than its id."""
    purpose, number = divmod(profile_id - OWN_PROFILE_IDS.start, 10)
    return ClearProfiles(None, number, ProfilePurpose(purpose or ProfilePurpose.TxDefaultProfile))


def picked_id(connector: int, purpose: ProfilePurpose, stack_level: int) -> int:
    """The id of a profile that came without one: the same for the same place, since a charge point keeps one profile
    for each purpose and stack level of a connector. 31 bits, as small charge points keep it."""
    return PICKED_PROFILE_IDS + ((8 * purpose + connector) << 16) + stack_level


def ceiling(max_current_a: float, rate_unit: RateUnit, phases: int | None) -> int:
    """The highest limit, in 0.1 of the unit, that does not pass this current per phase (interface.md,
    `max_current_a`: no register can). Watts are reckoned with the nominal voltage, and three phases where none are
    given (erratum 3.69)."""
    per_ampere = 1.0 if rate_unit is RateUnit.A else NOMINAL_VOLTAGE_V * (phases or NOMINAL_PHASES)
    return floor(floor(max_current_a * 10) * per_ampere)
