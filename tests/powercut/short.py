"""R2 in a few minutes, for CI: two machines side by side, cut at random instants. Their disks hold the appliance's root
alone, which the kernel starts without U-Boot and slots: what a cut does to those is `trials.py`'s, on the whole card.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import trio

from tests.card.flashed import flip_at
from tests.powercut.report import BUILD, Report
from tests.powercut.trials import CARDS, EARLY_S
from tests.powercut.whole import CONFIGURATION, Bricked, Whole
from tests.vm.machine import PROJECT

EARLY, TRAFFIC = "while it started", "under traffic"
NEW: Final = (EARLY, EARLY, TRAFFIC)
"""The cuts of a machine that was never started before, so that the first are cuts of its first start."""
CONFIGURED: Final = (TRAFFIC, TRAFFIC)
"""Those of one that a charge point is configured for; its first start takes longer, for nothing cuts it."""
TRAFFIC_S: Final = (5.0, 25.0)
LAST: Final = ("restarting", 1)
"""The initrd's word for a root that it does not take (image/initrd/init); here it would say so for ever."""


class OnRoot(Whole):
    """A disk with the root alone (image/vm.sh), and with this configuration, if any."""

    given_up = LAST

    def __init__(self, directory: Path, address: str, configuration: str = "") -> None:
        self._configuration = configuration
        super().__init__(directory, address)

    def _make(self, services: Sequence[Path]) -> None:
        assert not services, "its initrd is the appliance's own"
        filled = []
        if self._configuration:
            folder = self._directory / "filled"
            (folder / "gateway").mkdir(parents=True)
            (folder / "gateway/gateway.toml").write_text(self._configuration)
            filled = [folder.relative_to(PROJECT)]
        subprocess.run(["image/vm.sh", "disk", self.disk.relative_to(PROJECT), *filled], cwd=PROJECT, check=True)

    def _boot(self) -> dict[str, str]:
        return {}


def short(report: Report) -> str:
    """Five cuts; what is wrong, or nothing."""
    new = OnRoot(BUILD / "short-new", CARDS["a"])
    configured = OnRoot(BUILD / "short-configured", CARDS["b"], CONFIGURATION)
    kept = {"cuts": 0, "starts": 0, "polls": 0, "twin": ""}
    report.parts["R2 short"] = kept
    bricked = list[BaseException]()
    try:
        trio.run(_both, new, configured, kept)
    except* Bricked as why:
        bricked += why.exceptions
    finally:
        for machine in (new, configured):
            machine.remove()
        report.save()
    if bricked:
        return "it did not start again:\n" + "\n".join(map(str, bricked))
    return "" if kept["polls"] else "no poll was answered: there was no traffic"


async def _both(new: OnRoot, configured: OnRoot, kept: dict[str, Any]) -> None:
    async def twin_and_new() -> None:  # one after the other: an emulated machine takes a core
        kept["twin"] = await _twin()
        await _cut(new, NEW, kept)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(twin_and_new)
        nursery.start_soon(_cut, configured, CONFIGURED, kept)


async def _twin() -> str:
    """Starts a machine whose root is damaged; how it was noticed, or nothing."""
    machine = OnRoot(BUILD / "short-twin", CARDS["a"])
    flip_at(machine.disk, machine.partition("root-a")[0])
    try:
        machine.start()
        await machine.serial()
    except Bricked as why:
        return "caught" if LAST[0] in str(why) else ""  # not for an emulator that does not run
    finally:
        machine.remove()
    return ""


async def _cut(machine: OnRoot, cuts: Sequence[str], kept: dict[str, Any]) -> None:
    """Cuts it so often, and starts it once more. Raises Bricked."""
    for number, kind in enumerate(cuts):
        chance = random.Random(f"{machine.disk.parent.name} {number}")
        if kind == EARLY:
            machine.start()
            await trio.sleep(chance.uniform(*EARLY_S))
        else:
            await _answers(machine, kept)
            kept["polls"] += await machine.traffic(chance.uniform(*TRAFFIC_S))
        machine.cut()
        kept["cuts"] += 1
        print(f"{machine.disk.parent.name}: cut {kind}", flush=True)
    await _answers(machine, kept)  # the last cut is survived, too


async def _answers(machine: OnRoot, kept: dict[str, Any]) -> None:
    machine.start()
    await machine.serial()
    kept["starts"] += 1
