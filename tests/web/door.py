"""Knocks at webd's application without a socket: one request in, one answer out, in the trio run of the test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import trio

from gatewayd.web.app import Webd, application
from gatewayd.web.guard import COOKIE
from gatewayd.web.routes import Role
from gatewayd.web.settings import Settings
from tests.process.daemon import Daemon

PASSWORD = "plant room 7"
HOST = "127.0.0.1:8080"
SMALL = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def cookie(self) -> str:
        return SimpleCookie(self.headers.get("set-cookie", ""))[COOKIE].value


class Door:
    """One webd, with nobody behind its sockets unless the test puts a gateway there. `address`: who knocks."""

    address = "192.0.2.7"

    def __init__(self, folder: Path, toml: str = SMALL) -> None:
        config = folder / "gateway.toml"
        config.write_text(toml, encoding="utf-8")
        (folder / "web").mkdir(exist_ok=True)
        self.webd = Webd(Settings(config, folder / "web", folder, folder))
        self.app = application(self.webd)

    @classmethod
    def before(cls, daemon: Daemon, steward: Path | None = None) -> Door:
        """One webd in front of this gateway. `steward`: where stewardd hears wishes, if elsewhere than usual."""
        web = daemon.folder / "web"
        web.mkdir(exist_ok=True)
        settings = Settings(daemon.config, web, daemon.state, daemon.state)
        return cls.onto(settings if steward is None else replace(settings, steward=steward))

    @classmethod
    def onto(cls, settings: Settings) -> Door:
        """One webd that finds its things there."""
        door = cls.__new__(cls)
        door.webd = Webd(settings)
        door.app = application(door.webd)
        return door

    async def call(
        self, method: str, path: str, token: str = "", body: bytes = b"", kind: str = "application/json"
    ) -> Answer:
        """As a program calls the API: with a bearer token, and no Origin."""
        sent = {"host": HOST, "content-length": str(len(body))}
        if token:
            sent["authorization"] = f"Bearer {token}"
        if body:
            sent["content-type"] = kind
        return await self._ask(_scope(method, path, sent, self.address), body)

    async def knock(
        self, method: str, path: str, fields: dict[str, str] | None = None, token: str = "", **headers: str
    ) -> Answer:
        """`token`: of a session. A form of that session's own proof is sent, unless `fields` has another."""
        sent = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if token:
            sent["cookie"] = f"{COOKIE}={token}"
        body = b""
        if method != "GET":
            sent = {"origin": f"http://{HOST}"} | sent
        if method == "POST":
            session = self.webd.sessions.find(token, trio.current_time()) if token else None
            proof = {"csrf_token": session.proof()} if session else {}
            body = urlencode(proof | (fields or {})).encode()
            sent |= {"content-type": "application/x-www-form-urlencoded", "content-length": str(len(body))}
        elif method != "GET" and token and (session := self.webd.sessions.find(token, trio.current_time())):
            sent |= {"x-csrf-token": session.proof()}
        return await self._ask(_scope(method, path, sent, self.address), body)

    async def _ask(self, scope: dict[str, Any], body: bytes) -> Answer:
        start: dict[str, Any] = {}
        said = bytearray()
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await trio.sleep_forever()
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}

        with trio.CancelScope() as scope_of_answer:

            async def send(message: dict[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    start.update(message)
                else:
                    said.extend(message.get("body", b""))
                    if _is_stream(start):  # it would go on for ever
                        scope_of_answer.cancel()

            await self.app(scope, receive, send)  # type: ignore[arg-type]
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], headers, bytes(said))

    async def tokens(self) -> dict[Role, str]:
        """A session for every role; the admin's first, who claims the gateway."""
        await self.webd.users.first("admin", PASSWORD)
        await self.webd.users.add("fitter", PASSWORD, Role.installer)
        await self.webd.users.add("looker", PASSWORD, Role.viewer)
        names = {Role.admin: "admin", Role.installer: "fitter", Role.viewer: "looker"}
        return {role: self.webd.sessions.begin(name, trio.current_time())[0] for role, name in names.items()}


def _is_stream(start: dict[str, Any]) -> bool:
    return any(name == b"content-type" and b"event-stream" in value for name, value in start.get("headers", ()))


def _scope(method: str, path: str, sent: dict[str, str], address: str) -> dict[str, Any]:
    pure, _, query = path.partition("?")
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(pure), "raw_path": pure.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": (address, 50000), "server": ("127.0.0.1", 8080), "state": {},
    }  # fmt: skip
