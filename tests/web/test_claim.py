"""When a gateway may be given its first password: after power-on, and for whoever reaches its button."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from gatewayd.web import claim
from tests.process.daemon import Daemon, running
from tests.web.door import PASSWORD, Door

LATER_S = claim.WINDOW_S + 60


class WithBoard(Daemon):
    """With a simulated board, whose button is a file."""

    @property
    def arguments(self) -> list[str]:
        return [*super().arguments, "--board", f"sim:{self.folder / 'board'}"]


def test_what_a_refusal_says_is_so() -> None:
    assert claim.refusal(1.0, button=False, appliance=True) == ""
    assert claim.refusal(0.0, button=True, appliance=True) == ""
    unheld = claim.refusal(0.0, button=False, appliance=True)
    assert "nobody holds its button" in unheld
    assert "hold its button while you open this page" in unheld
    unseen = claim.refusal(0.0, button=None, appliance=True)
    assert "cannot be seen" in unseen
    assert "hold its button" not in unseen
    assert "Stop it and start it again" in claim.refusal(0.0, button=False, appliance=False)


async def test_who_holds_the_button_has_a_quarter_of_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = WithBoard(tmp_path)
    on_for_s = LATER_S
    async with running(daemon):
        door = Door.before(daemon)
        monkeypatch.setattr(type(door.webd), "uptime_s", property(lambda _webd: on_for_s))
        async with door.webd.running():
            late = await door.knock("GET", "/claim")
            assert (late.status, "nobody holds its button" in late.text) == (403, True)
            (tmp_path / "board" / "button").write_text("1")
            with trio.fail_after(20):
                while (await door.knock("GET", "/claim")).status != 200:  # noqa: ASYNC110  another process
                    await trio.sleep(0.1)
            (tmp_path / "board" / "button").write_text("0")
            on_for_s += 60  # released long ago: whoever held it types the password
            state = json.loads((await door.call("GET", "/api/v1/claim")).body)
            assert state["may_claim"]
            assert state["remaining_s"] <= claim.WINDOW_S
            sent = {"name": "admin", "password": PASSWORD, "again": PASSWORD}
            assert (await door.knock("POST", "/claim", sent)).status == 303
            assert door.webd.users.claimed()


async def test_the_button_opens_it_for_a_while_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(tmp_path)
    now = LATER_S
    monkeypatch.setattr(type(door.webd), "uptime_s", property(lambda _webd: now))
    away = await door.knock("GET", "/claim")
    assert (away.status, "button cannot be seen" in away.text) == (403, True)
    door.webd.open_claim()
    now += claim.WINDOW_S - 1
    assert (await door.knock("GET", "/claim")).status == 200
    now += 2
    assert (await door.knock("GET", "/claim")).status == 403
