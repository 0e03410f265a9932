"""What the page promises in passing: names that it answers to, streams that end, causes that are shown."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import trio
from starlette.requests import Request

from gatewayd.config import parse
from gatewayd.points.exports.listing import Listed, listing
from gatewayd.web.pages.frames import told
from gatewayd.web.pages.points import shown_as
from gatewayd.web.points_table import BadValue, PointsTable, Shown, bounds
from gatewayd.web.routes import Role
from gatewayd.web.sessions import Session
from tests.process.daemon import Daemon, charge_points, running
from tests.web.door import SMALL, Door

NAMED = '[web]\nnames = ["gateway.example.com"]\n' + SMALL


async def test_a_name_that_the_configuration_gives_is_answered(tmp_path: Path) -> None:
    door = Door(tmp_path, NAMED)
    assert (await door.knock("GET", "/claim", host="gateway.example.com")).status == 200
    refused = await door.knock("GET", "/claim", host="elsewhere.example.com")
    assert (refused.status, "[web] names" in refused.text) == (421, True)
    (tmp_path / "gateway.toml").write_text(SMALL)
    assert (await door.knock("GET", "/claim", host="gateway.example.com")).status == 421
    (tmp_path / "gateway.toml").unlink()
    assert (await door.knock("GET", "/static/none", host="gateway.example.com")).status == 421


async def test_a_page_that_is_not_there_has_the_ways_to_the_others(tmp_path: Path) -> None:
    door = Door(tmp_path)
    token = (await door.tokens())[Role.viewer]
    page = await door.knock("GET", "/no-such-page", token=token)
    assert (page.status, 'href="/charge-points"' in page.text) == (404, True)
    assert 'href="/charge-points"' not in (await door.knock("GET", "/no-such-page")).text


def request_of(door: Door, session: Session) -> Request:
    """As a view gets it from whoever is signed in."""
    request = Request({"type": "http", "app": door.app, "headers": [], "method": "GET", "path": "/frames/stream"})
    request.state.session = session
    return request


async def test_a_stream_ends_with_its_session_its_user_or_its_role(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, charge_points("CP001"))
    async with running(daemon):
        door = Door.before(daemon)
        async with door.webd.running():
            await door.webd.gateway.snapshot()
            tokens = await door.tokens()
            now = trio.current_time()
            for token, end in (
                (tokens[Role.viewer], partial(door.webd.sessions.end, tokens[Role.viewer])),
                (tokens[Role.installer], partial(door.webd.users.remove, "fitter")),
            ):
                session = door.webd.sessions.find(token, now)
                assert session is not None
                stream = told(request_of(door, session))
                assert await anext(stream) == ": \n\n"
                end()
                with trio.fail_after(20):
                    async for _line in stream:
                        pass
            assert not door.webd.gateway._events._watchers


async def test_what_modbus_refuses_is_said_on_pages(tmp_path: Path) -> None:
    """The file names a unit id that the gateway does not answer at: it was changed, and not taken over."""
    daemon = Daemon(tmp_path, charge_points("CP001"))
    async with running(daemon):
        door = Door.before(daemon)
        async with door.webd.running():
            await door.webd.gateway.snapshot()
            token = (await door.tokens())[Role.admin]
            text = daemon.config.read_text()
            daemon.config.write_text(text.replace("[[charge_point]]", "[modbus]\nunit_id = 9\n[[charge_point]]", 1))
            page = await door.knock("GET", "/welcome/moving", token=token)
            assert (page.status, "exception 11" in page.text) == (409, True), page.text
            values = await door.knock("GET", "/points/values.json?rows=9:0", token=token)
            assert (values.status, "Exception 11" in json.loads(values.body)["fault"]) == (409, True)


# --- a limit that there is not


def found(name: str) -> tuple[PointsTable, Listed]:
    config = parse(SMALL, "f")
    return PointsTable(config), next(one for one in listing(config).listed if one.point.name == name)


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [("limit", b"\xff\xff\xff\xff", -1), ("limit_upstream", b"\xff\xff\xff\xff", -1), ("limit_u16", b"\xff\xfe", 65534),
     ("site_limit_w", b"\xff\xff\xff\xff", -1), ("limit_matrix", b"\xff\xfe", 65534),
     ("limit_active_f", b"\xbf\x80\0\0", -1)],
)  # fmt: skip
def test_no_limit_is_no_quantity(name: str, raw: bytes, value: int) -> None:
    table, listed = found(name)
    read = table.read(listed.point, raw)
    assert read == (value, "none")
    assert shown_as(Shown(listed, *read)) == f"{value} · none"
    if listed.point.writable:
        assert table.written(listed.point, value) == raw
        assert table.written(listed.point, "none") == raw


def test_a_limit_is_scaled_and_its_range_leaves_none_out() -> None:
    table, listed = found("limit")
    assert table.read(listed.point, (160).to_bytes(4, "big")) == (16.0, "")
    assert table.written(listed.point, 16) == (160).to_bytes(4, "big")
    assert bounds(listed.point) == (0, 10_000_000)
    with pytest.raises(BadValue):
        table.written(listed.point, -0.1)
    table, listed = found("limit_u16")
    assert bounds(listed.point)[1] == pytest.approx(6553.3)
    with pytest.raises(BadValue):
        table.written(listed.point, 6553.4)
