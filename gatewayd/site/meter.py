"""What a connector's meter says: sampled values become one record in SI units.

Serves "ocpp.md, Values" and "charge_point_quirks.md, 4", M4 to M10. Decided where the contract leaves room:

- An entry older than what is shown changes nothing; entries of one instant count as one (some models send an entry per
  sample). Of several samples for the same thing the last counts, but never one of Transaction.Begin over another.
- Location Outlet wins per measurand: where it speaks at all, inlet, cable and body are not mixed in.
- A decimal comma is read as a point; "NaN", "INF" and what is no number are ignored.
- A sample without a measurand, but in a unit that is none of energy, is ignored: power must not be shown as energy.
- A unit of another quantity is believed only between energy and power (`Wh` on a power), by its prefix.
- A power without a unit, in a unit of energy, or in kW is held against voltage and current of the same entry; where it
  is off by about a thousand, it is scaled to fit.
- An energy register that reads less than before is shown as it reads, and energy_backwards is returned: held at the old
  reading, a meter that was replaced would stand still for years. With `session_register` (a model whose register
  restarts with every session) it is added up instead. Models that also tell the total, in between or in the middle of
  a session, are believed: what is shown is the total, and what the session's register counted since.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from gatewayd.site import timestamp
from gatewayd.site.codes import QuirkBits
from gatewayd.site.measurand import (
    CONTEXTS,
    CONVERSIONS,
    DEFAULT,
    FOLDED,
    LOCATIONS,
    NO_QUIRK,
    PHASES,
    Conversion,
    Measurand,
    Total,
)

NOMINAL_VOLTAGE_V = 230.0
"""Assumed where no voltage is measured ("modbus.md, Limits")."""

PLAUSIBLE_FROM_W = 100.0
"""Below, voltage times current says nothing: standby and the meter's own noise."""

VALUE_LIMIT = 1e12
"""Beyond, either way, is no measurement: a register holds some 4e9."""

_MISSCALED = 1000.0**0.5
"""Half way, in steps of the same ratio, between a power in W and the same in kW."""

_FORMATS = (None, "Raw", "SignedData")
_OUTLET = (None, "Outlet")
_PLAIN = frozenset(
    (context, form, location)
    for context in CONTEXTS - {"Transaction.Begin"}
    for form in (None, "Raw")
    for location in _OUTLET
)
"""Context, format and location of nearly every sample: nothing to think about."""

_IMPORT_POWER = "Power.Active.Import"
_IMPORT_CURRENT = "Current.Import"
_LINE_PHASES = ("L1", "L2", "L3")
_VOLTAGES = {"L1": "voltage_l1_v", "L2": "voltage_l2_v", "L3": "voltage_l3_v", "": "voltage_l1_v"}


class Sample(Protocol):
    """A sampled value as the wire has it; absent fields are None."""

    @property
    def value(self) -> str: ...
    @property
    def context(self) -> str | None: ...
    @property
    def format(self) -> str | None: ...
    @property
    def measurand(self) -> str | None: ...
    @property
    def phase(self) -> str | None: ...
    @property
    def location(self) -> str | None: ...
    @property
    def unit(self) -> str | None: ...


@dataclass(slots=True)
class Meter:
    """The last values of one connector; None = not available. Percentages 0..100, power factor -1..1."""

    time_epoch: float | None = None
    """When the newest entry was measured, seconds since 1970."""

    energy_active_import_wh: float | None = None
    energy_active_export_wh: float | None = None
    energy_reactive_import_varh: float | None = None
    energy_reactive_export_varh: float | None = None
    energy_active_import_interval_wh: float | None = None
    energy_active_export_interval_wh: float | None = None
    energy_reactive_import_interval_varh: float | None = None
    energy_reactive_export_interval_varh: float | None = None
    power_active_import_w: float | None = None
    power_active_export_w: float | None = None
    power_offered_w: float | None = None
    power_reactive_import_var: float | None = None
    power_reactive_export_var: float | None = None
    power_l1_w: float | None = None
    power_l2_w: float | None = None
    power_l3_w: float | None = None
    power_factor: float | None = None
    current_import_a: float | None = None
    current_l1_a: float | None = None
    current_l2_a: float | None = None
    current_l3_a: float | None = None
    current_n_a: float | None = None
    current_export_a: float | None = None
    current_offered_a: float | None = None
    voltage_l1_v: float | None = None
    voltage_l2_v: float | None = None
    voltage_l3_v: float | None = None
    voltage_l1_l2_v: float | None = None
    voltage_l2_l3_v: float | None = None
    voltage_l3_l1_v: float | None = None
    frequency_hz: float | None = None
    temperature_celsius: float | None = None
    soc_percent: float | None = None
    rpm: float | None = None

    sessions_before_wh: float = 0.0
    """Only with `session_register`: all that had flowed when the register last began at 0, as far as is known."""
    session_reading_wh: float | None = None
    """Only with `session_register`: the register as it last read; None: never yet."""

    def forget_session(self) -> None:
        """The register counts something else from now on."""
        self.session_reading_wh = None

    def began_at(self, reading_wh: float) -> None:
        """A session begins, and its register reads this. Only a reading below the last one tells that it began anew:
        some write here what they count outside sessions."""
        if self.session_reading_wh is not None and round(reading_wh) < round(self.session_reading_wh):
            self.sessions_before_wh = self.energy_active_import_wh or 0.0
            self.session_reading_wh = reading_wh

    def take_session(self, reading_wh: float) -> None:
        """The register that begins at 0 with every session reads this."""
        before_wh, shown_wh = self.session_reading_wh, self.energy_active_import_wh or 0.0
        if before_wh is None or round(reading_wh) < round(before_wh):  # what is shown counted all that ever flowed
            self.sessions_before_wh = shown_wh
        elif round(self.sessions_before_wh + reading_wh) < round(shown_wh):  # a total came since, and read more
            self.sessions_before_wh = shown_wh - reading_wh
        self.session_reading_wh = reading_wh
        self.energy_active_import_wh = self.sessions_before_wh + reading_wh

    def take_total(self, reading_wh: float) -> bool:
        """All that ever flowed reads this. Returns whether it read more before.

        In a session it counts that one too, and what flowed since the session's register was last read: so the
        difference of both is the most that can have flowed before the session."""
        before_wh = self.energy_active_import_wh
        if self.session_reading_wh is not None:
            self.sessions_before_wh = min(self.sessions_before_wh, reading_wh - self.session_reading_wh)
        self.energy_active_import_wh = reading_wh
        # Compared as the register shows it: parts of a Wh come and go with the unit a model happens to use.
        return before_wh is not None and round(reading_wh) < round(before_wh)


def feed(
    meter: Meter,
    entries: Iterable[tuple[str | None, Iterable[Sample]]],
    now_epoch: float,
    *,
    session_register: bool = False,
) -> QuirkBits:
    """Takes the entries of a MeterValues or of a StopTransaction's transactionData, each a timestamp as text and its
    samples, in order of time. `now_epoch` is the time of receipt. Returns what was tolerated, bad_timestamp among it.
    Never raises."""
    quirks = NO_QUIRK
    instants: dict[float, list[Sample]] = {}
    for text, samples in entries:
        epoch, bad = timestamp.trusted(timestamp.parse(text), now_epoch)
        if bad:
            quirks |= QuirkBits.bad_timestamp
        instants.setdefault(epoch, []).extend(samples)
    for epoch in sorted(instants):
        quirks |= update(meter, instants[epoch], epoch, session_register=session_register)
    return quirks


def update(meter: Meter, samples: Iterable[Sample], epoch: float, *, session_register: bool = False) -> QuirkBits:
    """Takes the samples of one instant, `epoch` in seconds since 1970; nothing changes if it is older than what is
    shown. Returns what was tolerated. Never raises."""
    if meter.time_epoch is not None and timestamp.is_older(epoch, meter.time_epoch):
        return NO_QUIRK
    meter.time_epoch = epoch if meter.time_epoch is None else max(epoch, meter.time_epoch)
    entry = _Entry()
    for sample in samples:
        entry.add(sample)
    power = entry.found.pop(_IMPORT_POWER, None)
    energy = entry.found.pop(DEFAULT, None)
    for reading in entry.found.values():
        reading.place(meter)
    if power is not None:
        entry.hold_against_current(power, meter)
        power.place(meter)
    if energy is not None:
        entry.place_energy(energy.total(), meter, session_register)
    return entry.quirks


class _Reading:
    """What one entry says about one measurand, by phase, in its base unit."""

    __slots__ = ("conversion", "measurand", "outlet", "values")

    def __init__(self, conversion: Conversion, outlet: bool) -> None:
        self.conversion = conversion
        self.measurand: Measurand = conversion.measurand
        self.outlet = outlet
        self.values: dict[str, float] = {}

    def total(self) -> float | None:
        """The value without phase, or what the phases make of it; None if there is neither."""
        if "" in self.values:
            return self.values[""]
        phases = [self.values[phase] for phase in _LINE_PHASES if phase in self.values]
        if not phases or self.measurand.total is Total.NONE:
            return None
        if self.measurand.total is Total.SUM:
            return sum(phases)
        return max(phases) if self.measurand.total is Total.HIGHEST else phases[0]

    def place(self, meter: Meter) -> None:
        fields = self.measurand.fields
        total = self.total()
        if total is not None:
            setattr(meter, fields[""], total)
        for phase, value in self.values.items():
            if phase and phase in fields:
                setattr(meter, fields[phase], value)


class _Entry:
    """The samples of one instant while they are sorted by measurand and phase."""

    __slots__ = ("found", "quirks")

    def __init__(self) -> None:
        self.found: dict[str, _Reading] = {}
        self.quirks = NO_QUIRK

    def add(self, sample: Sample) -> None:
        """Sorts one sample in, or drops it."""
        outlet, at_begin = True, False
        circumstances = (sample.context, sample.format, sample.location)
        if circumstances not in _PLAIN:
            context, form, location = map(_trimmed, circumstances)
            if form == "SignedData":
                return
            if context not in CONTEXTS or form not in _FORMATS or location not in LOCATIONS:
                self.quirks |= QuirkBits.unlisted_value
            outlet, at_begin = location in _OUTLET, context == "Transaction.Begin"
        conversion = CONVERSIONS.get((sample.measurand, sample.unit)) or self._folded(sample)
        phase = PHASES.get(sample.phase)
        if phase is None:
            phase = PHASES.get(_trimmed(sample.phase))
        number = self._number(sample.value)
        if conversion is None or phase is None:
            self.quirks |= QuirkBits.unlisted_value
            return
        if number is None:
            return
        if conversion.quirk is not NO_QUIRK:
            self.quirks |= conversion.quirk
        reading = self.found.get(conversion.measurand.name)
        if reading is None:
            reading = self.found[conversion.measurand.name] = _Reading(conversion, outlet)
        elif reading.outlet is not outlet:
            if reading.outlet:
                return
            reading = self.found[conversion.measurand.name] = _Reading(conversion, outlet)
        if at_begin and phase in reading.values:
            return
        reading.conversion = conversion
        reading.values[phase] = number * conversion.factor + conversion.offset

    def _folded(self, sample: Sample) -> Conversion | None:
        measurand, unit = _trimmed(sample.measurand), _trimmed(sample.unit)
        conversion = CONVERSIONS.get((measurand, unit))
        if conversion is None:
            conversion = FOLDED.get(((measurand or "").casefold(), (unit or "").casefold()))
            if conversion is not None:
                self.quirks |= QuirkBits.unlisted_value
        return conversion

    def _number(self, text: str) -> float | None:
        try:
            number = float(text)
        except ValueError:
            self.quirks |= QuirkBits.schema_violation
            try:
                number = float(text.replace(",", ".", 1))
            except ValueError:
                return None
        if -VALUE_LIMIT <= number <= VALUE_LIMIT:
            return number
        self.quirks |= QuirkBits.schema_violation
        return None

    def hold_against_current(self, power: _Reading, meter: Meter) -> None:
        """Mends a power whose unit is in doubt and that is a thousand times off what flows (quirk M7)."""
        current = self.found.get(_IMPORT_CURRENT)
        watts = power.total()
        if not power.conversion.doubtful or current is None or watts is None or watts <= 0:
            return
        expected_w = _expected_w(current, meter)
        if expected_w < PLAUSIBLE_FROM_W:
            return
        if power.conversion.factor == 1.0 and watts * _MISSCALED < expected_w:
            factor = 1000.0
        elif power.conversion.factor == 1000.0 and watts > expected_w * _MISSCALED:
            factor = 0.001
        else:
            return
        self.quirks |= QuirkBits.other
        power.values = {phase: value * factor for phase, value in power.values.items()}

    def place_energy(self, reading_wh: float | None, meter: Meter, session_register: bool) -> None:
        if reading_wh is None:
            return
        if session_register:
            meter.take_session(reading_wh)
        elif meter.take_total(reading_wh):
            self.quirks |= QuirkBits.energy_backwards


def _expected_w(current: _Reading, meter: Meter) -> float:
    """Voltage times current, over the phases that carry any."""
    currents = {phase: current.values[phase] for phase in _LINE_PHASES if phase in current.values}
    return sum(
        amperes * (getattr(meter, _VOLTAGES[phase]) or meter.voltage_l1_v or NOMINAL_VOLTAGE_V)
        for phase, amperes in (currents or {"": current.values.get("", 0.0)}).items()
    )


def _trimmed(text: str | None) -> str | None:
    """What a text says: blanks around it do not count, nothing and "null" are absent (quirks M6, M8)."""
    text = (text or "").strip()
    return None if text in ("", "null") else text
