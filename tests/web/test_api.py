"""The API as a program uses it: in front of a real gatewayd where registers are concerned, alone where they are not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gatewayd import config as configuration
from gatewayd.web.routes import Role
from tests.process.daemon import Daemon, charge_points, running
from tests.web.door import Answer, Door

SECRETIVE = """# the old password was "first secret"
[[charge_point]]
number = 1
identity = "CP001"
password = "second secret"
"""
TOML = "application/toml"


class Program:
    """One who signed in, in a role."""

    def __init__(self, door: Door, token: str) -> None:
        self.door, self._token = door, token

    async def ask(self, method: str, path: str, body: object = None) -> Answer:
        sent = b"" if body is None else json.dumps(body).encode()
        return await self.door.call(method, f"/api/v1/{path}", self._token, sent)

    async def get(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status == 200, answer.text
        return json.loads(answer.body)

    async def put_toml(self, text: str) -> Answer:
        return await self.door.call("PUT", "/api/v1/configuration", self._token, text.encode(), TOML)


async def programs(door: Door) -> dict[Role, Program]:
    return {role: Program(door, token) for role, token in (await door.tokens()).items()}


@asynccontextmanager
async def in_front_of_gatewayd(folder: Path) -> AsyncIterator[dict[Role, Program]]:
    daemon = Daemon(folder, charge_points("CP001", "CP002"))
    async with running(daemon):
        door = Door.before(daemon)
        async with door.webd.running():
            await door.webd.gateway.snapshot()
            yield await programs(door)


async def test_registers_are_read_written_and_refused_by_name(tmp_path: Path) -> None:
    async with in_front_of_gatewayd(tmp_path) as ask:
        looks, fits = ask[Role.viewer], ask[Role.installer]
        magic = next(one for one in await looks.get("points?charge_point=0") if one["address"] == 0)
        assert await looks.get(f"points/{magic['name']}") == magic
        assert await looks.get(f"points/{magic['unit_id']}:0") == magic
        every = await looks.get("points")
        assert {one["charge_point"] for one in every} == {0, 1, 2}
        part = await looks.get("points?charge_point=2&block=connector&name=status")
        assert [one["name"] for one in part] == [one["name"] for one in every if one["name"] in
                                                 {each["name"] for each in part}]  # fmt: skip
        assert {(one["block"], one["charge_point"]) for one in part} == {("connector", 2)}
        beats = next(one for one in every if one["address"] == 9 and one["block"] == "gateway")
        assert beats["written_by"] is None
        written = await fits.ask("PUT", f"points/{beats['name']}", {"value": 4711})
        assert (written.status, json.loads(written.body)["value"]) == (200, 4711), written.text
        assert json.loads(written.body)["written_by"] == "page"
        read_only = await fits.ask("PUT", f"points/{magic['name']}", {"value": 1})
        assert (read_only.status, "cannot be written" in read_only.text) == (422, True)
        limited = await fits.ask("PUT", f"points/{beats['name']}", {"value": 1e300})
        assert limited.status == 422
        by_whom = [(one["user"], one["what"]) for one in await ask[Role.admin].get("audit")]
        assert ("fitter", f"register {beats['name']} (unit 1, address 9)") in by_whom


async def test_modbus_exceptions_have_their_names(tmp_path: Path) -> None:
    """A register that the file has and the daemon not: the file was changed, and it did not take it."""
    async with in_front_of_gatewayd(tmp_path) as ask:
        door = ask[Role.admin].door
        text = door.webd.settings.config.read_text()
        door.webd.settings.config.write_text(
            text.replace("[[charge_point]]", "[modbus]\nunit_id = 9\n[[charge_point]]", 1)
        )
        refused = await ask[Role.viewer].ask("GET", "points/9:0")
        assert 400 <= refused.status < 500, refused.text
        assert json.loads(refused.body)["exception"]


async def test_exports_frames_and_the_clock(tmp_path: Path) -> None:
    async with in_front_of_gatewayd(tmp_path) as ask:
        looks = ask[Role.viewer]
        forms = await looks.get("exports")
        assert {"csv", "xlsx", "pdf", "telegraf"} <= set(forms)
        for form in ("csv", "xlsx", "node-red"):
            assert (await looks.ask("GET", f"exports/{form}")).status == 200
        assert b"cp02_c1_limit" in (await looks.ask("GET", "exports/csv")).body
        assert (await looks.ask("GET", "exports/doc")).status == 404
        frames = await looks.ask("GET", "frames?charge_point=1")
        assert (frames.status, frames.headers["content-type"][:17]) == (200, "text/event-stream")
        assert (await looks.ask("GET", "frames?charge_point=x")).status == 422
        told = await looks.get("time")
        assert (told["set_by"], told["time_zone"]) == ("host", "Europe/Madrid")
        assert (await looks.ask("PUT", "time", {"epoch_s": 1_800_000_000})).status == 403
        assert (await ask[Role.admin].ask("PUT", "time", {"epoch_s": 1})).status == 422


async def test_snapshot_refusals_and_lights(tmp_path: Path) -> None:
    async with in_front_of_gatewayd(tmp_path) as ask:
        snapshot = await ask[Role.viewer].get("snapshot")
        assert [one["identity"] for one in snapshot["charge_points"]] == ["CP001", "CP002"]
        assert [light["title"] for light in snapshot["lights"]][:2] == ["LED 1 OCPP", "LED 2 Modbus"]
        assert snapshot["gateway"]["faults"] == []
        assert await ask[Role.viewer].get("refusals") == []
        assert (await ask[Role.installer].ask("POST", "identify")).status == 204
        nobody = await ask[Role.installer].ask("POST", "charge-points/adopt", {"identity": "CP009"})
        assert nobody.status == 409


async def test_charge_points_come_change_and_go(tmp_path: Path) -> None:
    fits = (await programs(Door(tmp_path)))[Role.installer]
    added = await fits.ask("POST", "charge-points", {"identity": "CP002", "password": "a long password 1"})
    assert added.status == 201, added.text
    assert json.loads(added.body) | {"number": 2, "identity": "CP002", "has_password": True} == json.loads(added.body)
    moved = await fits.ask("PATCH", "charge-points/2", {"number": 7, "max_current_a": 16})
    assert json.loads(moved.body) | {"number": 7, "max_current_a": 16.0, "has_password": True} == json.loads(moved.body)
    twice = await fits.ask("PATCH", "charge-points/7", {"identity": "CP001"})
    assert twice.status == 422
    assert json.loads(twice.body)["faults"][0]["key"] == "charge_point[2].identity"
    assert (await fits.ask("DELETE", "charge-points/7")).status == 204
    assert (await fits.ask("GET", "charge-points/7")).status == 404
    assert [one["number"] for one in await fits.get("charge-points")] == [1]


async def test_the_configuration_shows_its_secrets_to_the_admin_alone(tmp_path: Path) -> None:
    ask = await programs(Door(tmp_path, SECRETIVE))
    for role, known in ((Role.admin, True), (Role.installer, False), (Role.viewer, False)):
        text = (await ask[role].ask("GET", "configuration")).text
        assert configuration.parse(text, "f").charge_points[0].identity == "CP001"
        assert ("first secret" in text, "second secret" in text) == (known, known), role
    hidden = (await ask[Role.viewer].ask("GET", "configuration")).text
    back = await ask[Role.admin].put_toml(hidden)  # saved, the mark would be the password
    assert [fault["key"] for fault in json.loads(back.body)["faults"]] == ["charge_point[1].password"]
    assert (tmp_path / "gateway.toml").read_text() == SECRETIVE
    (tmp_path / "gateway.toml").write_text(SECRETIVE.replace("password =", "pasword ="))
    broken = await ask[Role.viewer].ask("GET", "configuration")  # nobody can tell what is secret there
    assert (broken.status, 'secret"' in broken.text) == (409, False)


async def test_a_configuration_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    admin = (await programs(Door(tmp_path)))[Role.admin]
    before = (tmp_path / "gateway.toml").read_text()
    wrong = await admin.put_toml("[modbus]\nunit_id = 0\n[ocpp]\nport = 'x'\n")
    assert wrong.status == 422
    assert {fault["key"] for fault in json.loads(wrong.body)["faults"]} == {"modbus.unit_id", "ocpp.port"}
    for text in ("a = = b", "\x00"):
        assert (await admin.put_toml(text)).status == 422
    assert (tmp_path / "gateway.toml").read_text() == before
    assert (await admin.put_toml(before + "# only a comment\n")).status == 204
    assert (tmp_path / "gateway.toml").read_text() == before + "# only a comment\n"
    as_json = await admin.ask("PUT", "configuration", {})
    assert as_json.status == 415


async def test_users_come_change_and_go(tmp_path: Path) -> None:
    ask = await programs(Door(tmp_path))
    admin = ask[Role.admin]
    new = {"name": "night", "password": "plant room 8", "role": "viewer"}
    assert (await admin.ask("POST", "users", new)).status == 201
    assert (await admin.ask("POST", "users", new)).status == 422
    assert (await admin.ask("PATCH", "users/night", {"role": "installer"})).status == 200
    assert {"name": "night", "role": "installer"} in await ask[Role.viewer].get("users")
    assert (await admin.ask("PATCH", "users/admin", {"role": "viewer"})).status == 422  # the last one
    assert (await admin.ask("PATCH", "users/looker", {"role": "admin", "password": "short"})).status == 422
    assert {"name": "looker", "role": "viewer"} in await ask[Role.viewer].get("users")  # both or neither, and signed in
    assert (await admin.ask("PATCH", "users/looker", {"password": "plant room 9"})).status == 200
    assert (await ask[Role.viewer].ask("GET", "users")).status == 401  # the old session ended
    assert (await admin.ask("DELETE", "users/night")).status == 204
    assert (await admin.ask("DELETE", "users/night")).status == 404
    noted = [one["what"] for one in await admin.get("audit?most=2")]
    assert noted == ["user night", "password of looker"]
