"""A network change on trial, with the real stewardd: kept by whoever confirms, and never saved before."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from gatewayd import config as configuration
from gatewayd.web.routes import Role
from hal.fallback import Facts, begin, decide
from hal.network_files import facts_text, parse_trial
from hal.network_settings import NetworkSettings
from tests.hal.test_stewardd import Steward
from tests.web.door import Door

STATIC = {"mode": "static", "address": "192.0.2.20/24", "router": "192.0.2.1", "dns": "192.0.2.1", "ntp": ""}


def door(folder: Path, steward: Steward) -> Door:
    """A page whose configuration is the appliance's."""
    settings = Door(folder).webd.settings
    return Door.onto(replace(settings, config=steward.state / "gateway.toml", steward=steward.socket))


async def test_a_change_is_tried_and_saved_when_confirmed(tmp_path: Path, steward: Steward) -> None:
    at = door(tmp_path, steward)
    token = (await at.tokens())[Role.admin]
    file = steward.state / "gateway.toml"
    tried = await at.knock("POST", "/network", STATIC, token)
    assert (tried.status, tried.headers["location"]) == (303, "/network")
    trial = parse_trial((steward.run / "network.json").read_text())
    assert trial is not None
    assert str(trial.settings.address) == "192.0.2.20/24"
    assert "192.0.2.20" not in file.read_text()  # not before somebody has confirmed
    page = await at.knock("GET", "/network", token=token)
    assert "data-countdown" in page.text
    kept = await at.knock("POST", "/network/confirm", {}, token)
    assert kept.status == 303, kept.text
    assert configuration.parse(file.read_text(), "f").network.address == "192.0.2.20/24"
    assert not (steward.run / "network.json").exists()
    assert "data-countdown" not in (await at.knock("GET", "/network", token=token)).text


async def test_a_change_goes_back(tmp_path: Path, steward: Steward) -> None:
    at = door(tmp_path, steward)
    token = (await at.tokens())[Role.admin]
    assert (await at.knock("POST", "/network", STATIC, token)).status == 303
    assert (await at.knock("POST", "/network/revert", {}, token)).status == 303
    assert not (steward.run / "network.json").exists()
    late = await at.knock("POST", "/network/confirm", {}, token)
    assert late.status == 422
    assert "No settings are on trial" in late.text
    assert (steward.state / "gateway.toml").read_text() == ""


async def test_what_is_wrong_is_not_tried(tmp_path: Path, steward: Steward) -> None:
    at = door(tmp_path, steward)
    token = (await at.tokens())[Role.admin]
    answer = await at.knock("POST", "/network", STATIC | {"address": "192.0.2.300/24"}, token)
    assert answer.status == 422
    assert 'aria-invalid="true"' in answer.text
    assert not (steward.run / "network.json").exists()


async def test_where_there_is_no_steward_it_is_said(tmp_path: Path) -> None:
    at = Door(tmp_path)
    at.webd.settings = replace(at.webd.settings, steward=tmp_path / "nobody")
    token = (await at.tokens())[Role.admin]
    answer = await at.knock("POST", "/network", STATIC, token)
    assert answer.status == 422
    assert "only the appliance has it" in answer.text


async def test_the_api_tries_and_confirms_too(tmp_path: Path, steward: Steward) -> None:
    at = door(tmp_path, steward)
    token = (await at.tokens())[Role.admin]
    wanted = STATIC | {"dns": ["192.0.2.1"], "ntp": []}
    tried = await at.call("PUT", "/api/v1/network", token, json.dumps(wanted).encode())
    assert tried.status == 202, tried.text
    trial = json.loads((await at.call("GET", "/api/v1/network", token)).body)["trial"]
    assert trial["settings"] == wanted
    assert 0 < trial["left_s"] <= 60
    assert (await at.call("POST", "/api/v1/network/confirm", token)).status == 204
    now = json.loads((await at.call("GET", "/api/v1/network", token)).body)
    assert now == {"configured": wanted, "trial": None}
    late = await at.call("POST", "/api/v1/network/confirm", token)
    assert (late.status, "no settings are on trial" in late.text) == (409, True)


async def test_the_api_says_where_there_is_no_steward(tmp_path: Path) -> None:
    at = Door(tmp_path)
    at.webd.settings = replace(at.webd.settings, steward=tmp_path / "nobody")
    token = (await at.tokens())[Role.admin]
    for method, path, body in (("PUT", "network", b'{"mode": "dhcp"}'), ("POST", "network/revert", b"")):
        answer = await at.call(method, f"/api/v1/{path}", token, body)
        assert (answer.status, "only the appliance has it" in answer.text) == (503, True), answer.text
    wrong = await at.call("PUT", "/api/v1/network", token, b'{"mode": "carrier pigeon"}')
    assert wrong.status == 422
    assert [fault["key"] for fault in json.loads(wrong.body)["faults"]] == ["network.mode"]


async def test_the_clock_is_a_wish_too(tmp_path: Path, steward: Steward) -> None:
    at = door(tmp_path, steward)
    token = (await at.tokens())[Role.admin]
    assert (await at.knock("POST", "/time/set", {"epoch_s": "1795000000.5"}, token)).status == 303
    assert "settime" in (steward.directory / "log").read_text()


async def test_the_page_says_the_addresses_that_netd_gave(tmp_path: Path) -> None:
    """webd on the appliance has no network of its own to look at."""
    at = Door(tmp_path)
    facts = tmp_path / "network.json"
    at = Door.onto(replace(at.webd.settings, network_facts=facts))
    token = (await at.tokens())[Role.viewer]
    settings = NetworkSettings("static", IPv4Interface("192.0.2.20/24"), IPv4Address("192.0.2.1"))
    state, wanted = decide(begin(settings, 0.0), Facts(True), 0.0)
    for second in range(1, 10):  # nobody else answers to it
        state, wanted = decide(state, Facts(True), second)
    assert wanted.addresses == (settings.address,)
    facts.write_text(facts_text("eth0", "52:54:00:67:61:74", state, wanted))
    page = (await at.knock("GET", "/network", token=token)).text
    for said in ("192.0.2.20/24", "these settings", "plugged in", "52:54:00:67:61:74", "192.0.2.1"):
        assert f">{said}<" in page, said
    for spoilt in ("", "[]", "{}", "{"):
        facts.write_text(spoilt)
        assert (await at.knock("GET", "/network", token=token)).status == 200
