"""The API's document: it tells of every route and of nothing else, and what comes back is what it tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
import requests
import schemathesis
import trio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from jsonschema import Draft202012Validator
from schemathesis import Case, GenerationMode, checks
from schemathesis.core.failures import FailureGroup

from gatewayd.web.api.openapi import document, plain_path
from gatewayd.web.app import Webd, routes
from gatewayd.web.routes import Route
from gatewayd.web.settings import Settings
from tests.process.daemon import Daemon, charge_points, running
from tests.web.door import HOST, Answer, Door

CHECKS = [
    checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance,
    checks.response_headers_conformance,
]  # fmt: skip
EXAMPLES = 4
"""Of each operation, as the document has it and against it: 4 s. Ten times as many take 25 s."""
KNOWN = {"number": 1, "point": "cp01_c1_limit", "name": "looker", "id": "0" * 32, "form": "csv"}
"""Drawn at random, a path hits nothing that is there."""
NO_STEWARD = ("/api/v1/backup", "/api/v1/time", "/api/v1/network", "/api/v1/network/confirm", "/api/v1/network/revert")
"""503 is right where there is no appliance."""


@schemathesis.serializer("application/toml")
def as_toml(_context: Any, value: Any) -> bytes:
    """The text itself; what is no text, as JSON would write it, is wrong TOML."""
    return value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()


def api_routes(folder: Path) -> list[Route]:
    found = routes(Webd(Settings(folder / "none.toml", folder, folder)))
    return [route for route in found if route.path.startswith("/api/")]


def differing(told: dict[str, Any], table: list[Route]) -> set[tuple[str, str]]:
    """Operations that stand only in the document or only in the table."""
    in_document = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    return in_document ^ {(route.method, plain_path(route.path)) for route in table}


async def test_the_document_tells_of_every_route_and_of_nothing_else(tmp_path: Path) -> None:
    door = Door(tmp_path)
    await door.tokens()
    told = json.loads((await door.call("GET", "/api/v1/openapi.json")).body)
    table = api_routes(tmp_path)
    assert len(table) >= 30
    assert differing(told, table) == set()
    assert told["openapi"] == "3.1.0"
    names = [one["operationId"] for methods in told["paths"].values() for one in methods.values()]
    assert len(set(names)) == len(names)
    for schema in told["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    # The twins: a route that nobody told of, and one that is told of and is not there.
    assert differing(document(table[1:]), table) == {(table[0].method, table[0].path)}
    assert differing(told, table[1:]) == {(table[0].method, table[0].path)}


def test_a_route_without_a_description_is_found_out(tmp_path: Path) -> None:
    table = api_routes(tmp_path)
    with pytest.raises(ValueError, match="is not described"):
        document([replace(table[0], described=None)])


@dataclass
class Served:
    """The application in a thread of its own, in front of a real gatewayd."""

    portal: BlockingPortal
    door: Door

    def document(self) -> Any:
        return json.loads(self.portal.call(self.door.call, "GET", "/api/v1/openapi.json").body)

    def answer(self, case: Case[Any]) -> schemathesis.Response:
        """Asked with a new session: an operation may have ended the one before."""
        wanted = case.as_transport_kwargs(f"http://{HOST}")
        wanted.pop("cookies", None)
        ready = requests.Request(**wanted).prepare()
        sent: Any = ready.body or b""
        body = sent.encode() if isinstance(sent, str) else bytes(sent)
        kind = ready.headers.get("content-type", "")

        async def ask() -> Answer:
            token, _ = self.door.webd.sessions.begin("admin", trio.current_time())
            return await self.door.call(str(ready.method), ready.path_url, token, body, str(kind))

        answer = self.portal.call(ask)
        headers = {name: [value] for name, value in answer.headers.items()}
        return schemathesis.Response(answer.status, headers, answer.body, ready, 0.0, False)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    daemon = Daemon(tmp_path, charge_points("CP001", "CP002"))
    door = Door.before(daemon, steward=tmp_path / "nobody")
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("trio"))
        stack.enter_context(portal.wrap_async_context_manager(running(daemon)))
        stack.enter_context(portal.wrap_async_context_manager(door.webd.running()))
        portal.call(door.tokens)
        yield Served(portal, door)


@dataclass
class Trials:
    """What came back: where it is not as the document says, and which operation answered with which status."""

    served: Served
    wrong: list[str] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)

    def all_of(self, told: dict[str, Any]) -> None:
        for found in schemathesis.openapi.from_dict(told).get_all_operations():
            operation = cast(Any, found).ok()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                name = f"{operation.method.upper()} {operation.path}"
                try:
                    self._some_of(operation.path, name, operation.as_strategy(generation_mode=mode))
                except Unsatisfiable:
                    print(f"{name}: it takes nothing, so nothing {mode.value} can be asked of it")

    def _some_of(self, path: str, name: str, cases: st.SearchStrategy[Case[Any]]) -> None:
        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
        @given(case=cases, known=st.booleans())
        def ask(case: Case[Any], known: bool) -> None:
            if known and case.path_parameters:
                case.path_parameters = {key: KNOWN[key] for key in case.path_parameters}
            answer = self.served.answer(case)
            self.seen.add((name, answer.status_code))
            if answer.status_code >= 500 and not (answer.status_code == 503 and path in NO_STEWARD):
                self.wrong.append(f"{name}: {answer.status_code} {answer.content[:200]!r}")
            try:
                case.validate_response(answer, checks=CHECKS)
            except FailureGroup as failure:
                self.wrong.append(f"{name}: {answer.status_code} {failure.exceptions!r} {failure}")

        ask()


def test_what_comes_back_is_what_the_document_tells(served: Served) -> None:
    told = served.document()
    trials = Trials(served)
    trials.all_of(told)
    assert sorted(set(trials.wrong)) == [], "\n".join(sorted(set(trials.wrong)))
    assert {name for name, _status in trials.seen} == {
        f"{method.upper()} {path}" for path, methods in told["paths"].items() for method in methods
    }
    for name, status in (("GET /api/v1/points/{point}", 200), ("PUT /api/v1/points/{point}", 422),
                         ("PUT /api/v1/configuration", 422), ("GET /api/v1/snapshot", 200)):  # fmt: skip
        assert (name, status) in trials.seen, sorted(trials.seen)


def test_an_answer_that_the_document_does_not_know_is_found_out(served: Served) -> None:
    """The twin: the document promises a member that nothing has, and forgets a refusal."""
    told = served.document()
    told["components"]["schemas"]["WhoAmI"]["required"].append("shoe_size")
    del told["paths"]["/api/v1/charge-points/{number}"]["get"]["responses"]["404"]
    told["paths"] = {path: {"get": told["paths"][path]["get"]}
                     for path in ("/api/v1/session", "/api/v1/charge-points/{number}")}  # fmt: skip
    trials = Trials(served)
    trials.all_of(told)
    assert any("shoe_size" in one for one in trials.wrong)
    assert any("GET /api/v1/charge-points/{number}: 404" in one for one in trials.wrong)
