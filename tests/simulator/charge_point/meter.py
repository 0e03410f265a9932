"""The meter of one connector: what flows, what it has counted, and how that is said in MeterValues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

NOMINAL_V = 230.0
POWER_FACTOR = 0.99
REACTIVE_SHARE = 0.14  # sqrt(1 - POWER_FACTOR²) / POWER_FACTOR
LINE_TO_LINE = 3.0**0.5
PHASES = ("L1", "L2", "L3")
LINES = (("L1-L2", 0, 1), ("L2-L3", 1, 2), ("L3-L1", 2, 0))

ALL_MEASURANDS = (
    "Energy.Active.Import.Register",
    "Energy.Active.Export.Register",
    "Energy.Reactive.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Active.Import.Interval",
    "Energy.Active.Export.Interval",
    "Energy.Reactive.Import.Interval",
    "Energy.Reactive.Export.Interval",
    "Power.Active.Import",
    "Power.Active.Export",
    "Power.Reactive.Import",
    "Power.Reactive.Export",
    "Power.Factor",
    "Power.Offered",
    "Current.Import",
    "Current.Export",
    "Current.Offered",
    "Voltage",
    "Frequency",
    "Temperature",
    "SoC",
    "RPM",
)


@dataclass(frozen=True, slots=True)
class Manner:
    """How this charge point writes samples: kW instead of W, no units at all, phases without a total."""

    kilo_units: bool = False
    omits_units: bool = False
    omits_totals: bool = False
    celsius: str = "Celsius"  # "Celcius" in the first print of the specification


@dataclass(slots=True)
class Meter:
    """`energy_wh` only ever grows (unless a test sets it); the noise comes from `random`, so a seed repeats it."""

    random: Random
    energy_wh: float = 0.0
    reactive_varh: float = 0.0
    currents_a: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    voltages_v: list[float] = field(default_factory=lambda: [NOMINAL_V, NOMINAL_V, NOMINAL_V])
    frequency_hz: float = 50.0
    temperature_c: float = 24.0
    interval_from_wh: float = 0.0
    interval_from_varh: float = 0.0

    @property
    def phase_powers_w(self) -> list[float]:
        return [v * a * POWER_FACTOR for v, a in zip(self.voltages_v, self.currents_a, strict=True)]

    @property
    def power_w(self) -> float:
        return sum(self.phase_powers_w)

    def count(self, seconds: float) -> float:
        """Count what has flowed for `seconds` at the present currents; Wh."""
        energy_wh = self.power_w * seconds / 3600.0
        self.energy_wh += energy_wh
        self.reactive_varh += energy_wh * REACTIVE_SHARE
        return energy_wh

    def draw(self, current_a: float, phases: int) -> None:
        """From now on `current_a` flows, evenly: between two looks at the meter."""
        self.currents_a = [current_a if index < phases else 0.0 for index in range(3)]

    def flow(self, current_a: float, phases: int) -> None:
        """From now on `current_a` flows on the first `phases` phases, a little uneven, as it does."""
        for index in range(3):
            self.voltages_v[index] = round(NOMINAL_V + self.random.gauss(0.0, 0.7) - 0.03 * current_a, 2)
            uneven = 1.0 - abs(self.random.gauss(0.0, 0.004))
            self.currents_a[index] = round(current_a * uneven, 3) if index < phases else 0.0
        self.frequency_hz = round(50.0 + self.random.gauss(0.0, 0.01), 3)
        self.temperature_c = round(24.0 + 0.6 * current_a + self.random.gauss(0.0, 0.2), 1)

    def samples(
        self,
        measurands: Sequence[str],
        context: str,
        manner: Manner,
        *,
        offered_a: float,
        phases: int,
        soc_percent: float | None,
    ) -> list[dict[str, str]]:
        """`sampledValue` of one MeterValue; a measurand that this moment has no value for (SoC, no car) is left out."""
        found: list[dict[str, str]] = []
        for measurand in measurands:
            for value, unit, extra in self._values(measurand, manner, offered_a, phases, soc_percent):
                sample = {"value": value, "context": context, "measurand": measurand}
                if unit and not manner.omits_units:
                    sample["unit"] = unit
                found.append(sample | {key: text for key, text in extra.items() if text})
        self.interval_from_wh, self.interval_from_varh = self.energy_wh, self.reactive_varh
        return found

    def _values(
        self, measurand: str, manner: Manner, offered_a: float, phases: int, soc_percent: float | None
    ) -> Iterator[tuple[str, str, dict[str, str]]]:
        outlet = {"location": "Outlet"}
        match measurand:
            case "Energy.Active.Import.Register":
                yield *_scaled(self.energy_wh, "Wh", manner), outlet
            case "Energy.Active.Import.Interval":
                yield *_scaled(self.energy_wh - self.interval_from_wh, "Wh", manner), outlet
            case "Energy.Reactive.Import.Register":
                yield *_scaled(self.reactive_varh, "varh", manner), outlet
            case "Energy.Reactive.Import.Interval":
                yield *_scaled(self.reactive_varh - self.interval_from_varh, "varh", manner), outlet
            case "Energy.Active.Export.Register" | "Energy.Active.Export.Interval":
                yield *_scaled(0.0, "Wh", manner), outlet
            case "Energy.Reactive.Export.Register" | "Energy.Reactive.Export.Interval":
                yield *_scaled(0.0, "varh", manner), outlet
            case "Power.Active.Import":
                if not manner.omits_totals:
                    yield *_scaled(self.power_w, "W", manner), outlet
                for phase, power in zip(PHASES[:phases], self.phase_powers_w, strict=False):
                    yield *_scaled(power, "W", manner), {"phase": phase}
            case "Power.Active.Export":
                yield *_scaled(0.0, "W", manner), outlet
            case "Power.Reactive.Import":
                yield *_scaled(self.power_w * REACTIVE_SHARE, "var", manner), outlet
            case "Power.Reactive.Export":
                yield *_scaled(0.0, "var", manner), outlet
            case "Power.Factor":
                yield f"{POWER_FACTOR:.2f}", "", {}
            case "Power.Offered":
                yield *_scaled(offered_a * NOMINAL_V * phases, "W", manner), outlet
            case "Current.Import":
                for phase, current in zip(PHASES[:phases], self.currents_a, strict=False):
                    yield f"{current:.2f}", "A", {"phase": phase, **outlet}
                if phases == 3:
                    yield f"{max(self.currents_a) - min(self.currents_a):.2f}", "A", {"phase": "N", **outlet}
            case "Current.Export":
                yield "0.00", "A", outlet
            case "Current.Offered":
                yield f"{offered_a:.1f}", "A", outlet
            case "Voltage":
                for phase, voltage in zip(PHASES[:phases], self.voltages_v, strict=False):
                    yield f"{voltage:.1f}", "V", {"phase": f"{phase}-N", **outlet}
                for line, a, b in LINES if phases == 3 else ():
                    mean = (self.voltages_v[a] + self.voltages_v[b]) / 2.0
                    yield f"{mean * LINE_TO_LINE:.1f}", "V", {"phase": line, **outlet}
            case "Frequency":
                yield f"{self.frequency_hz:.2f}", "", {}  # 1.6 has no unit for it
            case "Temperature":
                yield f"{self.temperature_c:.1f}", manner.celsius, {"location": "Body"}
            case "SoC" if soc_percent is not None:
                yield f"{soc_percent:.0f}", "Percent", {"location": "EV"}
            case "RPM":
                yield "1200" if self.temperature_c > 30.0 else "0", "", {}


def _scaled(value: float, unit: str, manner: Manner) -> tuple[str, str]:
    if unit in ("Wh", "varh"):
        value = float(int(value))  # the whole Wh that the meter shows: it never runs ahead of what has flowed
    if manner.kilo_units:
        return f"{value / 1000.0:.3f}", f"k{unit}"
    return (f"{value:.0f}" if unit in ("Wh", "varh") else f"{value:.1f}"), unit
