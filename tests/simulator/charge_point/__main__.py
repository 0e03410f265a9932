"""The simulated charge point as a command, for a gateway on the bench or in a plant room."""

from __future__ import annotations

import argparse
import json
import ssl
import sys
from dataclasses import dataclass
from functools import partial

import trio

from ..clock import Clock
from ..ocpp_link import CallFailed, NoAnswer
from .charge_point import ChargePoint
from .outbox import Offline
from .session import read_url
from .traits import Traits
from .vehicle import Vehicle

COMMANDS = """type, and press enter:
  plug 1 | unplug 1            the cable of connector 1
  tag ABC123 1                 hold a card to the reader of connector 1
  fault 1 GroundFailure | repair 1 | emergency 1
  cut | away | back            drop the link, stay offline, come back
  power 30                     no electricity for 30 seconds
  call Heartbeat {}            send any OCPP message
  show                         what every connector does now
  quit"""


@dataclass(frozen=True)
class Moment:
    """`3`, or `2:3` for connector 2: something happens there after that many seconds."""

    connector: int
    after_s: float

    @classmethod
    def read(cls, text: str) -> Moment:
        connector, _, seconds = text.rpartition(":")
        return cls(int(connector or 1), float(seconds))


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator.charge_point",
        description="A simulated OCPP 1.6J charge point. It connects, boots and charges simulated cars, obeys limits "
        "and remote commands, and prints what happens. While it runs you can type commands; 'help' lists them.",
        epilog="Example: --url ws://192.168.1.20:8887/ocpp/CP001 --plug-in-after 3 --tag CARD1",
    )
    parser.add_argument("--url", required=True, help="address of the gateway or central system, ending in the identity")
    parser.add_argument("--password", help="password for HTTP Basic (OCPP security profile 1 or 2)")
    parser.add_argument("--connectors", type=int, default=2, help="how many connectors (default: 2)")
    parser.add_argument(
        "--plug-in-after",
        type=Moment.read,
        action="append",
        default=[],
        metavar="[N:]SECONDS",
        help="plug a car into connector N (default 1) after so many seconds; may be repeated",
    )
    parser.add_argument(
        "--unplug-after",
        type=Moment.read,
        action="append",
        default=[],
        metavar="[N:]SECONDS",
        help="pull that cable after so many seconds; may be repeated",
    )
    parser.add_argument("--tag", help="card shown two seconds after plugging in (default: wait for a remote start)")
    parser.add_argument("--soc", type=float, default=30.0, help="battery of the car at the start, in %% (default: 30)")
    parser.add_argument("--capacity", type=float, default=60.0, help="battery of the car, in kWh (default: 60)")
    parser.add_argument("--car-current", type=float, default=16.0, help="what the car takes, in A (default: 16)")
    parser.add_argument("--phases", type=int, choices=(1, 3), default=3, help="phases (default: 3)")
    parser.add_argument(
        "--max-current", type=float, default=32.0, help="what the charge point can give, A (default: 32)"
    )
    parser.add_argument("--meter-interval", type=int, default=10, help="seconds between MeterValues (default: 10)")
    parser.add_argument("--vendor", default="Plant Room Works", help="vendor in BootNotification")
    parser.add_argument("--model", default="Simulated 22", help="model in BootNotification")
    parser.add_argument("--serial", default="SIM-000001", help="serial number in BootNotification")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an OCPP configuration key")
    parser.add_argument("--seed", type=int, default=0, help="seed of all chance (default: 0)")
    parser.add_argument("--ca", help="file with the certificate that signed the gateway's (for wss)")
    parser.add_argument("--certificate", help="file with the charge point's own certificate and key (profile 3)")
    parser.add_argument("--insecure", action="store_true", help="wss: do not check the gateway's certificate")
    parser.add_argument("--frames", action="store_true", help="print every OCPP frame as well")
    return parser


def tls_context(options: argparse.Namespace) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.ca)
    if options.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if options.certificate:
        context.load_cert_chain(options.certificate)
    return context


def show(charge_point: ChargePoint) -> str:
    lines = []
    for place in charge_point.connectors:
        meter_wh = charge_point.meter_wh(place.number)
        soc = f", battery {place.vehicle.soc_percent:.0f} %" if place.vehicle else ""
        limit_a = charge_point.effective_limit_a(place.number)
        lines.append(
            f"connector {place.number}: {place.status()}, {charge_point.power_w(place.number) / 1000:.1f} kW, "
            f"limit {limit_a:.1f} A, meter {meter_wh / 1000:.2f} kWh{soc}"
        )
    return "\n".join(lines)


async def obey(charge_point: ChargePoint, line: str, say: partial[None]) -> bool:
    """Do one typed command; False ends the program. ValueError or IndexError when it makes no sense."""
    match line.split(maxsplit=2):
        case []:
            pass
        case ["plug", number]:
            charge_point.plug(int(number))
        case ["unplug", number]:
            charge_point.unplug(int(number))
        case ["tag", tag, number]:
            charge_point.present_tag_soon(tag, int(number))
        case ["fault", number, code]:
            charge_point.fault(int(number), code)
        case ["repair", number]:
            charge_point.repair(int(number))
        case ["emergency", number]:
            charge_point.emergency_stop(int(number))
        case ["cut"]:
            await charge_point.cut()
        case ["away"]:
            charge_point.stay_away()
        case ["back"]:
            charge_point.come_back()
        case ["power", seconds]:
            charge_point.power_cut(float(seconds))
        case ["call", action, *rest]:
            try:
                say(f"{action} -> {await charge_point.ask(action, json.loads(rest[0] if rest else '{}'))}")
            except (Offline, NoAnswer, CallFailed) as error:
                say(f"{action} failed: {error!r}")
        case ["show"]:
            say(show(charge_point))
        case ["quit"]:
            return False
        case _:
            say(COMMANDS)
    return True


async def run(options: argparse.Namespace) -> None:
    clock = Clock.real()

    def say(text: str) -> None:
        print(f"{clock.stamp()[11:19]}  {text}", flush=True)

    identity, host, path, open_stream = read_url(
        options.url, tls_context(options) if options.url.startswith("wss:") else None
    )
    settings = dict(text.split("=", 1) for text in options.set)
    charge_point = ChargePoint(
        identity,
        open_stream,
        connectors=options.connectors,
        seed=options.seed,
        password=options.password,
        host=host,
        path=path,
        clock=clock,
        traits=Traits(
            vendor=options.vendor,
            model=options.model,
            serial=options.serial,
            max_current_a=options.max_current,
            phases=options.phases,
            step_s=1.0,
        ),
        configuration={"MeterValueSampleInterval": str(options.meter_interval), **settings},
        say=say,
        trace=(lambda way, text: say(f"{way:8} {text}")) if options.frames else lambda way, text: None,
    )

    async def plug_in(moment: Moment) -> None:
        await trio.sleep(moment.after_s)
        car = Vehicle(options.capacity * 1000, options.soc, options.phases, options.car_current)
        charge_point.plug(moment.connector, car)
        if options.tag:
            await trio.sleep(2)
            await charge_point.present_tag(options.tag, moment.connector)

    async def unplug(moment: Moment) -> None:
        await trio.sleep(moment.after_s)
        charge_point.unplug(moment.connector)

    async with trio.open_nursery() as nursery:
        say(f"charge point {identity}, {options.connectors} connectors, dialling {options.url}; Ctrl-C ends")
        await nursery.start(charge_point.run)
        for moment in options.plug_in_after:
            nursery.start_soon(plug_in, moment)
        for moment in options.unplug_after:
            nursery.start_soon(unplug, moment)
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            try:
                if not await obey(charge_point, line, partial(say)):
                    nursery.cancel_scope.cancel()
                    break
            except (ValueError, IndexError) as error:
                say(f"no: {error}")


def main() -> None:
    parser = arguments()
    options = parser.parse_args()
    try:
        read_url(options.url)
    except ValueError as error:
        parser.error(str(error))
    for moment in [*options.plug_in_after, *options.unplug_after]:
        if not 1 <= moment.connector <= options.connectors:
            parser.error(f"there is no connector {moment.connector}")
    try:
        trio.run(run, options)
    except* KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
