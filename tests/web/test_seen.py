"""What the pages make of the snapshot: the one that docs/interfaces.md shows, and it changed for the worse."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from gatewayd.config import Config
from gatewayd.web.pages import dialling, refused, seen, states
from tests.house.sources import PROJECT


def documented() -> Any:
    """The snapshot of the document."""
    text = (PROJECT / "docs" / "interfaces.md").read_text(encoding="utf-8")
    return json.loads(re.findall(r"```json\n(\{\"type\": \"snapshot\".*?)```", text, re.DOTALL)[0])


def test_the_figures_from_the_door() -> None:
    figures = {one.label: (one.value, one.unit, one.note) for one in seen.figures(documented())}
    assert figures["Power now"] == ("7.36", "kW", "all connectors measured")
    assert figures["Charging"] == ("1", "", "of 1 connector")
    assert figures["Connected"] == ("1", "", "of 1 charge point")
    assert figures["BMS clients"][:1] == ("1",)


def test_a_connector_that_charges() -> None:
    one = seen.charge_points(documented())[0]
    assert (one.number, one.identity, one.word, one.model, one.register) == (1, "CP001", "Connected", "ACME One", 3000)
    connector = one.connectors[0]
    assert (connector.word, connector.power, connector.limit) == ("Charging", "7.36 kW", "16.0 A")
    assert connector.session == "2.04 kWh · 16 min"
    assert connector.share is not None
    assert connector.limit_at is not None
    assert 0 < connector.share < connector.limit_at < 100  # the bar: power below its limit


def test_what_needs_attention_gravest_first() -> None:
    snapshot = documented()
    knocking = [one.title for one in seen.attention(snapshot)]
    assert knocking == ["1 charge point is knocking"]
    worse = copy.deepcopy(snapshot)
    worse["gateway"]["faults"] = ["disk"]
    worse["charge_points"][0]["connectors"][0] |= {"status": "Faulted", "error": "GroundFailure"}
    worse["charge_points"].append(copy.deepcopy(worse["charge_points"][0]) | {"number": 2, "link": "lost"})
    worse["gateway"]["upstream_stranded"] = [{"charge_point": 7, "messages": 3}]
    titles = [one.title for one in seen.attention(worse)]
    assert titles == [
        "The disk is full or failing.", "Charge point 1, connector 1 reports a fault", "1 charge point is offline",
        "3 messages for a central system are stuck", "1 charge point is knocking",
    ]  # fmt: skip


def test_every_state_has_a_shape_and_a_word() -> None:
    for table in (states.CONNECTOR, states.LINK, states.GATEWAY):
        for state in table.values():
            assert state.tone in ("good", "busy", "warn", "bad", "off")
            assert state.word
    icons = (PROJECT / "gatewayd/web/static/icons.svg").read_text()
    shapes = {state.shape for table in (states.CONNECTOR, states.LINK, states.GATEWAY) for state in table.values()}
    assert [shape for shape in shapes if f'<symbol id="{shape}"' not in icons] == []
    # Two states of one tone differ in shape or word: not by colour alone.
    assert len({(state.shape, state.word) for state in states.CONNECTOR.values()}) == len(states.CONNECTOR)


def test_refusals_name_cause_and_remedy_and_offer_adoption() -> None:
    snapshot = documented()
    snapshot["refusals"].append(
        {"cause": "unknown_identity", "why": "no charge point of this identity is configured", "remedy": "Add it.",
         "identity": "CP009", "address": "192.0.2.1", "status": 404, "first": 1.0, "last": 2.0, "count": 1}
    )  # fmt: skip
    first, second = refused.refusals(snapshot)
    assert (first.who, first.cause, first.adopt, first.count) == ("CP002", "wrong_password", "", 3)
    assert (second.who, second.adopt) == ("CP009", "CP009")


def test_the_test_of_a_charge_point() -> None:
    snapshot = documented()
    good = refused.checks(snapshot, snapshot["charge_points"][0])
    assert [one.word for one in good] == ["Connected", "Registered", "Heard", "Status", "Meter", "Limits"]
    assert {one.tone for one in good} == {"good"}
    away = snapshot["charge_points"][0] | {"link": "lost", "identity": "CP002"}
    (only,) = refused.checks(snapshot, away)
    assert only.tone == "bad"
    assert snapshot["refusals"][0]["remedy"] in only.text


def test_addresses_to_dial() -> None:
    snapshot = documented() | {"ports": {"ocpp": 80, "ocpp_tls": 8888}}
    tls, plain = dialling.dials(snapshot, Config(), "gateway.example", "CP 1".replace(" ", ""))
    assert tls.url == "wss://gateway.example:8888/ocpp/CP1"
    assert plain.url == "ws://gateway.example/ocpp/CP1"
    assert plain.code.startswith("<svg ")
    assert "CP1" not in plain.code
    assert dialling.host_of("[2001:db8::1]:8080") == "[2001:db8::1]"
    assert dialling.host_of("192.0.2.1:8080") == "192.0.2.1"
