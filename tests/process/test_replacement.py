"""A broken gateway is replaced: its backup, restored at the claim of a new one, makes that one what the first was."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from gatewayd.web.settings import Settings
from tests.process.daemon import Daemon, charge_points, running
from tests.process.test_daemon import accepting, charging
from tests.simulator.steward import Attendant, steward
from tests.web.door import Door
from tests.web.test_backup import PASSPHRASE, sent_form

COMMENT = "# the meter is behind the door\n"


class Appliance:
    """gatewayd, stewardd and the page, as they stand together on one machine."""

    def __init__(self, folder: Path, toml: str) -> None:
        folder.mkdir()
        (folder / "web").mkdir()
        self.daemon = Daemon(folder, toml)
        self.attendant = Attendant(folder / "s")
        places = self.daemon.config, folder / "web", self.daemon.state, self.daemon.state
        self.door = Door.onto(Settings(*places, steward=self.attendant.socket))
        self.started = 0

    async def attended(self) -> None:
        """As systemd: whoever was stopped to be started again is started again."""
        while True:
            assert self.daemon.process is not None
            self.attendant.began(self.daemon.process.pid)
            self.started += 1
            await self.daemon.process.wait()
            if not self.attendant.held:
                return
            await self.attendant.released()
            await self.daemon.start()

    async def again(self) -> None:
        """Until it was started anew."""
        with trio.fail_after(30):
            while self.started < 2:  # noqa: ASYNC110
                await trio.sleep(0.02)


@asynccontextmanager
async def standing(appliance: Appliance) -> AsyncIterator[Appliance]:
    daemon = appliance.daemon
    async with running(daemon), appliance.door.webd.running(), trio.open_nursery() as nursery:
        nursery.start_soon(appliance.attended)
        log = daemon.folder / "s.log"
        await nursery.start(steward, appliance.attendant, daemon.config, daemon.state, log)
        yield appliance
        nursery.cancel_scope.cancel()


async def test_replaced(tmp_path: Path) -> None:
    old = Appliance(tmp_path / "old", COMMENT + '[gateway]\nname = "plant-room-1"\n' + charge_points("CP001"))
    async with standing(old), trio.open_nursery() as nursery:
        await old.door.tokens()
        bms = await old.daemon.bms()
        await accepting(bms)
        await charging(nursery, old.daemon)
        assert (await bms.command(1, "ClearCache", sequence=77)).accepted
        running_id = await bms.number("transaction_id", 1, 1)
        _, file = await old.door.webd.backups.make(("admin", ""), PASSPHRASE)
        authority = (old.daemon.state / "authority.pem").read_bytes()
        nursery.cancel_scope.cancel()

    new = Appliance(tmp_path / "new", "")
    async with standing(new):
        body, kind = sent_form(file, PASSPHRASE)
        examined = json.loads((await new.door.call("POST", "/api/v1/claim/restore", "", body, kind)).body)
        assert (examined["running"], examined["highest_transaction_id"]) == (1, running_id)
        answer = await new.door.call("POST", f"/api/v1/claim/restore/{examined['id']}")
        assert answer.status == 204, answer.text
        await new.again()
        assert new.daemon.config.read_text().startswith(COMMENT)
        assert (new.daemon.state / "authority.pem").read_bytes() == authority
        assert sorted(new.door.webd.users.all()) == ["admin", "fitter", "looker"]
        bms = await new.daemon.bms()
        assert await bms.read("gateway_name") == "plant-room-1"
        assert await bms.number("transaction_id", 1, 1) == running_id
        assert await bms.number("command_ack", 1) == 77
        # What the broken one gave after the backup, nobody knows: no id is given twice.
        async with trio.open_nursery() as nursery:
            await accepting(bms)
            other = new.daemon.charge_point("CP001")
            await nursery.start(other.run)
            await other.until(lambda: other.registered)
            other.plug(2)
            assert await other.present_tag("CARD2", 2) == "Accepted"
            await other.until(lambda: bool(other.books) and other.books[-1].start_acknowledged)
            assert await bms.number("transaction_id", 1, 2) > running_id + 1_000_000
            nursery.cancel_scope.cancel()
