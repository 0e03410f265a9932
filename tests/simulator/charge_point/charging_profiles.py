"""Charging profiles as a charge point keeps and obeys them (OCPP 1.6, 3.13 and 5.16)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..clock import parse_stamp, stamp
from .meter import NOMINAL_V

DAY_S = 86_400
RECURRENCE_S = {"Daily": DAY_S, "Weekly": 7 * DAY_S}
MAX, TX_DEFAULT, TX = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"


@dataclass(frozen=True, slots=True)
class Profile:
    """One installed profile; `payload` is what came, times of it are read once."""

    connector: int
    payload: dict[str, Any]
    installed_at: float
    valid_from: float | None
    valid_to: float | None
    starts_at: float | None

    @classmethod
    def read(cls, connector: int, payload: dict[str, Any], now: float) -> Profile:
        """ValueError or KeyError if the payload cannot be used."""
        schedule = payload["chargingSchedule"]
        if not schedule["chargingSchedulePeriod"] or schedule["chargingSchedulePeriod"][0]["startPeriod"] != 0:
            raise ValueError("the first period has to start at 0")
        if payload["chargingProfileKind"] == "Recurring" and "recurrencyKind" not in payload:
            raise ValueError("a Recurring profile needs a recurrencyKind")
        times = {
            key: parse_stamp(place[key]) if key in place else None
            for key, place in (("validFrom", payload), ("validTo", payload), ("startSchedule", schedule))
        }
        return cls(connector, payload, now, times["validFrom"], times["validTo"], times["startSchedule"])

    @property
    def profile_id(self) -> int:
        return int(self.payload["chargingProfileId"])

    @property
    def purpose(self) -> str:
        return str(self.payload["chargingProfilePurpose"])

    @property
    def stack_level(self) -> int:
        return int(self.payload["stackLevel"])

    @property
    def transaction_id(self) -> int | None:
        return self.payload.get("transactionId")

    @property
    def schedule(self) -> dict[str, Any]:
        return dict(self.payload["chargingSchedule"])

    def limit(self, at: float, started_at: float | None) -> tuple[float, str, int | None] | None:
        """(limit, unit, numberPhases) at that time, or None where the profile says nothing."""
        if self.valid_from is not None and at < self.valid_from:
            return None
        if self.valid_to is not None and at >= self.valid_to:
            return None
        if self._recurs and self.starts_at is not None and at < self.starts_at:
            return None
        elapsed = at - self._origin(at, started_at)
        duration = self.schedule.get("duration")
        if elapsed < 0 or (duration is not None and elapsed >= duration):
            return None
        periods = [p for p in self.schedule["chargingSchedulePeriod"] if p["startPeriod"] <= elapsed]
        period = periods[-1]
        return float(period["limit"]), self.schedule["chargingRateUnit"], period.get("numberPhases")

    def changes(self, begin: float, end: float, started_at: float | None) -> Iterator[float]:
        """Every instant in (begin, end) at which the limit of this profile may change."""
        instants = [t for t in (self.valid_from, self.valid_to) if t is not None]
        offsets = [float(p["startPeriod"]) for p in self.schedule["chargingSchedulePeriod"]]
        if "duration" in self.schedule:
            offsets.append(float(self.schedule["duration"]))
        origin = self._origin(begin, started_at)
        every = RECURRENCE_S.get(self.payload.get("recurrencyKind", "")) if self._recurs else None
        while origin < end:
            instants += [origin, *(origin + offset for offset in offsets)]
            if every is None:
                break
            origin += every
        yield from (t for t in instants if begin < t < end)

    @property
    def _recurs(self) -> bool:
        return bool(self.payload["chargingProfileKind"] == "Recurring")

    def _origin(self, at: float, started_at: float | None) -> float:
        kind = self.payload["chargingProfileKind"]
        if kind == "Recurring":
            every = RECURRENCE_S[self.payload["recurrencyKind"]]
            base = self.starts_at if self.starts_at is not None else self.installed_at
            return at - (at - base) % every
        if kind == "Absolute" and self.starts_at is not None:
            return self.starts_at
        # Relative, and Absolute without a start: "relative to the start of charging". What caps the whole charge
        # point has no start of charging: it counts from when it was set. Without a transaction it begins now.
        if self.purpose == MAX:
            return self.installed_at
        return at if started_at is None else started_at


@dataclass(slots=True)
class Capability:
    """What this charge point takes; the rest is refused as real ones do."""

    purposes: tuple[str, ...] = (MAX, TX_DEFAULT, TX)
    kinds: tuple[str, ...] = ("Absolute", "Recurring", "Relative")
    rate_units: tuple[str, ...] = ("A", "W")
    max_stack_level: int = 8
    max_periods: int = 24
    max_installed: int = 30
    min_limit_a: float = 0.0  # lower limits are Rejected by some, 0 A among them


@dataclass(slots=True)
class ProfileStore:
    """The installed profiles. Times are seconds since 1970; `started_at` is that of the running transaction."""

    capability: Capability = field(default_factory=Capability)
    profiles: list[Profile] = field(default_factory=list)

    def set(self, connector: int, payload: dict[str, Any], now: float, connector_count: int, busy: bool) -> str:
        """The status that SetChargingProfile is answered with. `busy`: that connector has a transaction."""
        allowed = self.capability
        try:
            profile = Profile.read(connector, payload, now)
        except (ValueError, KeyError):
            return "Rejected"
        schedule = profile.schedule
        if profile.purpose not in allowed.purposes or payload["chargingProfileKind"] not in allowed.kinds:
            return "NotSupported"
        lowest_a = min(
            _amperes(p["limit"], schedule["chargingRateUnit"], p.get("numberPhases"), 3)
            for p in schedule["chargingSchedulePeriod"]
        )
        refused = (
            not 0 <= connector <= connector_count
            or schedule["chargingRateUnit"] not in allowed.rate_units
            or not 0 <= profile.stack_level <= allowed.max_stack_level
            or len(schedule["chargingSchedulePeriod"]) > allowed.max_periods
            or lowest_a < allowed.min_limit_a
            or (profile.purpose == MAX and connector != 0)
            or (profile.purpose == TX and (connector == 0 or not busy))
        )
        others = [p for p in self.profiles if not _replaces(profile, p)]
        if refused or len(others) >= allowed.max_installed:
            return "Rejected"
        self.profiles = [*others, profile]
        return "Accepted"

    def clear(self, wanted: dict[str, Any]) -> str:
        """By id alone if there is one, else by whatever is named (OCPP 1.6, 5.5)."""
        keep = [p for p in self.profiles if not _matches(p, wanted)]
        status = "Accepted" if len(keep) < len(self.profiles) else "Unknown"
        self.profiles = keep
        return status

    def end_transaction(self, connector: int) -> None:
        """A TxProfile lives no longer than its transaction."""
        self.profiles = [p for p in self.profiles if p.purpose != TX or p.connector != connector]

    def connector_limit_a(self, connector: int, at: float, started_at: float | None, phases: int) -> float | None:
        """What TxProfile, else TxDefaultProfile, allow per phase; None: no profile speaks."""
        for purpose, places in ((TX, (connector,)), (TX_DEFAULT, (connector, 0))):
            if purpose == TX and started_at is None:
                continue
            found = self._leading(purpose, places, at, started_at, phases)
            if found is not None:
                return found
        return None

    def charge_point_limit_a(self, at: float, phases: int) -> float | None:
        """What ChargePointMaxProfile allows for all connectors together."""
        return self._leading(MAX, (0,), at, None, phases)

    def changes(self, begin: float, end: float, started_at: float | None) -> list[float]:
        """Every instant in (begin, end) at which any limit may change, in order."""
        return sorted({t for p in self.profiles for t in p.changes(begin, end, started_at)})

    def _leading(
        self, purpose: str, places: tuple[int, ...], at: float, started_at: float | None, phases: int
    ) -> float | None:
        spoken = [
            (p.stack_level, p.connector, said)
            for p in self.profiles
            if p.purpose == purpose and p.connector in places and (said := p.limit(at, started_at)) is not None
        ]
        if not spoken:
            return None
        # The highest stack level leads; of two equal ones that of the connector itself.
        _, _, (limit, unit, limit_phases) = max(spoken, key=lambda entry: entry[:2])
        return _amperes(limit, unit, limit_phases, phases)


def composite_schedule(
    store: ProfileStore,
    limit_a: Callable[[float], float],
    begin: float,
    duration_s: int,
    unit: str,
    phases: int,
    started_at: float | None,
) -> dict[str, Any]:
    """The `chargingSchedule` of GetCompositeSchedule; `limit_a(at)` is what applies at a time."""
    periods: list[dict[str, Any]] = []
    for at in [begin, *store.changes(begin, begin + duration_s, started_at)]:
        limit = limit_a(at) * (NOMINAL_V * phases if unit == "W" else 1.0)
        if not periods or periods[-1]["limit"] != round(limit, 1):
            periods.append({"startPeriod": round(at - begin), "limit": round(limit, 1)})
    return {
        "duration": duration_s,
        "startSchedule": stamp(begin),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": periods,
    }


def _amperes(limit: float, unit: str, limit_phases: int | None, phases: int) -> float:
    return limit if unit == "A" else limit / (NOMINAL_V * min(limit_phases or 3, phases))


def _replaces(new: Profile, old: Profile) -> bool:
    same_place = (new.purpose, new.stack_level, new.connector) == (old.purpose, old.stack_level, old.connector)
    return new.profile_id == old.profile_id or same_place


def _matches(profile: Profile, wanted: dict[str, Any]) -> bool:
    if "id" in wanted:
        return profile.profile_id == int(wanted["id"])
    return bool(
        wanted.get("connectorId", profile.connector) == profile.connector
        and wanted.get("chargingProfilePurpose", profile.purpose) == profile.purpose
        and wanted.get("stackLevel", profile.stack_level) == profile.stack_level
    )
