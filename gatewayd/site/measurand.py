"""The measurands of OCPP 1.6 as a table: which field of a Meter each one fills by phase, and what its units mean.

Serves "ocpp.md, Values" and "charge_point_quirks.md, 4", M4, M7, M8. `site.meter` holds the rules that use it.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from gatewayd.site.codes import QuirkBits

NO_QUIRK = QuirkBits(0)


class Quantity(Enum):
    """What is measured, by its base unit."""

    ACTIVE_ENERGY = "Wh"
    REACTIVE_ENERGY = "varh"
    ACTIVE_POWER = "W"
    REACTIVE_POWER = "var"
    CURRENT = "A"
    VOLTAGE = "V"
    SHARE = "%"
    TEMPERATURE = "°C"
    FREQUENCY = "Hz"
    POWER_FACTOR = ""
    SPEED = "rpm"


class Total(Enum):
    """How the value without phase is had when only phases come."""

    SUM = "sum"
    HIGHEST = "highest"  # what may be drawn, or flows back, on the phase that carries most
    FIRST = "first"  # the same on every phase: frequency, state of charge
    NONE = "none"


class Measurand(NamedTuple):
    """One row: `fields` maps a phase to the Meter's field, "" being the value without phase."""

    name: str
    quantity: Quantity
    total: Total
    fields: Mapping[str, str]


DEFAULT = "Energy.Active.Import.Register"
"""What a sample without a measurand is ("ocpp.md, Values")."""

MEASURANDS = (
    Measurand(DEFAULT, Quantity.ACTIVE_ENERGY, Total.SUM, {"": "energy_active_import_wh"}),
    Measurand("Energy.Active.Export.Register", Quantity.ACTIVE_ENERGY, Total.SUM, {"": "energy_active_export_wh"}),
    Measurand(
        "Energy.Reactive.Import.Register", Quantity.REACTIVE_ENERGY, Total.SUM, {"": "energy_reactive_import_varh"}
    ),
    Measurand(
        "Energy.Reactive.Export.Register", Quantity.REACTIVE_ENERGY, Total.SUM, {"": "energy_reactive_export_varh"}
    ),
    Measurand(
        "Energy.Active.Import.Interval",
        Quantity.ACTIVE_ENERGY,
        Total.SUM,
        {"": "energy_active_import_interval_wh"},
    ),
    Measurand(
        "Energy.Active.Export.Interval",
        Quantity.ACTIVE_ENERGY,
        Total.SUM,
        {"": "energy_active_export_interval_wh"},
    ),
    Measurand(
        "Energy.Reactive.Import.Interval",
        Quantity.REACTIVE_ENERGY,
        Total.SUM,
        {"": "energy_reactive_import_interval_varh"},
    ),
    Measurand(
        "Energy.Reactive.Export.Interval",
        Quantity.REACTIVE_ENERGY,
        Total.SUM,
        {"": "energy_reactive_export_interval_varh"},
    ),
    Measurand(
        "Power.Active.Import",
        Quantity.ACTIVE_POWER,
        Total.SUM,
        {"": "power_active_import_w", "L1": "power_l1_w", "L2": "power_l2_w", "L3": "power_l3_w"},
    ),
    Measurand("Power.Active.Export", Quantity.ACTIVE_POWER, Total.SUM, {"": "power_active_export_w"}),
    Measurand("Power.Offered", Quantity.ACTIVE_POWER, Total.SUM, {"": "power_offered_w"}),
    Measurand("Power.Reactive.Import", Quantity.REACTIVE_POWER, Total.SUM, {"": "power_reactive_import_var"}),
    Measurand("Power.Reactive.Export", Quantity.REACTIVE_POWER, Total.SUM, {"": "power_reactive_export_var"}),
    Measurand("Power.Factor", Quantity.POWER_FACTOR, Total.FIRST, {"": "power_factor"}),
    Measurand(
        "Current.Import",
        Quantity.CURRENT,
        Total.SUM,
        {
            "": "current_import_a",
            "L1": "current_l1_a",
            "L2": "current_l2_a",
            "L3": "current_l3_a",
            "N": "current_n_a",
        },
    ),
    Measurand("Current.Export", Quantity.CURRENT, Total.HIGHEST, {"": "current_export_a"}),
    Measurand("Current.Offered", Quantity.CURRENT, Total.HIGHEST, {"": "current_offered_a"}),
    Measurand(
        "Voltage",
        Quantity.VOLTAGE,
        Total.NONE,
        {
            "": "voltage_l1_v",
            "L1": "voltage_l1_v",
            "L2": "voltage_l2_v",
            "L3": "voltage_l3_v",
            "L1-L2": "voltage_l1_l2_v",
            "L2-L3": "voltage_l2_l3_v",
            "L3-L1": "voltage_l3_l1_v",
        },
    ),
    Measurand("Frequency", Quantity.FREQUENCY, Total.FIRST, {"": "frequency_hz"}),
    Measurand("Temperature", Quantity.TEMPERATURE, Total.FIRST, {"": "temperature_celsius"}),
    Measurand("SoC", Quantity.SHARE, Total.FIRST, {"": "soc_percent"}),
    Measurand("RPM", Quantity.SPEED, Total.FIRST, {"": "rpm"}),
)

PHASES: Mapping[str | None, str] = {
    None: "",
    "L1": "L1",
    "L2": "L2",
    "L3": "L3",
    "N": "N",
    "L1-N": "L1",
    "L2-N": "L2",
    "L3-N": "L3",
    "L1-L2": "L1-L2",
    "L2-L3": "L2-L3",
    "L3-L1": "L3-L1",
}
"""Phase as written, to the key of `Measurand.fields`."""

CONTEXTS = frozenset(
    (
        None,
        "Interruption.Begin",
        "Interruption.End",
        "Sample.Clock",
        "Sample.Periodic",
        "Transaction.Begin",
        "Transaction.End",
        "Trigger",
        "Other",
    )
)
"""Reading contexts of the standard; None is Sample.Periodic."""

LOCATIONS = frozenset((None, "Cable", "EV", "Inlet", "Outlet", "Body"))
"""Locations of the standard; None is Outlet."""


class Conversion(NamedTuple):
    """How the number of a sample becomes one in the base unit: times `factor`, plus `offset`."""

    measurand: Measurand
    factor: float
    offset: float
    quirk: QuirkBits
    doubtful: bool
    """A power that voltage and current have to confirm (quirk M7): without a unit, in a unit of energy, or in kW."""


# Unit -> factor and offset to the base unit. LISTED are the standard's, EXTRA were seen on the wire (M4, M7).
_ENERGY_AND_POWER = {
    **dict.fromkeys(("Wh", "varh", "W", "VA", "var"), (1.0, 0.0)),
    **dict.fromkeys(("kWh", "kvarh", "kW", "kVA", "kvar"), (1000.0, 0.0)),
}
_LISTED: Mapping[Quantity, Mapping[str, tuple[float, float]]] = {
    Quantity.ACTIVE_ENERGY: {"Wh": (1.0, 0.0), "kWh": (1000.0, 0.0)},
    Quantity.REACTIVE_ENERGY: {"varh": (1.0, 0.0), "kvarh": (1000.0, 0.0)},
    Quantity.ACTIVE_POWER: {"W": (1.0, 0.0), "kW": (1000.0, 0.0), "VA": (1.0, 0.0), "kVA": (1000.0, 0.0)},
    Quantity.REACTIVE_POWER: {"var": (1.0, 0.0), "kvar": (1000.0, 0.0)},
    Quantity.CURRENT: {"A": (1.0, 0.0)},
    Quantity.VOLTAGE: {"V": (1.0, 0.0)},
    Quantity.SHARE: {"Percent": (1.0, 0.0)},
    Quantity.TEMPERATURE: {
        "Celcius": (1.0, 0.0),
        "Celsius": (1.0, 0.0),
        "K": (1.0, -273.15),
        "Fahrenheit": (5 / 9, -160 / 9),
    },
    Quantity.FREQUENCY: {"Hertz": (1.0, 0.0)},
    Quantity.POWER_FACTOR: {},
    Quantity.SPEED: {},
}
_EXTRA: Mapping[Quantity, Mapping[str, tuple[float, float]]] = {
    Quantity.ACTIVE_ENERGY: _ENERGY_AND_POWER,
    Quantity.REACTIVE_ENERGY: _ENERGY_AND_POWER,
    Quantity.ACTIVE_POWER: _ENERGY_AND_POWER,
    Quantity.REACTIVE_POWER: _ENERGY_AND_POWER,
    Quantity.CURRENT: {"mA": (0.001, 0.0)},
    Quantity.VOLTAGE: {"mV": (0.001, 0.0)},
    Quantity.SHARE: {"%": (1.0, 0.0)},
    Quantity.TEMPERATURE: {
        "C": (1.0, 0.0),
        "°C": (1.0, 0.0),
        "F": (5 / 9, -160 / 9),
        "°F": (5 / 9, -160 / 9),
        "Kelvin": (1.0, -273.15),
    },
    Quantity.FREQUENCY: {"Hz": (1.0, 0.0)},
    Quantity.POWER_FACTOR: {"Percent": (0.01, 0.0), "%": (0.01, 0.0)},
    Quantity.SPEED: {"rpm": (1.0, 0.0)},
}
_UNIT_UNSAID = frozenset(
    (
        Quantity.ACTIVE_ENERGY,
        Quantity.REACTIVE_ENERGY,
        Quantity.FREQUENCY,
        Quantity.POWER_FACTOR,
        Quantity.SPEED,
    )
)
"""What needs no unit: energies default to Wh, and the first edition of the standard has no unit for the others."""


def _conversions() -> Iterator[tuple[tuple[str | None, str | None], Conversion]]:
    for row in MEASURANDS:
        import_power = row.name == "Power.Active.Import"
        unsaid = NO_QUIRK if row.quantity in _UNIT_UNSAID else QuirkBits.missing_unit
        yield (row.name, None), Conversion(row, 1.0, 0.0, unsaid, import_power)
        for unit, scale in _EXTRA[row.quantity].items():
            yield (row.name, unit), Conversion(row, *scale, QuirkBits.unlisted_value, import_power)
        for unit, scale in _LISTED[row.quantity].items():
            yield (row.name, unit), Conversion(row, *scale, NO_QUIRK, import_power and unit == "kW")
    # A sample that names no measurand is believed to be energy only in a unit of energy.
    default = MEASURANDS[0]
    yield (None, None), Conversion(default, 1.0, 0.0, NO_QUIRK, False)
    for unit, scale in _LISTED[default.quantity].items():
        yield (None, unit), Conversion(default, *scale, NO_QUIRK, False)


CONVERSIONS: Mapping[tuple[str | None, str | None], Conversion] = dict(_conversions())
"""By measurand and unit as written."""

FOLDED: Mapping[tuple[str, str], Conversion] = {
    ((measurand or "").casefold(), (unit or "").casefold()): conversion
    for (measurand, unit), conversion in CONVERSIONS.items()
}
"""The same for texts in another case."""
