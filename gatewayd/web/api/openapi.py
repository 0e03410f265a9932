"""The API's own document, OpenAPI 3.1, printed from the table of routes: what is not in one is not in the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web.api.json_body import said
from gatewayd.web.refusals import Problem
from gatewayd.web.routes import SAFE_METHODS, Described, Role, Route

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
REF: Final = "#/components/schemas/{name}"
PARAMETER: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")
WORDS: Final = {
    200: "as asked", 201: "made", 202: "begun", 204: "done", 400: "the body is no JSON, or the request is none",
    401: "not signed in, or a wrong password", 403: "the role does not allow it, or another page asked for it",
    404: "there is none", 408: "the request did not end", 409: "not in this state, or not before the claim",
    413: "too long", 415: "the body is called something else", 421: "the gateway is not called so",
    422: "understood and refused; `faults` says what is wrong where", 429: "too many wrong passwords: `Retry-After`",
    503: "the gateway, or what has the privilege, does not answer",
}  # fmt: skip
"""What each status says."""


def plain_path(path: str) -> str:
    """As OpenAPI writes it: without the kind of a parameter."""
    return PARAMETER.sub(r"{\1}", path)


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The document of these routes. Every one must be described."""
    told = [(route, _told(route)) for route in routes]
    kinds = [kind for _route, one in told for kind in (one.takes, one.gives) if kind is not None]
    schemas, components = msgspec.json.schema_components([*kinds, Problem], ref_template=REF)
    of_kind = dict(zip(map(repr, [*kinds, Problem]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route, one in told:
        paths.setdefault(plain_path(route.path), {})[route.method.lower()] = _operation(route, one, of_kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": "OCPP Modbus Gateway", "version": "1", "license": {"name": "Apache-2.0"},
                 "description": "Everything that the gateway's page does. Sign in with `POST /api/v1/session`."},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"session": {"type": "http", "scheme": "bearer",
                                            "description": "The token that a new session says"}},
        },
    }  # fmt: skip


def _told(route: Route) -> Described:
    if route.described is None:
        raise ValueError(f"{route.method} {route.path} is not described")
    return route.described


def _operation(route: Route, one: Described, of_kind: dict[str, Any]) -> dict[str, Any]:
    open_to_all = route.needs is Role.anyone
    words = re.findall(r"\w+", plain_path(route.path).removeprefix("/api/v1"))
    found: dict[str, Any] = {
        "operationId": "_".join([route.method.lower(), *words]),
        "summary": one.summary,
        "description": "For everybody." if open_to_all else f"Needs the role {route.needs.name}, or more.",
        "security": [] if open_to_all else [{"session": []}],
        "parameters": list(_parameters(route, one)),
        "responses": {str(one.status): _answer(one, of_kind)}
        | {str(status): _refusal(status, of_kind) for status in sorted(refusals(route))},
    }
    if one.takes is not None:
        schema = of_kind[repr(one.takes)]
        found["requestBody"] = {"required": True, "content": {one.takes_media_type: {"schema": schema}}}
    return found


def _parameters(route: Route, one: Described) -> Iterable[dict[str, Any]]:
    for name, kind in PARAMETER.findall(route.path):
        schema = {"type": "integer", "minimum": 0, "maximum": 9999} if kind == "int" else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for name, what in one.query:
        yield {"name": name, "in": "query", "required": False, "description": what, "schema": {"type": "string"}}


def _answer(one: Described, of_kind: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": WORDS[one.status]}
    if one.gives is not None:
        found["content"] = {one.media_type: {"schema": of_kind[repr(one.gives)]}}
    return found


def _refusal(status: int, of_kind: dict[str, Any]) -> dict[str, Any]:
    if status == 421:  # refused before anybody looked at what is asked for
        return {"description": WORDS[status], "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {"description": WORDS[status], "content": {PROBLEM: {"schema": of_kind[repr(Problem)]}}}


def refusals(route: Route) -> set[int]:
    """What a route may answer besides what was asked for: its own, and what the door says in front of all like it."""
    one = _told(route)
    found = {421, *one.refusals}
    if route.needs is not Role.anyone:
        found |= {401, 403, 503}
    if not route.unclaimed:
        found |= {409}
    if route.method not in SAFE_METHODS:
        found |= {403, 408, 413}
    if one.takes is not None:
        found |= {400, 415, 422}
    if PARAMETER.search(route.path):
        found |= {404}
    return found


def own_route(others: Sequence[Route]) -> Route:
    """The route that serves the document of the others, and of itself."""

    async def openapi(_request: Request) -> Response:
        return said(document([*others, route]))

    route = Route(
        "/api/v1/openapi.json", openapi, Role.anyone, name="api_openapi",
        described=Described("This document", gives=dict[str, Any]),
    )  # fmt: skip
    return route
