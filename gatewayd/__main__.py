"""`gatewayd --config FILE --state DIR [--run DIR] [--board sim:DIR | gpio:CHIP] [--check]
[--last-good]` (interface.md, Commands)."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import trio

from gatewayd import app, certificates, config
from gatewayd.served import PortTaken
from gatewayd.services.front_panel import BoardMissing
from gatewayd.services.ledger.database import NewerLedger
from gatewayd.state_directory import Paths, last_good

STOPPED, BUG, REFUSED, PORT_TAKEN = 0, 1, 2, 3
"""Exit codes (interface.md)."""


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon; returns its exit code."""
    parser = argparse.ArgumentParser(prog="gatewayd", description="OCPP Modbus Gateway")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration, TOML")
    parser.add_argument("--state", type=Path, metavar="DIR", help="where it keeps what must survive; made if missing")
    parser.add_argument(
        "--run", type=Path, metavar="DIR", help="where its sockets lie; else $RUNTIME_DIRECTORY, --state"
    )
    parser.add_argument("--board", metavar="sim:DIR|gpio:CHIP", help="drive a simulated board or a GPIO chip itself")
    parser.add_argument("--check", action="store_true", help="only check the configuration: 0 good, 2 bad")
    parser.add_argument(
        "--last-good", action="store_true", help="where the file is refused, start with the one that was good last"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    parsed, good = _read(options.config), True
    if parsed is None and options.last_good and options.state is not None and not options.check:
        good, parsed = False, _read(last_good(options.state))
    if parsed is None:
        return REFUSED
    if options.check:
        # No reason to refuse: they may be there where it will run, and the daemon starts without them, degraded.
        for key, why in certificates.faults(parsed):
            print(f"{options.config}: {key}: {why}", file=sys.stderr)
        return STOPPED
    if options.state is None:
        parser.error("--state is required")
    run = options.run or _runtime_directory(os.environ)
    return _serve(parsed, Paths(options.config, options.state, run), options.board, good=good)


def _read(file: Path) -> config.Config | None:
    """The configuration in it; None after all that is wrong was said."""
    try:
        return config.parse(file.read_bytes(), str(file))
    except OSError as error:
        print(f"{file}: {error.strerror}", file=sys.stderr)
        return None
    except config.ConfigError as error:
        print(error, file=sys.stderr)
        return None


def _runtime_directory(environment: Mapping[str, str]) -> Path | None:
    """The first that systemd made for us, if it runs us (systemd.exec, RuntimeDirectory)."""
    first = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(first) if first else None


def _serve(parsed: config.Config, paths: Paths, board: str | None, *, good: bool) -> int:
    try:
        paths.state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"{paths.state}: {error.strerror}", file=sys.stderr)
        return REFUSED
    say = partial(print, flush=True)
    code = STOPPED
    try:
        trio.run(partial(app.run, parsed, paths, board, say, good=good))
    except* PortTaken as group:
        code = _refused(group, PORT_TAKEN)
    except* (NewerLedger, BoardMissing) as group:
        code = _refused(group, REFUSED)
    return code


def _refused(group: BaseExceptionGroup[BaseException], code: int) -> int:
    """Say in a line why, whatever nurseries it came through."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            _refused(error, code)
        else:
            print(error, file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
