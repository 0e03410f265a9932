"""What Prometheus is told: true, well-formed, complete, quick."""

from __future__ import annotations

import re
from pathlib import Path
from time import perf_counter

import pytest

from gatewayd.site.refusal import Cause, Refusal
from gatewayd.view import exposition
from tests.kit import Kit
from tests.view.plant import busy_plant

DOCUMENT = Path(__file__).parents[2] / "docs" / "interfaces.md"
SAMPLE = re.compile(r'([a-z_]+)(\{(?:[a-z_]+="(?:\\[\\"n]|[^\\"\n])*",?)+\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|[0-9]+)')
RENDER_S = 0.020
"""What a scrape of 20 charge points with 7 connectors may take."""


def figures(kit: Kit, plant: exposition.Plant | None = None) -> str:
    own = exposition.gateway(
        kit.site, python="3.13.0", now=kit.now, answered={"tcp": 12, "rtu": 0, "page": 3}, exceptions={2: 4, 6: 1},
        messages={(1, "in"): 5, (99, "in"): 1}, dropped=7,
    )  # fmt: skip
    return "".join(own) + "".join((plant or exposition.Plant(kit.site)).pieces())


def parsed(text: str) -> dict[str, float]:
    """Series → value, as strictly as the format says: families whole and in one place, types before samples."""
    found: dict[str, float] = {}
    family, seen = "", set()
    for row in text.splitlines():
        if row.startswith("# HELP "):
            family = row.split()[2]
            assert family not in seen, f"{family} stands twice"
            seen.add(family)
            continue
        if row.startswith("# TYPE "):
            assert row.split()[2] == family
            assert row.split()[3] in ("gauge", "counter")
            assert (row.split()[3] == "counter") == family.endswith("_total"), row
            continue
        sample = SAMPLE.fullmatch(row)
        assert sample, row
        assert sample[1] == family, f"{row} stands in {family}"
        assert sample[1] + (sample[2] or "") not in found
        found[sample[1] + (sample[2] or "")] = float(sample[3])
    return found


def test_figures_are_what_is_true() -> None:
    kit = Kit('[[charge_point]]\nnumber = 1\nidentity = "CP001"\nconnectors = 2\n'
              '[[charge_point]]\nnumber = 21\nidentity = "CP\\"21"\nconnectors = 1\n')  # fmt: skip
    end = kit.connect("CP001")
    end.boot()
    end.status(1, "Charging")
    kit.write(18, 3)  # list_then_accept
    end.send("StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 100, "timestamp": kit.stamp()})
    kit.run_for(10)
    sampled = [{"value": "7.36", "measurand": "Power.Active.Import", "unit": "kW"}, {"value": "1250"}]
    end.send("MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": kit.stamp(), "sampledValue": sampled}]})
    kit.site.refusals.note(Refusal(Cause.unknown_identity, "why", "CP009"), kit.epoch)
    kit.site.trouble("modbus_rtu", there=True)
    limited = kit.site.charge_points["CP001"].connectors[2].limit
    limited.active, limited.active_unit = 0, 1
    told = parsed(figures(kit))
    assert told['gateway_connector_power_watts{charge_point="1",connector="1"}'] == 7360
    assert told['gateway_connector_energy_watthours_total{charge_point="1",connector="1"}'] == 1250
    assert told['gateway_connector_transaction_active{charge_point="1",connector="1"}'] == 1
    assert told['gateway_connector_transaction_active{charge_point="1",connector="2"}'] == 0
    assert told['gateway_connector_limit{charge_point="1",connector="2",unit="W"}'] == 0
    assert told['gateway_charge_point_connected{charge_point="1",identity="CP001"}'] == 1
    assert told['gateway_charge_point_link_state{charge_point="1",identity="CP001"}'] == 3
    assert told['gateway_charge_point_connected{charge_point="21",identity="CP\\"21"}'] == 0
    assert 'gateway_connector_power_watts{charge_point="21",connector="1"}' not in told  # not known
    assert told['gateway_refusals_total{cause="unknown_identity"}'] == 1
    assert told['gateway_fault{fault="modbus_rtu"}'] == 1
    assert told['gateway_modbus_requests_total{transport="tcp"}'] == 12
    assert told['gateway_modbus_exceptions_total{exception="server_device_busy"}'] == 1
    assert told['gateway_ocpp_messages_total{charge_point="1",identity="CP001",direction="in"}'] == 5
    assert told["gateway_events_dropped_total"] == 7


def test_every_name_stands_in_the_manual_and_the_other_way_round() -> None:
    named = set(re.findall(r"^\| `(gateway_\w+)`", DOCUMENT.read_text(), re.MULTILINE))
    assert named == set(re.findall(r"^# TYPE (\w+)", figures(Kit()), re.MULTILINE))


def test_a_name_of_a_peer_cannot_make_a_line() -> None:
    assert exposition.labelled({"identity": 'a"} 1\nx\\'}) == '{identity="a\\"} 1\\nx\\\\"}'
    assert "?" in exposition.labelled({"identity": "\ud800"})
    assert parsed("# HELP x_total x\n# TYPE x_total counter\nx_total" + exposition.labelled({"a": '"\n\\'}) + " 1\n")


def test_what_is_remembered_is_never_shown_for_what_is() -> None:
    kit = busy_plant(20)
    plant = exposition.Plant(kit.site)
    parsed(figures(kit, plant))
    changed = kit.site.charge_points["CP0003"]
    changed.connectors[7].meter.power_active_import_w = 1.5
    changed.reconnects = 9
    told = parsed(figures(kit, plant))
    assert told['gateway_connector_power_watts{charge_point="3",connector="7"}'] == 1.5
    assert told['gateway_charge_point_reconnects_total{charge_point="3",identity="CP0003"}'] == 9
    kit.site.remove_charge_point(changed)
    made_anew = kit.site.add_charge_point(3, "CP0003", 7)
    made_anew.connectors[7].meter.power_active_import_w = 2.5
    assert parsed(figures(kit, plant))['gateway_connector_power_watts{charge_point="3",connector="7"}'] == 2.5
    made_anew.resize(6)
    assert 'gateway_connector_power_watts{charge_point="3",connector="7"}' not in parsed(figures(kit, plant))
    assert figures(kit, plant) == figures(kit)


def test_a_bank_that_goes_while_it_is_sent_stops_nothing() -> None:
    kit = busy_plant(40)
    pieces = exposition.Plant(kit.site).pieces()
    text = next(pieces) + next(pieces)
    kit.site.remove_charge_point(kit.site.charge_points["CP0021"])
    kit.site.set_bank_count(1)
    parsed(text + "".join(pieces))


@pytest.mark.parametrize("charge_points", [20, 1000])
def test_it_is_quick(charge_points: int) -> None:
    """The best of many is told; judged is the order of it only, which a busy machine does not reach. Of fifty banks
    what counts is the longest piece: between two pieces everybody has a turn."""
    kit = busy_plant(charge_points)
    plant = exposition.Plant(kit.site)
    whole, longest = [], []
    for n in range(12):
        for cp in kit.site.charge_points.values():
            for connector in cp.connectors:
                connector.meter.power_active_import_w = 7000.5 + n
                connector.meter.energy_active_import_wh = 100000.0 + n
        began = at = perf_counter()
        pieces = []
        for _ in plant.pieces():
            now = perf_counter()
            pieces.append(now - at)
            at = now
        whole.append(at - began)
        longest.append(max(pieces))
    print(f"{charge_points} x 7: {min(whole) * 1e3:.2f} ms, the longest piece {min(longest) * 1e3:.2f} ms")
    assert (min(whole) if charge_points == 20 else min(longest)) <= 10 * RENDER_S
