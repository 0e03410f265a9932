"""R5: a full or read-only disk does not stop charging control. A real file system, in a mount namespace of its own.

disk_state tells within 5 s; all but transaction messages are answered; it heals without a restart.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.process.daemon import Daemon, charge_points, executable, running
from tests.promises.report import seen
from tests.simulator.bms import Bms
from tests.simulator.charge_point import ChargePoint, Vehicle
from tests.simulator.ocpp_link import NoAnswer

DISK_BYTES = 64 << 20
TOLD_WITHIN_S = 5.0
OK, NEARLY_FULL, FAILING = 1, 2, 3


class Disk:
    """A tmpfs at `folder` that only processes started with `inside` see."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        script = f'mount -t tmpfs -o size={DISK_BYTES} none "$0" && echo mounted && exec sleep infinity'
        self._holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(folder)],
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"mounted\n", "this kernel gives no user its own mounts"

    @property
    def inside(self) -> list[str]:
        return ["nsenter", "-t", str(self._holder.pid), "--user", "--mount", "--preserve-credentials"]

    @property
    def from_here(self) -> Path:
        return Path(f"/proc/{self._holder.pid}/root{self.folder}")

    def fill(self) -> None:
        with (self.from_here / "fill").open("wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                with suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def free(self) -> None:
        (self.from_here / "fill").unlink()

    def read_only(self, flag: bool) -> None:
        mode = "ro" if flag else "rw"
        subprocess.run([*self.inside, "mount", "-o", f"remount,{mode}", str(self.folder)], check=True)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


class DaemonOnDisk(Daemon):
    """A daemon whose state directory is on that disk."""

    def __init__(self, folder: Path, disk: Disk, program: Sequence[str] = ()) -> None:
        super().__init__(folder, charge_points("CP001"), program=[*disk.inside, *(program or executable())])
        self.state = disk.folder / "state"
        self._disk = disk

    @property
    def visible_state(self) -> Path:
        return self._disk.from_here / "state"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk")
    yield made
    made.close()


async def lived_before(daemon: Daemon, end: Callable[[Daemon], Awaitable[int]]) -> ChargePoint:
    """A life in which a transaction began, and its `end`; the charge point, for its books."""
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await daemon.bms()
        await bms.write("decision_timeout", 10)
        await bms.write("decision_default", 1)
        charge_point = daemon.charge_point()
        await nursery.start(charge_point.run)
        await charge_point.until(lambda: charge_point.registered)
        charge_point.plug(1, Vehicle())
        assert await charge_point.present_tag("CARD1") == "Accepted"
        await charge_point.until(lambda: charge_point.books[0].start_acknowledged)
        await trio.sleep(1.2)
        assert await end(daemon) == 0
        nursery.cancel_scope.cancel()
    return charge_point


async def all_but_transactions(bms: Bms, charge_point: ChargePoint) -> None:
    """What is promised while the disk fails."""
    charge_point.outbox.call_timeout_s = 4.0
    began = trio.current_time()
    with trio.fail_after(TOLD_WITHIN_S):
        await bms.until("disk_state", FAILING)
    told_s = trio.current_time() - began
    for action, payload in (
        ("Heartbeat", {}),
        ("Authorize", {"idTag": "CARD2"}),
        ("DataTransfer", {"vendorId": "V"}),
        ("FirmwareStatusNotification", {"status": "Idle"}),
    ):
        with trio.fail_after(3):
            await charge_point.ask(action, payload)
    with trio.fail_after(3):
        assert (await bms.command(1, "ClearCache")).accepted
        await bms.set_limit(1, 1, 16.0)
    with pytest.raises(NoAnswer):
        await charge_point.ask(
            "StartTransaction",
            {"connectorId": 2, "idTag": "CARD2", "meterStart": 5, "timestamp": charge_point.clock.stamp()},
        )
    seen("R5", f"a disk that takes nothing: told within {told_s:.1f} s, all but StartTransaction answered")


async def killed(daemon: Daemon) -> int:
    await daemon.kill()
    return 0


async def test_a_disk_that_is_full_at_the_start(tmp_path: Path, disk: Disk) -> None:
    """After a clean stop; after a kill the ledger's log is there in full size, and it goes on as below."""
    daemon = DaemonOnDisk(tmp_path, disk)
    book = (await lived_before(daemon, Daemon.stop)).books[0]
    disk.fill()
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await found(daemon)
        assert await bms.number("transaction_id", 1, 1) == book.transaction_id
        charge_point = daemon.charge_point()
        await nursery.start(charge_point.run)
        await charge_point.until(lambda: charge_point.registered)
        await charge_point.ask("Authorize", {"idTag": "CARD2"})  # somebody has to want to write
        await all_but_transactions(bms, charge_point)
        disk.free()
        await bms.until("disk_state", OK, timeout_s=TOLD_WITHIN_S)
        charge_point.plug(1, Vehicle())
        assert await charge_point.present_tag("CARD3") == "Accepted"
        await charge_point.until(lambda: charge_point.books[0].start_acknowledged)
        nursery.cancel_scope.cancel()


async def test_a_disk_that_fills_while_it_runs(tmp_path: Path, disk: Disk) -> None:
    """The ledger wrote its log to full size at the start, so it goes on for a while; it says nearly full at once."""
    daemon = DaemonOnDisk(tmp_path, disk)
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await daemon.bms()
        await bms.write("decision_timeout", 10)
        await bms.write("decision_default", 1)
        charge_point = daemon.charge_point()
        await nursery.start(charge_point.run)
        await charge_point.until(lambda: charge_point.registered)
        disk.fill()
        await bms.until("disk_state", NEARLY_FULL, timeout_s=TOLD_WITHIN_S)
        charge_point.plug(1, Vehicle())
        assert await charge_point.present_tag("CARD1") == "Accepted"
        await charge_point.until(lambda: charge_point.books[0].start_acknowledged)
        disk.free()
        await bms.until("disk_state", OK, timeout_s=TOLD_WITHIN_S)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("end", [Daemon.stop, killed], ids=["stopped", "killed"])
async def test_a_disk_that_is_read_only_at_the_start(
    tmp_path: Path, disk: Disk, end: Callable[[Daemon], Awaitable[int]]
) -> None:
    daemon = DaemonOnDisk(tmp_path, disk)
    book = (await lived_before(daemon, end)).books[0]
    disk.read_only(True)
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await found(daemon)
        assert await bms.number("transaction_id", 1, 1) == book.transaction_id
        charge_point = daemon.charge_point()
        await nursery.start(charge_point.run)
        await charge_point.until(lambda: charge_point.registered)
        await all_but_transactions(bms, charge_point)
        disk.read_only(False)
        await bms.until("disk_state", OK, timeout_s=TOLD_WITHIN_S)
        charge_point.plug(1, Vehicle())
        assert await charge_point.present_tag("CARD3") == "Accepted"
        await charge_point.until(lambda: charge_point.books[0].start_acknowledged)
        seen("R5", "it heals without a restart, and transactions begin again")
        nursery.cancel_scope.cancel()


ACKNOWLEDGES_WITHOUT_A_DISK = """
import sys
from gatewayd.__main__ import main
from gatewayd.services.ledger.writer import Ledger

async def durable(self, number):
    return True

Ledger.durable = durable
sys.exit(main())
"""


@pytest.mark.twin("R5")
async def test_the_twin_that_acknowledges_without_a_disk_is_caught(tmp_path: Path, disk: Disk) -> None:
    daemon = DaemonOnDisk(tmp_path, disk, [sys.executable, "-c", ACKNOWLEDGES_WITHOUT_A_DISK])
    await lived_before(daemon, Daemon.stop)
    disk.read_only(True)
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await found(daemon)
        charge_point = daemon.charge_point()
        await nursery.start(charge_point.run)
        await charge_point.until(lambda: charge_point.registered)
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            await all_but_transactions(bms, charge_point)
        nursery.cancel_scope.cancel()


async def found(daemon: Daemon) -> Bms:
    """A daemon that could not write `ports.json`, which is of the life before: the kernel knows where it listens."""
    assert daemon.process is not None
    daemon.ports |= listening(daemon.process.pid)
    return await daemon.bms()


def listening(pid: int) -> dict[str, int | None]:
    sockets = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    bound = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
            bound.append((int(fields[9]), int(fields[1].partition(":")[2], 16)))
    (_, modbus), (_, ocpp) = sorted(bound)
    return {"modbus_tcp": modbus, "ocpp": ocpp}
