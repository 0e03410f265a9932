"""`webd --config FILE --state DIR --run DIR [--gateway-state DIR] [--appliance]` (docs/interfaces.md, The page)."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import socket
import sys
from pathlib import Path

import trio

from gatewayd import config as configuration
from gatewayd import durable
from gatewayd.config_tables import Web
from gatewayd.web.app import Webd, application
from gatewayd.web.papers import Papers
from gatewayd.web.server import PortTaken, Server, bind
from gatewayd.web.settings import Settings
from hal.contract import STEWARD_SOCKET
from hal.systemd import Systemd, activated_socket

STOPPED, BUG, REFUSED, PORT_TAKEN = 0, 1, 2, 3
"""Exit codes, as gatewayd's."""
HTTPS = 443
EVERY_ADDRESS = ("0.0.0.0", "::", "")

log = logging.getLogger("webd")


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="webd", description="The gateway's page")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration that it edits")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="its own files; made if missing")
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="where gatewayd's sockets are")
    parser.add_argument(
        "--gateway-state", type=Path, metavar="DIR", help="gatewayd's state, where there is no stewardd"
    )
    parser.add_argument(
        "--steward", type=Path, default=Path(STEWARD_SOCKET), metavar="SOCKET", help="where stewardd hears wishes"
    )
    parser.add_argument("--appliance", action="store_true", help="HTTPS on 443 at every address")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    settings = Settings(
        options.config, options.state, options.run, options.gateway_state, options.appliance, options.steward
    )
    try:
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        print(f"{settings.state}: {error.strerror}", file=sys.stderr)
        return REFUSED
    web = configured(settings)
    if web.port < 0 and not settings.appliance:
        print("[web] port = -1: the page is off", file=sys.stderr)
        return STOPPED
    code = STOPPED
    try:
        trio.run(serve, settings, web)
    except* PortTaken as group:
        print(group.exceptions[0], file=sys.stderr)
        code = PORT_TAKEN
    return code


def configured(settings: Settings) -> Web:
    """The [web] table. A file that gatewayd refuses is no reason to have no page: it is where one mends the file."""
    try:
        return configuration.parse(settings.config.read_bytes(), str(settings.config)).web
    except (OSError, configuration.ConfigError) as error:
        log.warning("%s", str(error).splitlines()[0])
        return Web()


def place(settings: Settings, web: Web) -> tuple[str, int]:
    """Where to listen. The appliance's defaults are other ones: every address, and the port of HTTPS."""
    default = Web()
    if not settings.appliance:
        return web.host, web.port
    every = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
    host = every if web.host == default.host else web.host
    return host, HTTPS if web.port == default.port else web.port


async def serve(settings: Settings, web: Web) -> None:
    """Binds, or takes what systemd bound; says where, says `ready`; then until a signal comes. Raises PortTaken."""
    host, port = place(settings, web)
    given = activated_socket(socket.SOCK_STREAM, families=(socket.AF_INET, socket.AF_INET6))
    own = bind(host, port) if given is None else given
    port = own.getsockname()[1]
    of = Webd(settings)
    papers: Papers | None = Papers(settings.certificate, settings.site_certificate) if settings.appliance else None
    server = Server(application(of)) if papers is None else Server(application(of), papers)
    async with trio.open_nursery() as nursery, of.running():
        await nursery.start(server.serve, own)
        announce(settings, host, port)
        print("ready", flush=True)
        systemd = Systemd()
        systemd.ready(f"port {port}")
        nursery.start_soon(live, systemd)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                break
        log.info("stopping")
        systemd.stopping()
        nursery.cancel_scope.cancel()


async def live(systemd: Systemd) -> None:
    """Tell systemd again and again that the loop turns; nothing where nobody watches."""
    while True:
        systemd.alive()
        await trio.sleep(systemd.watchdog_every_s)


def announce(settings: Settings, host: str, port: int) -> None:
    """Says in `web.json` where the page is."""
    dialled = "127.0.0.1" if host in EVERY_ADDRESS else host
    scheme = "https" if settings.appliance else "http"
    place = f"[{dialled}]" if ":" in dialled else dialled
    facts = {"url": f"{scheme}://{place}:{port}/", "host": host, "port": port}
    durable.write(settings.announced, json.dumps(facts).encode() + b"\n", 0o644)


if __name__ == "__main__":
    raise SystemExit(main())
