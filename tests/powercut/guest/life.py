"""A data partition's life, in the guest: first start, saves, imports, restores, factory resets, one after the other.

What saves and erases is the gateway's own code, in the places where the appliance calls it; what stands around it
(systemd, the gateway's answer, a browser) is left out. Before and after every deed a mark goes into a partition of its
own on the same disk, written past every cache and never flushed: so the log of the disk's writes tells what the
gateway had promised by then, and no flush of ours helps a save that has forgotten its own.

On the kernel's command line: `life=SEED` and `life.plan=BUILD:DEEDS,...`; the builds are `ours` and the broken ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import mmap
import os
import random
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path[1:1] = ["/run/test", "/usr/lib/gateway/python"]
os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"

import seen  # type: ignore[import-not-found]  # noqa: E402 # beside this file, in the guest

DATA, STATE, PAGE = Path("/data"), Path("/data/gateway"), Path("/data/webd")
SERIAL = "cut"
OURS = "ours"
MARK_BYTES = 4096
POWER_OFF = 0x4321FEDC
RESET_EVERY = 12
"""Deeds between two factory resets."""


def told(text: str) -> None:
    print(f"life: {text}", flush=True)


class Disk:
    """The disk that is logged: the data partition, and behind it the one for marks."""

    def __init__(self) -> None:
        (serial,) = (
            path for path in Path("/sys/block").glob("vd*/serial") if path.read_text().strip("\0\n ") == SERIAL
        )
        name = serial.parent.name
        self.data = Path(f"/dev/{name}1")
        self._marks = os.open(f"/dev/{name}2", os.O_WRONLY | os.O_DIRECT)
        self._sector = mmap.mmap(-1, MARK_BYTES)  # aligned, as O_DIRECT asks for
        unit = Path("/usr/lib/systemd/system/data.mount").read_text()
        self._options = re.search(r"^Options=(.*)$", unit, re.MULTILINE)[1]  # type: ignore[index]

    def mark(self, **what: Any) -> None:
        self._sector[:] = json.dumps(what).encode().ljust(MARK_BYTES)
        os.pwrite(self._marks, self._sector, 0)

    def make_anew(self) -> None:
        """Between two builds, by none of them: whatever the last one left behind."""
        from hal import factory_reset

        self.mark(build="", deed="between", done=False)
        for _ in factory_reset.make_anew(self.data):
            pass
        with open(self.data, "r+b") as file:
            file.write(bytes(16 * MARK_BYTES))  # blank, as at the first start
            os.fsync(file.fileno())
        self.mark(build="", deed="between", done=True, configuration=None, others=None)

    def mount(self) -> None:
        subprocess.run(["mount", "-t", "ext4", "-o", self._options, self.data, DATA], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", DATA], check=True)


def text(number: int) -> bytes:
    """A configuration of several blocks that differs from any other in each of them."""
    remarks = "\n".join(f"# {number:06} line {row:03} {'-' * 60}" for row in range(120))
    return (
        f'[gateway]\nname = "plant-{number}"\n\n{remarks}\n\n[modbus.tcp]\nkeep_alive_s = {10 + number % 50}\n\n'
        f'[[charge_point]]\nnumber = 1\nidentity = "CP001"\npassword = "{seen.CANARY} {number}"\n'
    ).encode()


class Life:
    """One build's partition, from its first start on."""

    def __init__(self, disk: Disk, build: str, chance: random.Random) -> None:
        from gatewayd.state_directory import Paths
        from gatewayd.web.audit import Audit
        from gatewayd.web.editor import Editor
        from gatewayd.web.gateway import Gateway
        from gatewayd.web.settings import Settings

        self._disk, self._build, self._chance = disk, build, chance
        self._number = chance.randrange(1000) * 100
        self._paths = Paths(STATE / seen.CONFIGURATION, STATE)
        settings = Settings(self._paths.config, PAGE, Path("/run/gatewayd"), STATE, appliance=True)
        self._editor = Editor(settings, Gateway(settings), Audit(settings.audit))

    def live(self, deeds: int) -> None:
        from hal import factory_reset

        with self._deed("first start"):
            factory_reset.heal(self._disk.data)
        self._settle()
        for turn in range(1, deeds + 1):
            if turn % RESET_EVERY == 0 or turn == deeds:
                self._reset()
                self._settle()
            else:
                kinds = (self._save, self._import, self._restore)
                chosen = self._chance.choices(kinds, (5, 3, 2))[0]
                (chosen if self._build == OURS else kinds[turn % 3])()  # of a broken build, each of them
        self._disk.unmount()

    @contextlib.contextmanager
    def _deed(self, kind: str) -> Iterator[None]:
        self._disk.mark(build=self._build, deed=kind, done=False)
        yield
        mounted = DATA.is_mount()
        self._disk.mark(
            build=self._build, deed=kind, done=True,
            configuration=seen.configuration(DATA) if mounted else None,
            others=seen.others(DATA) if mounted else None,
        )  # fmt: skip

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _settle(self) -> None:
        """What systemd, gatewayd and the page make at a first start, and secrets of this site in all of it."""
        from gatewayd import durable
        from gatewayd.services.ledger.database import open_ledger

        self._disk.mount()
        secret = f"{seen.CANARY} {self._next()}\n"
        with self._deed("settle"):
            for directory in (STATE, PAGE, STATE / "certificates", DATA / "log"):
                directory.mkdir(exist_ok=True)
            durable.write(STATE / "certificates/authority.key", f"-----BEGIN PRIVATE KEY-----\n{secret}".encode())
            durable.write(STATE / "certificates/server.pem", secret.encode() * 50)
            durable.write(PAGE / "users.json", secret.encode())
            (DATA / "log/errors.log").write_text(secret * 500)
            ledger, _ = open_ledger(STATE / "ledger.sqlite")
            with contextlib.closing(ledger):
                ledger.execute("REPLACE INTO fact VALUES (?, ?)", ("secret", secret))
                ledger.commit()
            durable.write(STATE / seen.CONFIGURATION, text(self._number))
            os.sync()

    def _save(self) -> None:
        """As the page's settings do."""
        number = self._next()
        with self._deed("save"):
            self._edited(
                lambda: self._editor.set(
                    ("admin", "192.0.2.1"),
                    {"gateway.name": f"saved-{number}", "modbus.tcp.keep_alive_s": 5 + number % 90},
                )
            )

    def _import(self) -> None:
        """A whole other file."""
        number = self._next()
        with self._deed("import"):
            self._edited(lambda: self._editor.replace(("admin", "192.0.2.1"), text(number)))

    def _edited(self, edit: Callable[[], Any]) -> None:
        import trio

        from gatewayd.config import parse
        from gatewayd.config_tables import Config
        from gatewayd.state_directory import keep_good

        faults = trio.run(edit)
        if faults:  # not asserted: programs of the appliance run without
            raise AssertionError(faults)
        read = parse(self._paths.config.read_bytes(), self._paths.config.name)
        assert isinstance(read, Config)
        keep_good(self._paths, read)

    def _restore(self) -> None:
        """As stewardd does it, of a backup of this gateway in which everything is different now."""
        from gatewayd.backup import contents
        from hal import backup

        number = self._next()
        archive = io.BytesIO()
        backup.back_up(STATE, archive)
        state = {
            name: contents.File(
                text(number) if name == seen.CONFIGURATION else file.content + f"{seen.CANARY} {number}\n".encode()
            )
            for name, file in contents.unpacked(archive.getvalue()).items()
            if name != seen.LAST_GOOD
        }
        with self._deed("restore"):
            backup.restore(STATE, io.BytesIO(contents.packed(state)), contextlib.nullcontext)

    def _reset(self) -> None:
        from hal import factory_reset

        if self._build == "deletes only":
            with self._deed("reset"):
                for directory in DATA.iterdir():
                    shutil.rmtree(directory)
                self._disk.unmount()
            return
        self._disk.unmount()
        with self._deed("reset"):
            for _ in factory_reset.make_anew(self._disk.data):
                pass


@contextlib.contextmanager
def broken(build: str) -> Iterator[None]:
    """Our code as a build that has forgotten something; `ours` is as it is."""
    from gatewayd import durable

    fsync, write = os.fsync, durable.write

    def in_place(path: Path, content: bytes, mode: int = 0o600) -> None:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, mode), "wb") as file:
            file.write(content)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())

    try:
        if build == "no fsync":
            os.fsync = lambda fd: None
        elif build == "in place":
            durable.write = in_place
        yield
    finally:
        os.fsync, durable.write = fsync, write


def main() -> None:
    command_line = Path("/proc/cmdline").read_text().split()
    asked = dict(word.partition("=")[::2] for word in command_line if word.startswith("life"))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/tmp"], check=True)
    disk = Disk()
    for part in asked["life.plan"].replace("_", " ").split(","):
        build, deeds = part.split(":")
        began = time.monotonic()
        disk.make_anew()
        with broken(build):
            Life(disk, build, random.Random(f"{asked['life']} {build}")).live(int(deeds))
        told(f"{build}: {deeds} deeds in {time.monotonic() - began:.0f} s")
    told("done")


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        traceback.print_exc()
        told("failed")
    finally:
        os.sync()
        ctypes.CDLL(None).reboot(POWER_OFF)
