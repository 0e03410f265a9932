"""The deeds behind the wishes: fixed commands with fixed arguments, and a few files. Runs as root; decides nothing.

Every command is one of chronyc, systemctl and rauc, found on a fixed path; nothing that a caller says becomes a word of
a command except a time that was parsed and printed again.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from hal import backup, facts_file
from hal.network_files import Trial, parse_trial, trial_text
from hal.network_settings import NetworkSettings, parse
from hal.wishes import Refused

TRIAL_S: Final = 60.0
"""Settings that nobody confirms are taken back after this: a person who reached the page again had time to click."""

COMMAND_S: Final = 30.0
"""A command that takes longer hangs; systemctl and chronyc answer within one."""

INSTALL_S: Final = 1800.0
"""A bundle on the slowest card takes a few minutes."""

MAX_BUNDLE_BYTES: Final = 256 * 1024 * 1024
"""Four times the root's size."""

NOT_SYNCHRONISED: Final = "Not synchronised"
"""chronyc's word in its last column, as chrony 4 prints it."""


class CommandFailed(Exception):
    """A command ended badly or not at all; the text is its own last words."""


class Appliance:
    """What can be done to this machine. `path` is where commands are looked for; tests put their own there."""

    def __init__(
        self,
        data: Path,
        run: Path,
        path: str = "/usr/sbin:/usr/bin:/sbin:/bin",
        state: Path | None = None,
        configuration: Path | None = None,
    ) -> None:
        """`state`, `configuration`: where they are on a machine that is no appliance."""
        self.state = data / "gateway" if state is None else state
        self.configuration = self.state / "gateway.toml" if configuration is None else configuration
        self.trial = run / "network.json"
        self._bundle = data / "update.raucb"
        self._environment: Mapping[str, str] = {"PATH": path, "LC_ALL": "C", "TZ": "UTC"}

    def set_clock(self, epoch_s: float) -> None:
        """Tells chrony, which owns the clock, the time. Raises Refused while a time server has been heard."""
        if not self._run("chronyc", "-n", "-c", "tracking").strip().endswith(NOT_SYNCHRONISED):
            raise Refused("a time server is heard, and it wins")
        for words in (["manual", "on"], ["manual", "reset"], ["settime", clock_words(epoch_s)], ["makestep"]):
            self._run("chronyc", "-n", *words)

    def reboot(self) -> None:
        """An orderly restart, begun before this returns."""
        self._run("systemctl", "--no-block", "reboot")

    def factory_reset(self) -> None:
        """Stops everything that uses the data partition, erases it, and restarts; begun before this returns."""
        self._run("systemctl", "--no-block", "start", "factory-reset-now.service")

    def apply_network(self, network: NetworkSettings, now: float) -> None:
        """Puts settings on trial until `now` (seconds since the machine started) + TRIAL_S."""
        facts_file.publish(self.trial, trial_text(Trial(now + TRIAL_S, network)))

    def confirm_network(self, now: float) -> None:
        """Ends the trial for good, once the configuration says the same. Raises Refused otherwise."""
        text = facts_file.read(self.trial)
        trial = parse_trial(text) if text is not None else None
        if trial is None or now >= trial.until:
            raise Refused("no settings are on trial")
        with open(self.configuration, "rb") as file:
            saved = parse(tomllib.load(file).get("network", {}))
        if saved != trial.settings:
            raise Refused("the configuration does not say so yet: save it first")
        facts_file.remove(self.trial)

    def revert_network(self) -> None:
        """Ends the trial; the configuration holds again within a second."""
        facts_file.remove(self.trial)

    def install_update(self, bundle: BinaryIO) -> None:
        """Copies the bundle to where only root writes, and has rauc check and install it."""
        try:
            with open(self._bundle, "wb", opener=_private) as copy:
                _copy(bundle, copy, MAX_BUNDLE_BYTES)
            self._run("rauc", "install", str(self._bundle), timeout=INSTALL_S)
        finally:
            self._bundle.unlink(missing_ok=True)

    def back_up(self, to: BinaryIO) -> int:
        """Writes the state into the caller's file; returns the number of files."""
        return backup.back_up(self.state, to, self.configuration)

    def restore(self, archive: BinaryIO) -> int:
        """Puts a backup in place of the state, with the gateway stopped for a moment; returns the number of files."""
        return backup.restore(self.state, archive, self._gateway_stopped, self.configuration)

    def heal(self) -> str:
        """What a cut left; called at every start."""
        self._bundle.unlink(missing_ok=True)
        return backup.heal(self.state)

    @contextlib.contextmanager
    def _gateway_stopped(self) -> Iterator[None]:
        self._run("systemctl", "stop", "gatewayd.service")
        try:
            yield
        finally:
            self._run("systemctl", "--no-block", "start", "gatewayd.service")

    def _run(self, *command: str, timeout: float = COMMAND_S) -> str:
        return run(command, self._environment, timeout)


def run(command: Sequence[str], environment: Mapping[str, str], timeout: float) -> str:
    """The output of a command. Raises CommandFailed."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as why:
        raise CommandFailed(f"{command[0]}: {why}") from why
    if done.returncode != 0:
        last = done.stdout.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
        raise CommandFailed(f"{' '.join(command)}: {last[0][:200]}")
    return done.stdout


def clock_words(epoch_s: float) -> str:
    """The time as chronyc reads it, with TZ=UTC."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _copy(source: BinaryIO, target: BinaryIO, limit: int) -> None:
    copied = 0
    while chunk := source.read(1024 * 1024):
        copied += len(chunk)
        if copied > limit:
            raise Refused(f"larger than {limit} bytes")
        target.write(chunk)
