"""What `make run` starts: the gateway on this machine, and around it a simulated board, charge points and a BMS.

Environment: CONFIG=file.toml another configuration, STATE=dir another state directory, PEERS=0 no simulated peers.
Exit code 0 when asked to stop, otherwise the gateway's (interface.md, Commands).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio

from .bms import BadAnswer, Bms, Coding, ConnectionLost, Demo, ModbusClient, ModbusError
from .charge_point import ChargePoint, Traits, tcp
from .clock import Clock
from .drivers import Drivers
from .live_view import LiveView
from .own_configuration import own_configuration
from .page import page
from .steward import Attendant, steward

DEFAULT_STATE = "state/gateway"
READY_TIMEOUT_S = 30.0
FAREWELL_S = 0.8  # the cars leave first, so that no session stays open in the gateway's books
STOP_TIMEOUT_S = 4.0  # and everything has to be over within 5 s
REDIAL_S = 2.0
SIMULATED_CHARGE_POINTS = 2  # of those in the configuration, the first
LAST_WORDS = 12  # lines of the log that are shown when the gateway dies
PROOF_REGISTERS = 6  # map_magic to charge_point_count: they stand still, so what mbpoll prints can be foretold
BMS_TROUBLE = (OSError, ModbusError, BadAnswer, ConnectionLost, trio.TooSlowError, ValueError)


def show(text: str) -> None:
    print(text, flush=True)


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are. All stand beside the state directory: a factory reset empties that."""

    state: Path
    configuration: Path

    @property
    def board(self) -> Path:
        return self.state.with_name(self.state.name + ".board")

    @property
    def log(self) -> Path:
        return self.state.with_name(self.state.name + ".log")

    @property
    def steward(self) -> Path:
        return self.state.with_name(self.state.name + ".steward")

    @property
    def steward_log(self) -> Path:
        return self.state.with_name(self.state.name + ".steward.log")

    @property
    def ports(self) -> Path:
        return self.state / "ports.json"


class Stopped(Exception):
    """Somebody pressed Ctrl-C, or sent SIGTERM."""


class GatewayDied(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def prepare(environment: dict[str, str]) -> Places:
    """Make the directories, and the configuration when none was named."""
    state = Path(environment.get("STATE") or DEFAULT_STATE)
    state.parent.mkdir(parents=True, exist_ok=True)
    named = environment.get("CONFIG")
    places = Places(state, Path(named) if named else state.with_name(state.name + ".toml"))
    if not named:
        kept = places.configuration.read_text() if places.configuration.exists() else ""
        places.configuration.write_text(own_configuration(kept, show))
    return places


async def main(environment: dict[str, str]) -> int:
    """Everything, until a signal or the gateway's end."""
    places = prepare(environment)
    peers = environment.get("PEERS", "1") != "0"
    view = LiveView(sys.stdout.isatty(), show)
    charge_points: list[ChargePoint] = []
    code = 0
    try:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_for_signals, signals, charge_points)
                attendant = Attendant(places.steward)
                await nursery.start(gateway, places, attendant)
                site = Site.read(places)
                await nursery.start(steward, attendant, places.configuration, places.state, places.steward_log)
                address = await nursery.start(page, places.configuration, places.state, attendant.socket)
                await tell_where(places, site, address)
                # One task per thing that lives beside the gateway.
                if sys.stdin.isatty() and sys.stdout.isatty():
                    nursery.start_soon(front_panel, places)
                nursery.start_soon(keep, partial(look, site, view), view.say, "the view")
                if peers:
                    nursery.start_soon(simulate, site, charge_points, view.say)
    except* Stopped:
        show("\nstopped")
    except* GatewayDied as group:
        code = tell_death(group.exceptions[0], places)
    return code


def tell_death(died: BaseException, places: Places) -> int:
    """The exit code to end with: never 0."""
    show(f"\nthe gateway ended by itself with exit code {died}; its last words ({places.log}):")
    for line in places.log.read_text(errors="replace").splitlines()[-LAST_WORDS:]:
        show(f"  {line}")
    return died.code if isinstance(died, GatewayDied) and died.code > 0 else 1


async def front_panel(places: Places) -> None:
    """The board's lights and keys in the terminal's last line; q leaves it, and the gateway goes on."""
    panel = [sys.executable, "-m", "hal.terminal_panel", str(places.board)]
    await trio.run_process(panel, stdin=None, check=False)


async def watch_for_signals(signals: Any, charge_points: list[ChargePoint]) -> None:
    async for _ in signals:
        with trio.move_on_after(FAREWELL_S):
            await farewell(charge_points)
        raise Stopped


async def farewell(charge_points: list[ChargePoint]) -> None:
    """The cars leave, and their transactions end."""
    for charge_point in charge_points:
        for place in charge_point.connectors:
            if place.vehicle:
                charge_point.unplug(place.number)
    for charge_point in charge_points:
        await charge_point.outbox.drained()


async def gateway(
    places: Places, attendant: Attendant, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run the daemon, again after a restore; started when it has said `ready`. GatewayDied when it ends by itself."""
    while True:
        await life(places, attendant, task_status)
        task_status = trio.TASK_STATUS_IGNORED
        await attendant.released()


async def life(places: Places, attendant: Attendant, task_status: trio.TaskStatus[None]) -> None:
    """One life of the daemon, until it was stopped to be started again."""
    beside = Path(sys.executable).with_name("gatewayd")
    program = [str(beside)] if beside.exists() else [sys.executable, "-m", "gatewayd"]
    options = ["--config", str(places.configuration), "--state", str(places.state), "--board", f"sim:{places.board}"]
    places.ports.unlink(missing_ok=True)
    with places.log.open("wb") as log:
        process = await trio.lowlevel.open_process(
            [*program, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us: we stop it, in order
        )
    assert process.stdout is not None
    attendant.began(process.pid)
    try:
        ready = False
        with trio.move_on_after(READY_TIMEOUT_S) as patience:
            async for data in process.stdout:
                if b"ready" in data:
                    ready, patience.deadline = True, float("inf")
                    task_status.started()
        if not ready and patience.cancelled_caught:
            show(f"the gateway is not ready after {READY_TIMEOUT_S:.0f} s")
        elif not ready or process.poll() is None:
            await process.wait()
        if ready and attendant.held:
            return
        raise GatewayDied(process.returncode if process.returncode is not None else 1)
    finally:
        await stop(process)


async def stop(process: trio.Process) -> None:
    """Ask it to end; after a while, do not ask any more."""
    with trio.CancelScope(shield=True):
        if process.poll() is None:
            process.terminate()
            with trio.move_on_after(STOP_TIMEOUT_S):
                await process.wait()
        if process.poll() is None:
            show("the gateway did not stop when asked, and was killed")
            process.kill()
            await process.wait()


@dataclass(frozen=True, slots=True)
class Site:
    """What is in the configuration and which ports were bound."""

    ports: dict[str, int | None]
    modbus_host: str
    ocpp_host: str
    metrics_host: str
    unit: int
    coding: Coding
    charge_points: list[dict[str, Any]]

    @classmethod
    def read(cls, places: Places) -> Site:
        configuration = tomllib.loads(places.configuration.read_text())
        modbus, ocpp = configuration.get("modbus", {}), configuration.get("ocpp", {})
        coding = Coding(
            modbus.get("word_order", "big"), modbus.get("signed", "twos_complement"), modbus.get("string_order", "big")
        )
        return cls(
            json.loads(places.ports.read_text()),
            reachable(modbus.get("tcp", {}).get("host", "0.0.0.0")),
            reachable(ocpp.get("host", "0.0.0.0")),
            reachable(configuration.get("metrics", {}).get("host", "127.0.0.1")),
            modbus.get("unit_id", 1),
            coding,
            sorted(configuration.get("charge_point", []), key=lambda entry: entry["number"]),
        )

    @property
    def connectors(self) -> list[tuple[int, int]]:
        """(charge point, connector) of the first bank's, as far as a table has room."""
        first_bank = [entry for entry in self.charge_points if entry["number"] <= 20]
        return [
            (entry["number"], connector)
            for entry in first_bank[: 2 * SIMULATED_CHARGE_POINTS]
            for connector in range(1, entry.get("connectors", 2) + 1)
        ]

    async def bms(self) -> Bms:
        """A new BMS connection. OSError when the gateway serves no Modbus TCP."""
        port = self.ports["modbus_tcp"]
        if port is None:
            raise OSError("the gateway serves no Modbus TCP")
        return Bms(await ModbusClient.connect(self.modbus_host, port, self.unit), self.coding)


def reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "") else "::1" if host == "::" else host


async def tell_where(places: Places, site: Site, page_address: str = "") -> None:
    ports = site.ports
    show("")
    show("The gateway is running. Ctrl-C stops everything.")
    show(f"  configuration  {places.configuration}")
    show(f"  state, log     {places.state}, {places.log}")
    if ports["modbus_tcp"] is not None:
        show(f"  Modbus TCP     {site.modbus_host}:{ports['modbus_tcp']}, unit {site.unit}")
    if ports["ocpp"] is not None:
        show(f"  OCPP           ws://{site.ocpp_host}:{ports['ocpp']}/ocpp/<identity>")
    if page_address:
        show(f"  web page       {page_address}    (the first visit sets the password)")
    if ports["metrics"] is not None:
        show(f"  metrics        http://{site.metrics_host}:{ports['metrics']}/metrics")
    show(f"  push button    echo 1 > {places.board}/button    (0 lets it go; LEDs: cat {places.board}/led_*)")
    show("                 held at the start for 10 s it is a factory reset")
    if ports["modbus_tcp"] is not None:
        await tell_mbpoll(site)
    show("")


async def tell_mbpoll(site: Site) -> None:
    """One line to type in another terminal, and the very lines that it will print."""
    bms = await site.bms()
    registers = await bms.client.read_registers(0, PROOF_REGISTERS)
    await bms.client.close()
    show("")
    show("Try in another terminal:")
    where = f"-p {site.ports['modbus_tcp']} {site.modbus_host}"
    show(f"  mbpoll -m tcp -a {site.unit} -0 -r 0 -c {PROOF_REGISTERS} -1 {where}")
    show("and it prints, among other things:")
    for address, value in enumerate(registers):
        show(f"  [{address}]: \t{value}")


async def look(site: Site, view: LiveView) -> None:
    bms = await site.bms()
    await view.run(bms, site.connectors)


async def simulate(site: Site, charge_points: list[ChargePoint], say: Callable[[str], None]) -> None:
    """The charge points (they are put into the list), their drivers, and the BMS."""
    async with trio.open_nursery() as nursery:
        port = site.ports["ocpp"]
        for entry in site.charge_points[:SIMULATED_CHARGE_POINTS] if port else []:
            assert port is not None
            identity = entry["identity"]
            charge_point = ChargePoint(
                identity,
                tcp(site.ocpp_host, port),
                connectors=entry.get("connectors", 2),
                seed=entry["number"],
                password=entry.get("password") or None,
                host=f"{site.ocpp_host}:{port}",
                clock=Clock.real(),
                traits=Traits(step_s=1.0, serial=f"SIM-{entry['number']:06}"),
                configuration={"MeterValueSampleInterval": "5"},
                say=partial(say_for, identity, say),
            )
            await nursery.start(charge_point.run)
            charge_points.append(charge_point)
            drivers = Drivers(charge_point, entry["number"], first_after_s=4.0 * entry["number"], say=say)
            nursery.start_soon(drivers.run)
        nursery.start_soon(keep, partial(work_as_bms, site, say), say, "the BMS")


def say_for(who: str, say: Callable[[str], None], text: str) -> None:
    say(f"{who}: {text}")


async def work_as_bms(site: Site, say: Callable[[str], None]) -> None:
    await Demo(await site.bms(), partial(say_for, "BMS", say)).run()


async def keep(work: Callable[[], Any], say: Callable[[str], None], name: str) -> None:
    """Do it again after a pause when the gateway does not answer; its own end is noticed elsewhere."""
    while True:
        try:
            await work()
        except BMS_TROUBLE as error:
            say(": ".join(filter(None, [f"{name} has lost the gateway", str(error)])))
        await trio.sleep(REDIAL_S)


if __name__ == "__main__":
    sys.exit(trio.run(main, dict(os.environ)))
