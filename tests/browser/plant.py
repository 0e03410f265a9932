"""A gateway and its page as they run on the appliance, on loopback ports; and a browser that walks through it.

A walk is a script in `walks/` that Node runs: it drives Chromium and prints what it saw as one line of JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tests.house.sources import PROJECT
from tests.process.daemon import LOOPBACK, Daemon, running, until_ready

WALKS = Path(__file__).parent / "walks"
SCREENS = PROJECT / "build" / "screens"
MODULES = PROJECT / "build" / "browser" / "node_modules"
CHROMIUM = "chromium"
PASSWORD = "plant room 7"
READY_TIMEOUT_S = 60.0
WALK_TIMEOUT_S = 240.0
"""Against hangs only: the longest walk takes a minute on a machine of its own."""


class Plant(Daemon):
    """The gateway's daemon, and webd beside it. `web_program` replaces how webd is started."""

    def __init__(self, folder: Path, toml: str = "", *, web_program: Sequence[str] = (), ocpp: int = 0) -> None:
        self._web_program = list(web_program) or [sys.executable, "-m", "gatewayd.web"]
        self.web_state = folder / "web"
        self.web: trio.Process | None = None
        self.url = ""
        super().__init__(folder, toml, ocpp=ocpp)

    def configure(self, toml: str) -> None:
        """With a page, on a free port."""
        loopback = LOOPBACK.format(**self._places).replace("[web]\nport = -1", '[web]\nhost = "127.0.0.1"\nport = 0')
        self.config.write_text(toml + loopback, encoding="utf-8")

    @property
    def arguments(self) -> list[str]:
        return [*super().arguments, "--board", f"sim:{self.folder / 'board'}"]

    @property
    def web_arguments(self) -> list[str]:
        own = ["--state", str(self.web_state), "--run", str(self.state), "--gateway-state", str(self.state)]
        return [*self._web_program, "--config", str(self.config), *own]

    @property
    def web_port(self) -> int:
        """Where the page is, once it was ready."""
        return int(self.url.rstrip("/").rpartition(":")[2])

    async def start_web(self) -> None:
        """webd, ready; what it logs is added to the log of its former lives."""
        with (self.folder / "web.log").open("ab") as log, trio.CancelScope(shield=True):  # or nobody would kill it
            self.web = await trio.lowlevel.open_process(self.web_arguments, stdout=subprocess.PIPE, stderr=log)
        assert self.web is not None
        await until_ready(self.web, self.web_log, READY_TIMEOUT_S)
        self.url = json.loads((self.web_state / "web.json").read_text(encoding="utf-8"))["url"]

    async def kill_web(self) -> None:
        """As a crash: it learns nothing of it. Nothing where none was started."""
        if self.web is not None:
            with trio.CancelScope(shield=True):
                self.web.kill()
                await self.web.wait()

    async def browse(self, walk: str, **told: Any) -> Any:
        """Runs a walk; what it saw. AssertionError with all that it said when it fails."""
        missing = [what for what, there in (("chromium", shutil.which(CHROMIUM)), ("node", shutil.which("node")),
                                            ("what npm installs", MODULES.exists())) if not there]  # fmt: skip
        assert not missing, f"missing: {', '.join(missing)}; make test-browser installs it"
        environment = os.environ | {
            "BASE": self.url.rstrip("/"), "PASSWORD": PASSWORD, "TOLD": json.dumps(told), "SCREENS": str(SCREENS),
            "MODULES": str(MODULES), "CHROMIUM": str(shutil.which(CHROMIUM)),
        }  # fmt: skip
        with trio.fail_after(WALK_TIMEOUT_S):
            done = await trio.run_process(
                ["node", str(WALKS / f"{walk}.mjs")], env=environment, capture_stdout=True, capture_stderr=True,
                check=False,
            )  # fmt: skip
        said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == 0, f"the walk {walk} failed:\n{said}\nthe page logged:\n{self.web_log()[-3000:]}"
        return json.loads(done.stdout.decode().splitlines()[-1])

    def web_log(self) -> str:
        path = self.folder / "web.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""


@asynccontextmanager
async def standing(plant: Plant, *, claimed: bool = True) -> AsyncIterator[Plant]:
    """Gateway and page, ready. `claimed`: the admin has the password of these tests already."""
    async with running(plant):
        try:
            await plant.start_web()
            if claimed:
                await plant.browse("claim_only")
            yield plant
        finally:
            await plant.kill_web()


def charge_points(count: int, connectors: int) -> str:
    """The configuration of a large site."""
    return "".join(
        f'[[charge_point]]\nnumber = {number}\nidentity = "CP{number:03}"\nconnectors = {connectors}\n'
        for number in range(1, count + 1)
    )
