"""How sampled values become what a BMS reads ("ocpp.md, Values"; "charge_point_quirks.md, 4")."""

from dataclasses import asdict, dataclass, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.site import measurand
from gatewayd.site.codes import QuirkBits
from gatewayd.site.meter import Meter, feed, update

NOW = 1795342650.0
NO_QUIRK = QuirkBits(0)


@dataclass
class Sampled:
    """A sample as the wire has it."""

    value: str
    measurand: str | None = None
    unit: str | None = None
    phase: str | None = None
    location: str | None = None
    context: str | None = None
    format: str | None = None


def shown(meter: Meter) -> dict[str, float]:
    """What is available, without the time."""
    return {name: value for name, value in asdict(meter).items() if value and name != "time_epoch"}


def read(*samples: Sampled, meter: Meter | None = None, at: float = NOW) -> tuple[dict[str, Any], QuirkBits]:
    meter = meter or Meter()
    quirks = update(meter, samples, at)
    return shown(meter), quirks


# Every row of the register map's connector block that names a measurand: the value in base units.
@pytest.mark.parametrize(
    ("name", "phase", "unit", "text", "field", "value"),
    [
        ("Energy.Active.Import.Register", None, "Wh", "1234567", "energy_active_import_wh", 1234567),
        ("Energy.Active.Import.Register", None, "kWh", "1234.567", "energy_active_import_wh", 1234567),
        ("Energy.Active.Export.Register", None, "kWh", "1.5", "energy_active_export_wh", 1500),
        ("Energy.Reactive.Import.Register", None, "kvarh", "1.5", "energy_reactive_import_varh", 1500),
        ("Energy.Reactive.Export.Register", None, "varh", "1.5", "energy_reactive_export_varh", 1.5),
        ("Energy.Active.Import.Interval", None, "Wh", "15", "energy_active_import_interval_wh", 15),
        ("Energy.Active.Export.Interval", None, "kWh", "15", "energy_active_export_interval_wh", 15000),
        ("Energy.Reactive.Import.Interval", None, "varh", "15", "energy_reactive_import_interval_varh", 15),
        ("Energy.Reactive.Export.Interval", None, "kvarh", "15", "energy_reactive_export_interval_varh", 15000),
        ("Power.Active.Import", None, "W", "7200", "power_active_import_w", 7200),
        ("Power.Active.Import", None, "kW", "7.2", "power_active_import_w", 7200),
        ("Power.Active.Import", None, "kVA", "7.2", "power_active_import_w", 7200),
        ("Power.Active.Import", None, "VA", "7200", "power_active_import_w", 7200),
        ("Power.Active.Export", None, "kW", "1", "power_active_export_w", 1000),
        ("Power.Offered", None, "W", "11000", "power_offered_w", 11000),
        ("Power.Reactive.Import", None, "var", "70", "power_reactive_import_var", 70),
        ("Power.Reactive.Import", None, "kvar", "0.07", "power_reactive_import_var", 70),
        ("Power.Reactive.Export", None, "kvar", "0.07", "power_reactive_export_var", 70),
        ("Power.Factor", None, None, "0.98", "power_factor", 0.98),
        ("Current.Import", None, "A", "10.5", "current_import_a", 10.5),
        ("Current.Import", "N", "A", "0.5", "current_n_a", 0.5),
        ("Current.Export", None, "A", "3", "current_export_a", 3),
        ("Current.Offered", None, "A", "16", "current_offered_a", 16),
        ("Voltage", None, "V", "230.1", "voltage_l1_v", 230.1),
        ("Voltage", "L1", "V", "230.1", "voltage_l1_v", 230.1),
        ("Voltage", "L1-N", "V", "230.1", "voltage_l1_v", 230.1),
        ("Voltage", "L2", "V", "230.1", "voltage_l2_v", 230.1),
        ("Voltage", "L2-N", "V", "230.1", "voltage_l2_v", 230.1),
        ("Voltage", "L3", "V", "230.1", "voltage_l3_v", 230.1),
        ("Voltage", "L3-N", "V", "230.1", "voltage_l3_v", 230.1),
        ("Voltage", "L1-L2", "V", "400", "voltage_l1_l2_v", 400),
        ("Voltage", "L2-L3", "V", "400", "voltage_l2_l3_v", 400),
        ("Voltage", "L3-L1", "V", "400", "voltage_l3_l1_v", 400),
        ("Frequency", None, "Hertz", "50.01", "frequency_hz", 50.01),
        ("Frequency", None, None, "50.01", "frequency_hz", 50.01),
        ("Temperature", None, "Celsius", "31", "temperature_celsius", 31),
        ("Temperature", None, "Celcius", "31", "temperature_celsius", 31),
        ("Temperature", None, "Fahrenheit", "212", "temperature_celsius", 100),
        ("Temperature", None, "K", "300", "temperature_celsius", 26.85),
        ("SoC", None, "Percent", "54", "soc_percent", 54),
        ("RPM", None, None, "1200", "rpm", 1200),
    ],
)
def test_a_measurand_in_a_listed_unit(
    name: str, phase: str | None, unit: str | None, text: str, field: str, value: float
) -> None:
    assert read(Sampled(text, name, unit, phase)) == ({field: pytest.approx(value)}, NO_QUIRK)


def test_every_measurand_fills_fields_of_the_meter_and_every_field_is_filled() -> None:
    filled = {field for row in measurand.MEASURANDS for field in row.fields.values()}
    own = {"time_epoch", "sessions_before_wh", "session_reading_wh"}
    assert filled == {field.name for field in fields(Meter)} - own


# Defaults


def test_the_default_measurand_is_the_energy_register() -> None:
    assert read(Sampled("1500")) == ({"energy_active_import_wh": 1500}, NO_QUIRK)
    assert read(Sampled("1.5", unit="kWh")) == ({"energy_active_import_wh": 1500}, NO_QUIRK)


@pytest.mark.parametrize("unit", ["W", "kW", "A", "V", "Percent"])
def test_no_measurand_in_a_unit_that_is_none_of_energy_is_ignored(unit: str) -> None:
    assert read(Sampled("7200", unit=unit)) == ({}, QuirkBits.unlisted_value)


@pytest.mark.parametrize(
    ("name", "field", "quirk"),
    [
        ("Energy.Active.Import.Register", "energy_active_import_wh", NO_QUIRK),
        ("Energy.Reactive.Import.Register", "energy_reactive_import_varh", NO_QUIRK),
        ("Power.Active.Import", "power_active_import_w", QuirkBits.missing_unit),
        ("Power.Reactive.Import", "power_reactive_import_var", QuirkBits.missing_unit),
        ("Current.Offered", "current_offered_a", QuirkBits.missing_unit),
        ("Voltage", "voltage_l1_v", QuirkBits.missing_unit),
        ("Temperature", "temperature_celsius", QuirkBits.missing_unit),
        ("SoC", "soc_percent", QuirkBits.missing_unit),
        ("Frequency", "frequency_hz", NO_QUIRK),
        ("Power.Factor", "power_factor", NO_QUIRK),
        ("RPM", "rpm", NO_QUIRK),
    ],
)
def test_a_missing_unit_is_the_measurands_own(name: str, field: str, quirk: QuirkBits) -> None:
    assert read(Sampled("42", name)) == ({field: 42}, quirk)


# Units that the standard does not list, or not here


@pytest.mark.parametrize(
    ("name", "unit", "text", "field", "value"),
    [
        ("Power.Active.Import", "Wh", "7200", "power_active_import_w", 7200),
        ("Power.Active.Import", "kWh", "7.2", "power_active_import_w", 7200),
        ("Power.Offered", "kWh", "7.2", "power_offered_w", 7200),
        ("Energy.Active.Import.Register", "kW", "7.2", "energy_active_import_wh", 7200),
        ("Energy.Reactive.Import.Register", "Wh", "7", "energy_reactive_import_varh", 7),
        ("Current.Import", "mA", "10500", "current_import_a", 10.5),
        ("Voltage", "mV", "230100", "voltage_l1_v", 230.1),
        ("Frequency", "Hz", "50", "frequency_hz", 50),
        ("Temperature", "C", "31", "temperature_celsius", 31),
        ("Temperature", "°F", "212", "temperature_celsius", 100),
        ("Temperature", "Kelvin", "300", "temperature_celsius", 26.85),
        ("SoC", "%", "54", "soc_percent", 54),
        ("Power.Factor", "Percent", "98", "power_factor", 0.98),
        ("RPM", "rpm", "1200", "rpm", 1200),
        ("power.active.import", "KW", "7.2", "power_active_import_w", 7200),
        ("Energy.Active.Import.Register", "WH", "7", "energy_active_import_wh", 7),
        (None, "KWH", "7", "energy_active_import_wh", 7000),
    ],
)
def test_an_unlisted_unit_that_is_understood(name: str, unit: str, text: str, field: str, value: float) -> None:
    assert read(Sampled(text, name, unit)) == ({field: pytest.approx(value)}, QuirkBits.unlisted_value)


@pytest.mark.parametrize(
    "sample",
    [
        Sampled("1", "Power.Active.Import", "A"),
        Sampled("1", "Voltage", "Percent"),
        Sampled("1", "SoC", "Celsius"),
        Sampled("1", "Energy.Active.Import.Register", "horses"),
        Sampled("1", "Energy.Active.Net", "Wh"),
        Sampled("1", "Voltage", "V", "L4"),
        Sampled("1", "Voltage", "V", "L1-L3"),
    ],
)
def test_what_cannot_be_understood_is_ignored(sample: Sampled) -> None:
    assert read(sample) == ({}, QuirkBits.unlisted_value)


def test_blanks_and_absent_texts_m6_m8() -> None:
    padded = Sampled(" 7.2 ", " Power.Active.Import ", " kW", " L1-N ", "Outlet ", " Sample.Periodic", "Raw ")
    assert read(padded) == ({"power_l1_w": 7200, "power_active_import_w": 7200}, NO_QUIRK)
    assert read(Sampled("7", "", "null", "", "null", "", "null")) == ({"energy_active_import_wh": 7}, NO_QUIRK)


# Context, format, location


@pytest.mark.parametrize("context", sorted(measurand.CONTEXTS - {None}))  # type: ignore[type-var]
def test_every_reading_context_is_taken(context: str) -> None:
    assert read(Sampled("7", context=context)) == ({"energy_active_import_wh": 7}, NO_QUIRK)


@pytest.mark.parametrize(
    "sample", [Sampled("7", context="Sample"), Sampled("7", format="Cooked"), Sampled("7", location="Garage")]
)
def test_an_unlisted_circumstance_does_not_hide_the_value_m4(sample: Sampled) -> None:
    assert read(sample) == ({"energy_active_import_wh": 7}, QuirkBits.unlisted_value)


@pytest.mark.parametrize("form", ["SignedData", " SignedData "])
def test_signed_data_is_ignored(form: str) -> None:
    assert read(Sampled("AEFF00", "Energy.Active.Import.Register", "Wh", format=form)) == ({}, NO_QUIRK)


OUTLET = [Sampled("7", "Voltage", "V", "L1", "Outlet"), Sampled("7", "Voltage", "V", "L1")]


@pytest.mark.parametrize("outlet", OUTLET)
@pytest.mark.parametrize("location", ["Inlet", "Cable", "EV", "Body", "Garage"])
def test_outlet_wins_in_either_order(outlet: Sampled, location: str) -> None:
    elsewhere = [Sampled("8", "Voltage", "V", "L1", location), Sampled("9", "Voltage", "V", "L2", location)]
    assert read(outlet, *elsewhere)[0] == {"voltage_l1_v": 7}
    assert read(*elsewhere, outlet)[0] == {"voltage_l1_v": 7}
    assert read(elsewhere[0], outlet, elsewhere[1])[0] == {"voltage_l1_v": 7}
    assert read(*elsewhere)[0] == {"voltage_l1_v": 8, "voltage_l2_v": 9}


def test_outlet_wins_for_its_own_measurand_only() -> None:
    samples = Sampled("7", "Current.Import", "A", "L1", "Outlet"), Sampled("8", "Voltage", "V", "L1", "Inlet")
    assert read(*samples)[0] == {"current_l1_a": 7, "current_import_a": 7, "voltage_l1_v": 8}


def test_the_value_at_the_begin_of_the_transaction_does_not_hide_todays() -> None:
    begin, periodic = Sampled("1", context="Transaction.Begin"), Sampled("111", context="Sample.Periodic")
    assert read(periodic, begin)[0] == {"energy_active_import_wh": 111}
    assert read(begin, periodic)[0] == {"energy_active_import_wh": 111}
    assert read(begin)[0] == {"energy_active_import_wh": 1}


# Phases


def phases(name: str, unit: str, *values: str) -> list[Sampled]:
    return [Sampled(value, name, unit, f"L{n}") for n, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("name", "unit", "field"),
    [
        ("Power.Active.Export", "W", "power_active_export_w"),
        ("Power.Offered", "W", "power_offered_w"),
        ("Power.Reactive.Import", "var", "power_reactive_import_var"),
        ("Power.Reactive.Export", "var", "power_reactive_export_var"),
        ("Energy.Active.Import.Register", "Wh", "energy_active_import_wh"),
        ("Energy.Active.Export.Register", "Wh", "energy_active_export_wh"),
        ("Energy.Reactive.Import.Register", "varh", "energy_reactive_import_varh"),
        ("Energy.Reactive.Export.Register", "varh", "energy_reactive_export_varh"),
        ("Energy.Active.Import.Interval", "Wh", "energy_active_import_interval_wh"),
        ("Energy.Active.Export.Interval", "Wh", "energy_active_export_interval_wh"),
        ("Energy.Reactive.Import.Interval", "varh", "energy_reactive_import_interval_varh"),
        ("Energy.Reactive.Export.Interval", "varh", "energy_reactive_export_interval_varh"),
    ],
)
def test_phases_are_summed_where_no_total_comes(name: str, unit: str, field: str) -> None:
    three = phases(name, unit, "1", "2", "4")
    assert read(*three)[0] == {field: 7}
    assert read(*three[:2])[0] == {field: 3}
    assert read(*three, Sampled("8", name, unit))[0] == {field: 8}
    assert read(Sampled("8", name, unit), *three)[0] == {field: 8}


def test_power_by_phase() -> None:
    three = phases("Power.Active.Import", "kW", "1", "2", "4")
    each = {"power_l1_w": 1000, "power_l2_w": 2000, "power_l3_w": 4000}
    assert read(*three)[0] == {**each, "power_active_import_w": 7000}
    assert read(*three, Sampled("8", "Power.Active.Import", "kW"))[0] == {**each, "power_active_import_w": 8000}


def test_current_by_phase_without_the_neutral() -> None:
    three = phases("Current.Import", "A", "1", "2", "4")
    each = {"current_l1_a": 1, "current_l2_a": 2, "current_l3_a": 4}
    neutral = Sampled("0.5", "Current.Import", "A", "N")
    assert read(*three, neutral)[0] == {**each, "current_n_a": 0.5, "current_import_a": 7}
    assert read(neutral)[0] == {"current_n_a": 0.5}


@pytest.mark.parametrize(
    ("name", "unit", "field"),
    [("Current.Export", "A", "current_export_a"), ("Current.Offered", "A", "current_offered_a")],
)
def test_other_currents_are_those_of_the_busiest_phase(name: str, unit: str, field: str) -> None:
    assert read(*phases(name, unit, "1", "4", "2"))[0] == {field: 4}
    assert read(*phases(name, unit, "1", "4", "2"), Sampled("3", name, unit))[0] == {field: 3}


@pytest.mark.parametrize(
    ("name", "unit", "field"), [("Frequency", "Hertz", "frequency_hz"), ("Power.Factor", None, "power_factor")]
)
def test_what_is_the_same_on_all_phases(name: str, unit: str, field: str) -> None:
    assert read(*phases(name, unit, "1", "4", "2"))[0] == {field: 1}


def test_voltage_without_phase_is_l1_unless_l1_speaks() -> None:
    unsaid, first, second = Sampled("1", "Voltage", "V"), *phases("Voltage", "V", "2", "3")
    assert read(unsaid, second)[0] == {"voltage_l1_v": 1, "voltage_l2_v": 3}
    assert read(first, unsaid)[0] == {"voltage_l1_v": 2}
    assert read(unsaid, first)[0] == {"voltage_l1_v": 2}
    assert read(second)[0] == {"voltage_l2_v": 3}


def test_a_phase_that_the_map_does_not_have_is_left_out() -> None:
    assert read(Sampled("7", "Power.Active.Import", "W", "L1-L2")) == ({}, NO_QUIRK)
    assert read(Sampled("7", "Energy.Active.Import.Register", "Wh", "N")) == ({}, NO_QUIRK)


# Numbers


@pytest.mark.parametrize("text", ["12.5", "12,5", " 12.5", "1.25e1", "+12.5"])
def test_numbers(text: str) -> None:
    quirk = QuirkBits.schema_violation if "," in text else NO_QUIRK
    assert read(Sampled(text)) == ({"energy_active_import_wh": 12.5}, quirk)


@pytest.mark.parametrize("sign", ["", "-"])
def test_the_largest_number(sign: str) -> None:
    assert read(Sampled(f"{sign}1e12")) == ({"energy_active_import_wh": float(f"{sign}1e12")}, NO_QUIRK)
    assert read(Sampled(f"{sign}1.1e12")) == ({}, QuirkBits.schema_violation)


@pytest.mark.parametrize(
    "text", ["", "NaN", "-nan", "inf", "-Infinity", "1e400", "twelve", "1.234,5", "1,234,5", "0x1F"]
)
def test_no_numbers(text: str) -> None:
    assert read(Sampled(text), Sampled("50", "SoC", "Percent")) == ({"soc_percent": 50}, QuirkBits.schema_violation)


# Power that volts and amperes have to confirm (quirk M7)


def power(text: str, unit: str | None, *others: Sampled, meter: Meter | None = None) -> tuple[float, QuirkBits]:
    found, quirks = read(Sampled(text, "Power.Active.Import", unit), *others, meter=meter)
    return found["power_active_import_w"], quirks & (QuirkBits.other | QuirkBits.missing_unit)


AMPERES = phases("Current.Import", "A", "2.105")


@pytest.mark.parametrize(
    ("text", "unit", "watts", "quirks"),
    [
        ("500.4", None, 500.4, QuirkBits.missing_unit),
        ("0.5004", None, 500.4, QuirkBits.missing_unit | QuirkBits.other),
        ("500.4", "kW", 500.4, QuirkBits.other),
        ("0.5004", "kW", 500.4, NO_QUIRK),
        ("500.4", "Wh", 500.4, NO_QUIRK),
        ("0.5004", "Wh", 500.4, QuirkBits.other),
        ("500.4", "kWh", 500.4, QuirkBits.other),
        ("0.5004", "W", 0.5004, NO_QUIRK),
        ("0", None, 0, QuirkBits.missing_unit),
        ("-500", None, -500, QuirkBits.missing_unit),
    ],
)
def test_a_doubtful_power_is_held_against_volts_and_amperes(
    text: str, unit: str | None, watts: float, quirks: QuirkBits
) -> None:
    meter = Meter()
    found = update(meter, [Sampled(text, "Power.Active.Import", unit), *AMPERES], NOW)
    assert meter.power_active_import_w == pytest.approx(watts)
    assert found & (QuirkBits.other | QuirkBits.missing_unit) == quirks


def test_doubtful_phases_are_scaled_alike() -> None:
    samples = [*phases("Power.Active.Import", "Wh", "2.4", "2.4"), *phases("Current.Import", "A", "10", "10")]
    found, quirks = read(*samples)
    assert quirks == QuirkBits.other | QuirkBits.unlisted_value
    assert (found["power_active_import_w"], found["power_l1_w"], found["power_l2_w"]) == (4800, 2400, 2400)


def test_without_a_current_of_the_same_entry_nothing_is_doubted() -> None:
    meter = Meter(current_l1_a=16, current_import_a=16, voltage_l1_v=230)
    assert power("5", None, meter=meter) == (5, QuirkBits.missing_unit)


@pytest.mark.parametrize(("amperes", "watts"), [("0.43", 0.09), ("0.44", 90)])
def test_standby_is_not_doubted(amperes: str, watts: float) -> None:
    assert power("0.09", None, Sampled(amperes, "Current.Import", "A"))[0] == pytest.approx(watts)


@pytest.mark.parametrize(
    ("others", "watts"),
    [
        # 400 V and 100 A on a direct-current plug: 40 kW; half way to 40 W lies 1265.
        ([Sampled("400", "Voltage", "V"), Sampled("100", "Current.Import", "A")], (1264e3, 1266)),
        ([Sampled("400", "Voltage", "V"), *phases("Current.Import", "A", "50", "50")], (1264e3, 1266)),
        ([*phases("Voltage", "V", "100", "700"), *phases("Current.Import", "A", "50", "50")], (1264e3, 1266)),
        ([Sampled("0", "Voltage", "V"), Sampled("173.913", "Current.Import", "A")], (1264e3, 1266)),
    ],
)
def test_the_border_lies_half_way_in_ratio(others: list[Sampled], watts: tuple[float, float]) -> None:
    assert power("1264", None, *others)[0] == watts[0]
    assert power("1266", None, *others)[0] == watts[1]


def test_a_current_of_the_neutral_alone_says_nothing_about_power() -> None:
    assert power("5", None, Sampled("16", "Current.Import", "A", "N"))[0] == 5


def test_a_doubtful_power_without_any_total() -> None:
    neutral = Sampled("5", "Power.Active.Import", None, "N")
    assert read(neutral, *AMPERES)[0] == {"current_l1_a": 2.105, "current_import_a": 2.105}


# Time


def test_values_of_other_measurands_stay() -> None:
    meter = Meter()
    update(meter, [Sampled("7", "SoC", "Percent")], NOW)
    update(meter, [Sampled("8", "RPM")], NOW + 1)
    assert (meter.soc_percent, meter.rpm, meter.time_epoch) == (7, 8, NOW + 1)


def test_what_is_older_than_shown_changes_nothing_m10() -> None:
    meter = Meter()
    update(meter, [Sampled("7", "SoC", "Percent")], NOW)
    before = asdict(meter)
    assert update(meter, [Sampled("8", "SoC", "percent"), Sampled("x"), Sampled("1")], NOW - 0.001) == NO_QUIRK
    assert asdict(meter) == before
    update(meter, [Sampled("9", "SoC", "Percent")], NOW)
    assert meter.soc_percent == 9


def test_whole_seconds_are_not_older_than_a_time_of_receipt_within_that_second() -> None:
    meter = Meter()
    update(meter, [Sampled("7", "SoC", "Percent")], NOW + 0.75)
    update(meter, [Sampled("8", "SoC", "Percent")], NOW)
    assert (meter.soc_percent, meter.time_epoch) == (8, NOW + 0.75)


def test_entries_are_taken_in_order_of_time() -> None:
    meter = Meter()
    entries = [
        ("2026-11-22T10:17:30Z", [Sampled("300")]),
        ("2026-11-22T12:17:10+02:00", [Sampled("100"), Sampled("5", "SoC", "Percent")]),
        ("2026-11-22T10:17:20Z", [Sampled("200")]),
    ]
    assert feed(meter, entries, NOW) == NO_QUIRK
    assert (meter.energy_active_import_wh, meter.soc_percent, meter.time_epoch) == (300, 5, NOW)


def test_entries_of_one_instant_count_as_one() -> None:
    meter = Meter()
    three = phases("Current.Import", "A", "1", "2", "4")
    feed(meter, [("2026-11-22T10:17:30.458Z", [sample]) for sample in three], NOW)
    assert meter.current_import_a == 7


@pytest.mark.parametrize("text", [None, "", "soon", "2026-11-22T10:18:31Z", "2019-12-31T23:59:59Z"])
def test_a_bad_timestamp_becomes_the_time_of_receipt(text: str | None) -> None:
    meter = Meter()
    assert feed(meter, [(text, [Sampled("7")])], NOW) == QuirkBits.bad_timestamp
    assert (meter.energy_active_import_wh, meter.time_epoch) == (7, NOW)


def test_nothing_to_feed() -> None:
    meter = Meter()
    assert feed(meter, [], NOW) == NO_QUIRK
    assert feed(meter, [("2026-11-22T10:17:30Z", [])], NOW) == NO_QUIRK
    assert shown(meter) == {}


# Energy that runs backwards (quirk M9)


def energies(meter: Meter, *readings: str, session_register: bool = False) -> list[tuple[float | None, QuirkBits]]:
    found = []
    for reading in readings:
        quirks = update(meter, [Sampled(reading)], NOW, session_register=session_register)
        found.append((meter.energy_active_import_wh, quirks))
    return found


def test_energy_that_runs_backwards_is_shown_and_told() -> None:
    assert energies(Meter(), "1000", "1000", "999", "0", "1001") == [
        (1000, NO_QUIRK),
        (1000, NO_QUIRK),
        (999, QuirkBits.energy_backwards),
        (0, QuirkBits.energy_backwards),
        (1001, NO_QUIRK),
    ]


def test_parts_of_a_watt_hour_do_not_run_backwards() -> None:
    assert energies(Meter(), "1000.4", "1000.1") == [(1000.4, NO_QUIRK), (1000.1, NO_QUIRK)]
    assert energies(Meter(), "1000.6", "1000.4")[1][1] == QuirkBits.energy_backwards  # 1001, then 1000 in the register


def test_a_session_register_is_added_up() -> None:
    meter = Meter()
    assert energies(meter, "0", "700", "700.4", "700.3", "0", "500", "100", session_register=True) == [
        (0, NO_QUIRK),
        (700, NO_QUIRK),
        (700.4, NO_QUIRK),
        (700.3, NO_QUIRK),
        (700.3, NO_QUIRK),
        (1200.3, NO_QUIRK),
        (pytest.approx(1300.3), NO_QUIRK),
    ]


def test_feed_knows_session_registers_too() -> None:
    meter = Meter()
    entries = [(f"2026-11-22T10:17:{n}Z", [Sampled(value)]) for n, value in (("10", "700"), ("20", "5"))]
    assert feed(meter, entries, NOW, session_register=True) == NO_QUIRK
    assert meter.energy_active_import_wh == 705


def test_an_entry_without_the_register_leaves_it_alone() -> None:
    meter = Meter(energy_active_import_wh=7)
    assert update(meter, [Sampled("9", phase="N")], NOW, session_register=True) == NO_QUIRK
    assert shown(meter) == {"energy_active_import_wh": 7}


# Whatever comes

TEXTS = st.none() | st.text(max_size=8)
NAMES = [row.name for row in measurand.MEASURANDS]
SAMPLES = st.builds(
    Sampled,
    st.text(max_size=8) | st.floats().map(str) | st.integers().map(str),
    TEXTS | st.sampled_from(NAMES),
    TEXTS | st.sampled_from(["W", "kW", "Wh", "kWh", "A", "mA", "V", "K", "Fahrenheit", "Percent"]),
    TEXTS | st.sampled_from(sorted(phase for phase in measurand.PHASES if phase)),
    TEXTS | st.sampled_from(["Outlet", "Inlet"]),
    TEXTS | st.sampled_from(["Transaction.Begin", "Sample.Periodic"]),
    TEXTS | st.sampled_from(["Raw", "SignedData"]),
)


@given(st.lists(st.tuples(TEXTS, st.lists(SAMPLES, max_size=6)), max_size=3), st.booleans())
def test_feed_never_raises_and_shows_finite_numbers_only(
    entries: list[tuple[str | None, list[Sampled]]], session_register: bool
) -> None:
    meter = Meter()
    feed(meter, entries, NOW, session_register=session_register)
    assert all(abs(value) < 1e17 for value in shown(meter).values())


@given(st.permutations([*phases("Power.Active.Import", "kW", "1", "2", "4"), Sampled("8", "SoC", "Percent")]))
def test_the_order_of_samples_does_not_matter(samples: list[Sampled]) -> None:
    assert read(*samples) == read(*sorted(samples, key=lambda sample: sample.value))
