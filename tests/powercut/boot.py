"""The next start after a cut, on this machine: what the appliance's services do to the data partition, and what is then
found on it. As root; the partition is a file in memory behind a loop device, mounted where nobody else sees it.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from gatewayd import config
from hal import backup, factory_reset
from tests.powercut.deeds import DATA_BYTES, NOTHING, Content
from tests.powercut.guest import seen
from tests.powercut.states import State

PROJECT: Final = Path(__file__).parents[2]
MEMORY: Final = Path("/dev/shm")
"""A file system in memory."""
_BLKFLSBUF, _CLONE_NEWNS, _MS_REC_PRIVATE = 0x1261, 0x20000, 0x44000
_FLAGS: Final = {"nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024}
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Found:
    """On the partition, once the next start is through with it."""

    content: Content = NOTHING
    healed: str = ""
    """What `factory_reset heal` said."""
    canaries: int = 0
    """Secrets on the raw partition; counted only where none may be."""
    fault: str = ""
    """Why it could not be used."""


class Bench:
    """A partition that is put into one state after the other: a file that has no name any more, and its loop device."""

    def __init__(self, file: IO[bytes], device: Path, mounted: Path) -> None:
        self._content = mmap.mmap(file.fileno(), DATA_BYTES)
        self._image = Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        self._path, self._device, self._mounted = device, os.open(device, os.O_RDWR), mounted
        unit = (PROJECT / "rootfs/usr/lib/systemd/system/data.mount").read_text()
        options = re.findall(r"^Options=(.*)$", unit, re.MULTILINE)[0].split(",")
        self._flags = sum(_FLAGS.get(each, 0) for each in options)
        self._options = ",".join(each for each in options if each not in _FLAGS)

    def close(self) -> None:
        os.close(self._device)

    def start(self, state: State) -> Found:
        """What the start after this cut finds."""
        fcntl.ioctl(self._device, _BLKFLSBUF)  # what was read of the state before
        self._content[:] = state.safe
        _overwrite(self._content, state.survived)
        try:
            healed = factory_reset.heal(self._image)
        except OSError as why:
            return Found(fault=f"cannot be healed: {why.strerror}")
        canaries = self._canaries() if state.moment.erased else 0
        try:
            self._mount()
        except OSError as why:
            return Found(healed=healed, canaries=canaries, fault=f"does not mount: {why.strerror}")
        try:
            backup.heal(self._mounted / "gateway")
            content = Content(seen.configuration(self._mounted), seen.others(self._mounted))
            return Found(content, healed, canaries, self._unreadable())
        except OSError as why:
            return Found(healed=healed, canaries=canaries, fault=f"is damaged: {why.strerror}")
        finally:
            if _LIBC.umount2(os.fsencode(self._mounted), 0) != 0:
                raise OSError(ctypes.get_errno(), "umount")

    def _canaries(self) -> int:
        return len(re.findall(re.escape(seen.CANARY.encode()), self._content))

    def _unreadable(self) -> str:
        """What our loader has against the configuration, and against the one before."""
        for name in (seen.CONFIGURATION, seen.LAST_GOOD):
            path = self._mounted / "gateway" / name
            try:
                config.parse(path.read_bytes(), name)
            except FileNotFoundError:
                pass
            except (OSError, config.ConfigError):
                return f"{name} cannot be read"
        return ""

    def _mount(self) -> None:
        arguments = (os.fsencode(self._path), os.fsencode(self._mounted), b"ext4")
        if _LIBC.mount(*arguments, self._flags, self._options.encode()) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _overwrite(content: mmap.mmap, survived: Iterable[tuple[int, bytes]]) -> None:
    for offset, data in survived:
        content[offset : offset + len(data)] = data


@contextmanager
def bench(name: str) -> Iterator[Bench]:
    """One, with everything it takes; nothing of it outlives this process. From here on its mounts are its own."""
    if _LIBC.unshare(_CLONE_NEWNS) != 0 or _LIBC.mount(None, b"/", None, _MS_REC_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "no mounts of our own: this needs root")
    mounted = PROJECT / f"build/powercut/mounted-{name}"
    mounted.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=MEMORY) as image:
        image.truncate(DATA_BYTES)
        losetup = ["losetup", "--find", "--show", f"/proc/{os.getpid()}/fd/{image.fileno()}"]
        device = Path(subprocess.run(losetup, check=True, capture_output=True, text=True).stdout.strip())
        made = Bench(image, device, mounted)
        subprocess.run(["losetup", "--detach", device], check=True)  # as soon as the bench lets it go, or dies
        try:
            yield made
        finally:
            made.close()
    mounted.rmdir()
