"""A backup made and restored in Chromium, as a person does it who replaces a broken gateway."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.browser.plant import Plant, charge_points, standing
from tests.simulator.steward import Attendant, steward

PASSPHRASE = "a boiler room in May"


class Replaced(Plant):
    """With a stewardd, and started again when that asks for it."""

    def __init__(self, folder: Path, toml: str) -> None:
        self.attendant = Attendant(folder / "s")
        super().__init__(folder, toml)

    @property
    def web_arguments(self) -> list[str]:
        return [*super().web_arguments, "--steward", str(self.attendant.socket)]

    async def attended(self) -> None:
        """As systemd."""
        while True:
            assert self.process is not None
            self.attendant.began(self.process.pid)
            await self.process.wait()
            if not self.attendant.held:
                return
            await self.attendant.released()
            await self.start()


@pytest.mark.parametrize("width", [320, 1280])
async def test_a_backup_is_made_and_restored_at_the_first_visit(tmp_path: Path, width: int) -> None:
    named = '[gateway]\nname = "plant-room-1"\n'
    plant = Replaced(tmp_path, named + charge_points(2, 2))
    file = tmp_path / "kept.backup"
    told = {"passphrase": PASSPHRASE, "file": str(file), "width": width}
    async with standing(plant), trio.open_nursery() as nursery:
        nursery.start_soon(plant.attended)
        await nursery.start(steward, plant.attendant, plant.config, plant.state, tmp_path / "s.log")
        made = await plant.browse("backup", deed="make", **told)
        assert made["name"].startswith("plant-room-1-")
        (plant.web_state / "users.json").unlink()  # as after a factory reset: nobody has a password
        plant.config.write_text(plant.config.read_text().replace("plant-room-1", "another"))
        seen = await plant.browse("backup", deed="replace", **told)
        assert "plant-room-1" in plant.config.read_text()
        nursery.cancel_scope.cancel()
    assert seen["first"] == "/claim"
    assert "not the one" in seen["refused"]
    assert any("gateway.name" in row for row in seen["rows"]), seen["rows"]
    assert seen["last"] == "/"
    for one in (made, seen):
        assert not one["violations"], one["violations"]
        assert not one["complaints"], one["complaints"]
