"""Every route checks the role of whoever asks (promises, R27), who made the form, and that there is a password."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from gatewayd.web.app import Webd, routes
from gatewayd.web.routes import Role, Route
from gatewayd.web.settings import Settings
from tests.web.door import HOST, Door

EVERYBODY = (Role.anyone, Role.viewer, Role.installer, Role.admin)
WAY_IN = {"/claim", "/api/v1/claim", "/login"}  # what they refuse is the password, not the role
ENDS_SESSION = {"/logout", "/api/v1/session"}  # whoever leaves has no session for the next row


def table(folder: Path) -> list[Route]:
    return routes(Webd(Settings(folder / "none.toml", folder, folder)))


def address(route: Route) -> str:
    """A path that the route matches."""
    return re.sub(r"\{\w+:int\}", "1", re.sub(r"\{(\w+)(:path)?\}", r"nobody", route.path))


def judged(status: int, location: str, role: Role, route: Route) -> str:
    """What is wrong with an answer; empty: it fits the role."""
    if role >= route.needs:
        return "refused" if status in (401, 403) and route.path not in WAY_IN else ""
    if role is Role.anyone:
        sent_away = status == 401 or (status in (303, 204) and "/login" in location)
        return "" if sent_away else f"let in with {status}"
    return "" if status == 403 else f"let in with {status}"


async def test_every_route_checks_its_role(tmp_path: Path) -> None:
    door = Door(tmp_path)
    sessions = await door.tokens()
    wrong = []
    for route in table(tmp_path):
        for role in EVERYBODY:
            token = sessions.get(role, "")
            answer = await door.knock(route.method, address(route), token=token)
            if verdict := judged(answer.status, answer.headers.get("location", ""), role, route):
                wrong.append(f"{route.method} {route.path} as {role.name}: {verdict}")
            if route.path in ENDS_SESSION:
                sessions = {each: door.webd.sessions.begin(_name(each), trio.current_time())[0] for each in sessions}
    assert wrong == []


def _name(role: Role) -> str:
    return {Role.admin: "admin", Role.installer: "fitter", Role.viewer: "looker"}[role]


async def test_a_route_that_forgets_its_role_is_found_out(tmp_path: Path) -> None:
    """The twin: the same matrix over a table whose settings anybody may save."""
    needs = next(route for route in table(tmp_path) if route.path == "/settings/modbus")
    door = Door(tmp_path)
    await door.tokens()
    answer = await door.knock("GET", "/login")
    assert answer.status == 200
    assert judged(answer.status, "", Role.anyone, needs) == "let in with 200"
    assert judged(303, "/settings", Role.anyone, needs) == "let in with 303"
    assert judged(422, "", Role.viewer, needs) == "let in with 422"
    assert judged(403, "", Role.admin, needs) == "refused"


async def test_without_a_password_everything_leads_to_the_claim(tmp_path: Path) -> None:
    door = Door(tmp_path)
    for route in table(tmp_path):
        if route.unclaimed:
            continue
        answer = await door.knock(route.method, address(route))
        led = answer.status == 409 or answer.headers.get("location") == "/claim"
        assert led, f"{route.method} {route.path}: {answer.status}"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"http://{HOST}.evil.example"])
async def test_a_form_of_another_page_changes_nothing(tmp_path: Path, origin: str) -> None:
    door = Door(tmp_path)
    token = (await door.tokens())[Role.admin]
    answer = await door.knock("POST", "/settings/modbus", {"unit_id": "9"}, token, origin=origin)
    assert answer.status == 403
    assert "unit_id" not in (tmp_path / "gateway.toml").read_text()


async def test_a_form_without_proof_changes_nothing(tmp_path: Path) -> None:
    door = Door(tmp_path)
    token = (await door.tokens())[Role.admin]
    answer = await door.knock("POST", "/settings/modbus", {"unit_id": "9", "csrf_token": "A" * 86}, token)
    assert answer.status == 403
    assert "unit_id" not in (tmp_path / "gateway.toml").read_text()


async def test_a_gateway_that_is_away_is_said_so(tmp_path: Path) -> None:
    door = Door(tmp_path)
    token = (await door.tokens())[Role.admin]
    for path, status in (("/", 200), ("/live/overview", 200), ("/live/front", 200), ("/why", 503), ("/about", 503)):
        answer = await door.knock("GET", path, token=token)
        assert (answer.status, "does not answer" in answer.text) == (status, True), path
