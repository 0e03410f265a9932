"""stewardd: the one place with privilege. Grants the wishes of `hal.wishes`, a line of JSON each way, and logs each.

Asked over a UNIX stream socket; the kernel says who asks (SO_PEERCRED). A wish that takes long is begun in a thread,
one at a time, and tells in `job.json` how it ends. Nothing else ever comes in: no network, no signals but SIGTERM.
Where systemd holds the socket it ends when nobody asks for a while, and is started by the next who does.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import logging
import math
import os
import pwd
import signal
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from hal import facts_file
from hal.appliance import Appliance, CommandFailed
from hal.backup import BadArchive
from hal.contract import STEWARD_SOCKET
from hal.systemd import Systemd, activated_socket
from hal.wishes import GATEWAYD, MAX_WISH_BYTES, ROOT, TABLE, WEBD, Answer, Rates, Refused, Wish, parse_wish

log = logging.getLogger("stewardd")

PATIENCE_S: Final = 1.0
"""A caller that has not sent its line by then is let go: callers are served one after the other."""

BACKLOG: Final = 8

REST_S: Final = 30.0
"""So long after the last caller it ends: wishes come once in months, and no memory is held for them until then."""

LONG: Final = frozenset({"install_update", "back_up", "restore"})

_PEER: Final = struct.Struct("3i")


def boot_s() -> float:
    """Seconds since the machine started: the clock that netd's trials run by."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Callers:
    """Who is behind a user number."""

    def __init__(self, extra: Mapping[int, str]) -> None:
        self._names = {0: ROOT, **extra}
        for name in (GATEWAYD, WEBD):
            with contextlib.suppress(KeyError):
                self._names[pwd.getpwnam(name).pw_uid] = name

    def name(self, uid: int) -> str:
        """The caller's name in the table, or one that is in no row."""
        return self._names.get(uid, f"user {uid}")


class Job:
    """The long wish that runs, at most one."""

    def __init__(self, published: Path) -> None:
        self._published = published
        if _cut_short(published):  # of a former life, which took its wish along
            published.unlink(missing_ok=True)
        self._running = threading.Lock()

    def begin(self, name: str, deed: Callable[[], str]) -> None:
        """Runs the deed behind. Raises Refused while another runs."""
        if not self._running.acquire(blocking=False):
            raise Refused("another wish is not finished yet")
        self._tell(name, "running", "")
        threading.Thread(target=self._run, args=(name, deed), name=name, daemon=True).start()

    @property
    def runs(self) -> bool:
        return self._running.locked()

    def _run(self, name: str, deed: Callable[[], str]) -> None:
        try:
            answer, said = granted(name, deed)
            self._tell(name, answer.value, said)
        finally:
            self._running.release()

    def _tell(self, name: str, state: str, said: str) -> None:
        try:
            facts_file.publish(self._published, json.dumps({"wish": name, "state": state, "text": said}))
        except OSError as why:
            log.warning("%s", why)


def _cut_short(published: Path) -> bool:
    """Whether the long wish of a former life did not come to its end; nor did one of which nothing can be read."""
    try:
        return "running" in json.loads(facts_file.read(published) or "{}").values()
    except (OSError, ValueError, AttributeError):
        return True


def granted(name: str, deed: Callable[[], str]) -> tuple[Answer, str]:
    """Does it, and says how it ended. A bug is none of these and propagates."""
    try:
        return Answer.DONE, deed()
    except (Refused, BadArchive) as why:
        return Answer.REFUSED, str(why)
    except (CommandFailed, OSError, ValueError) as why:
        log.error("%s: %s", name, why)
        return Answer.FAILED, str(why)


class Stewardd:
    """Grants wishes, one connection at a time."""

    def __init__(self, appliance: Appliance, callers: Callers, run: Path, grants: frozenset[str]) -> None:
        self._appliance, self._grants = appliance, grants
        self._callers = callers
        self._rates = Rates()
        self._job = Job(run / "job.json")

    def serve(self, connection: socket.socket) -> None:
        """One wish and its answer. Whatever the caller does, this returns within PATIENCE_S and the wish's own time."""
        connection.settimeout(PATIENCE_S)
        uid = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[1]
        caller = self._callers.name(uid)
        with contextlib.ExitStack() as files:
            try:
                line, file = _receive(connection, files)
                answer, said = self._answer(line, file, caller, files)
            except OSError as why:
                log.info("%s: %s", caller, why)
                return
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps({"answer": answer.value, "text": said}).encode() + b"\n")

    def may_end(self) -> bool:
        """Nothing would be lost: no long wish runs, and no wish is to be refused because the last was too short ago."""
        return not self._job.runs and self._rates.forgettable(time.monotonic())

    def _answer(
        self, line: bytes, file: BinaryIO | None, caller: str, files: contextlib.ExitStack
    ) -> tuple[Answer, str]:
        try:
            wish = parse_wish(line, caller, has_file=file is not None)
            if wish.name not in self._grants:
                raise Refused("only the appliance can do that")
            self._rates.take(wish.name, time.monotonic())
            deed = self._deed(wish, file)
            if wish.name in LONG:
                keep = files.pop_all()  # the job closes the file
                self._job.begin(wish.name, lambda: _closing(keep, deed))
                answer, said = Answer.STARTED, ""
            else:
                answer, said = granted(wish.name, deed)
            log.warning("%s wished %s: %s %s", caller, wish.name, answer.value, said)
        except Refused as why:
            answer, said = Answer.REFUSED, str(why)
            log.warning("%s: refused: %s", caller, said)
        return answer, said

    def _deed(self, wish: Wish, file: BinaryIO | None) -> Callable[[], str]:
        appliance = self._appliance
        deeds: dict[str, Callable[[], object]] = {
            "set_clock": lambda: appliance.set_clock(wish.epoch_s),
            "reboot": appliance.reboot,
            "factory_reset": appliance.factory_reset,
            "apply_network": lambda: appliance.apply_network(wish.network, boot_s()),
            "confirm_network": lambda: appliance.confirm_network(boot_s()),
            "revert_network": appliance.revert_network,
        }
        if file is not None:
            deeds["install_update"] = lambda: appliance.install_update(file)
            deeds["back_up"] = lambda: f"{appliance.back_up(file)} files"
            deeds["restore"] = lambda: f"{appliance.restore(file)} files"
        deed = deeds[wish.name]
        return lambda: str(deed() or "")


def _closing(files: contextlib.ExitStack, deed: Callable[[], str]) -> str:
    with files:
        return deed()


def _receive(connection: socket.socket, files: contextlib.ExitStack) -> tuple[bytes, BinaryIO | None]:
    """The line, and the file that came with it. Raises OSError for what is no line in time."""
    deadline = time.monotonic() + PATIENCE_S
    data, file = b"", None
    while b"\n" not in data:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        chunk, descriptors, flags, _ = socket.recv_fds(connection, MAX_WISH_BYTES, 1)
        for descriptor in descriptors:
            opened = files.enter_context(_opened(descriptor))
            if file is not None or flags & socket.MSG_CTRUNC or not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError("more than one file, or not a plain one")
            file = opened
        data += chunk
        if not chunk or len(data) > MAX_WISH_BYTES or time.monotonic() > deadline:
            raise OSError("no wish in one line in time")
    return data[: data.index(b"\n")], file


def _opened(descriptor: int) -> BinaryIO:
    """The passed descriptor as a file that can do what it was opened for; nothing is truncated."""
    match fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE:
        case os.O_RDONLY:
            return os.fdopen(descriptor, "rb")
        case os.O_WRONLY:
            return os.fdopen(descriptor, "wb")
        case _:
            return os.fdopen(descriptor, "r+b")


def wishes_socket(path: Path) -> socket.socket:
    """One of our own at `path`, where systemd gave none."""
    path.unlink(missing_ok=True)
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    own.bind(str(path))
    own.listen(BACKLOG)
    return own


def stop(signum: int, frame: object) -> None:
    """SIGTERM: out of whatever waits."""
    raise SystemExit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM, or until nobody asks (exit 0)."""
    parser = argparse.ArgumentParser(prog="stewardd", description=f"grants: {', '.join(TABLE)}")
    parser.add_argument("--data", type=Path, default=Path("/data"), help="where gateway/ with state and settings is")
    parser.add_argument("--run", type=Path, default=Path(STEWARD_SOCKET).parent, help="directory of socket and facts")
    parser.add_argument("--path", default="/usr/sbin:/usr/bin:/sbin:/bin", help="where commands are looked for")
    elsewhere = parser.add_argument_group("on development machines")
    parser.add_argument("--rest", type=float, default=REST_S, metavar="S", help="so long after the last caller it ends")
    elsewhere.add_argument("--caller", action="append", default=[], metavar="UID=NAME", help="who this user is")
    elsewhere.add_argument("--state", type=Path, metavar="DIR", help="gatewayd's state")
    elsewhere.add_argument("--config", type=Path, metavar="FILE", help="gatewayd's configuration")
    elsewhere.add_argument("--grant", action="append", metavar="WISH", choices=list(TABLE), help="this and no other")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, stop)
    systemd = Systemd()
    run = facts_file.made_directory(options.run)
    appliance = Appliance(options.data, run, options.path, options.state, options.config)
    healed = appliance.heal()
    if healed:
        log.warning("%s", healed)
    extra = {int(uid): name for uid, _, name in (caller.partition("=") for caller in options.caller)}
    stewardd = Stewardd(appliance, Callers(extra), run, frozenset(options.grant or TABLE))
    given = activated_socket(socket.SOCK_STREAM)
    with given or wishes_socket(run / Path(STEWARD_SOCKET).name) as listener:
        systemd.ready("listening")
        try:
            _serve(listener, stewardd, systemd, options.rest if given is not None else math.inf)
        except KeyboardInterrupt:
            return 0
        finally:
            systemd.stopping()
    return 0


def _serve(listener: socket.socket, stewardd: Stewardd, systemd: Systemd, rest_s: float) -> None:
    """Until nobody has asked for `rest_s` seconds. Who comes while it ends waits in the socket, and starts it again."""
    listener.settimeout(min(systemd.watchdog_every_s, rest_s, 3600.0))
    last = time.monotonic()
    while time.monotonic() < last + rest_s or not stewardd.may_end():
        systemd.alive()
        with contextlib.suppress(TimeoutError):
            connection, _ = listener.accept()
            with connection:
                stewardd.serve(connection)
            last = time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
