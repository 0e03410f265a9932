"""The simulated BMS as a command: read, write and watch points, or play the demonstration."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import trio

from .bms import Bms
from .client import BadAnswer, ConnectionLost, ModbusClient, ModbusError
from .demo import Demo
from .points import POINTS, Point
from .values import WORD_ORDERS, Coding, Value

POINTS_HELP = """
A point is written as
  NAME            of the gateway              total_power_w
  NAME@N          of charge point N           link_state@1
  NAME@N.K        of its connector K          power_active_import_w@1.2
  ADDRESS         a register, 0-based         3020
  ADDRESS:TYPE    u16 i16 u32 i32 f32 bit strN   3366:i32
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A point that was named on the command line. ValueError when there is none."""

    text: str
    point: Point
    address: int

    @classmethod
    def read(cls, text: str) -> Place:
        if text[:1].isdigit():
            address, _, kind = text.partition(":")
            point = Point("", int(address), address, kind or "u16")
            if not 0 <= point.offset <= 65535 or (point.kind not in KINDS and not point.kind.startswith("str")):
                raise ValueError(f"no such register or type: {text}")
            return cls(text, point, point.offset)
        name, _, place = text.partition("@")
        charge_point, _, connector = place.partition(".")
        try:
            return cls(text, *POINTS.find(name, int(charge_point or 0), int(connector or 0)))
        except KeyError as error:
            raise ValueError(error.args[0]) from None


KINDS = ("bit", "bits16", "u16", "i16", "u32", "i32", "f32")


def place(text: str) -> Place:
    try:
        return Place.read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator.bms",
        description="A simulated building management system: a Modbus TCP client that knows the gateway's points.",
        epilog=POINTS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address of the gateway (default: %(default)s)")
    parser.add_argument("--port", type=int, default=502, help="Modbus TCP port (default: 502)")
    parser.add_argument("--unit", type=int, default=1, help="unit id (default: 1)")
    parser.add_argument("--word-order", choices=WORD_ORDERS, default="big", help="of 32-bit values (default: big)")
    parser.add_argument("--signed", choices=("twos_complement", "ones_complement"), default="twos_complement")
    parser.add_argument("--string-order", choices=("big", "little"), default="big")
    commands = parser.add_subparsers(dest="command", required=True)
    reading = commands.add_parser("read", help="print points once")
    reading.add_argument("points", nargs="+", type=place, metavar="POINT")
    writing = commands.add_parser("write", help="write one point")
    writing.add_argument("point", type=place, metavar="POINT")
    writing.add_argument("value", help="a number, a text, or - for not available")
    watching = commands.add_parser("watch", help="print points whenever they change")
    watching.add_argument("points", nargs="+", type=place, metavar="POINT")
    watching.add_argument("--every", type=float, default=1.0, help="seconds between two looks (default: 1)")
    commands.add_parser("demo", help="accept everybody, start waiting cars, move limits up and down")
    return parser


async def look(bms: Bms, wanted: Place) -> Value:
    return bms.coding.decode(wanted.point.kind, await bms.client.read_registers(wanted.address, wanted.point.registers))


async def write(bms: Bms, wanted: Place, text: str) -> None:
    kind = wanted.point.kind
    value: Value = text
    if text == "-":
        value = None
    elif not kind.startswith("str"):
        value = float(text) if kind == "f32" else int(text, 0)
    if kind == "bit":
        await bms.client.write_coil(wanted.address, bool(value))
        return
    registers = bms.coding.encode(kind, value)
    if len(registers) == 1:
        await bms.client.write_register(wanted.address, registers[0])
    else:
        await bms.client.write_registers(wanted.address, registers)


def show(wanted: Place, value: Value) -> str:
    where = f" (register {wanted.address})" if wanted.text != str(wanted.address) else ""
    return f"{wanted.text}{where} = {'not available' if value is None else value}"


async def run(options: argparse.Namespace) -> None:
    client = await ModbusClient.connect(options.host, options.port, options.unit)
    bms = Bms(client, Coding(options.word_order, options.signed, options.string_order))

    def say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)

    match options.command:
        case "read":
            for wanted in options.points:
                print(show(wanted, await look(bms, wanted)))
        case "write":
            await write(bms, options.point, options.value)
            print(show(options.point, await look(bms, options.point)))
        case "watch":
            last: dict[Place, Value] = {}
            while True:
                for wanted in options.points:
                    value = await look(bms, wanted)
                    if wanted not in last or last[wanted] != value:
                        last[wanted] = value
                        say(show(wanted, value))
                await trio.sleep(options.every)
        case "demo":
            say(f"a BMS is at work on {options.host}:{options.port}; Ctrl-C ends")
            await Demo(bms, say).run()


def main() -> None:
    """Exit code 1 and one plain line when the gateway cannot be had or refuses."""
    options = arguments().parse_args()
    try:
        trio.run(run, options)
    except KeyboardInterrupt:
        pass
    except ModbusError as error:
        sys.exit(f"the gateway refuses: {error}")
    except (OSError, ConnectionLost, BadAnswer, trio.TooSlowError) as error:
        sys.exit(f"no answer from {options.host}:{options.port}: {error or type(error).__name__}")
    except (ValueError, OverflowError) as error:
        sys.exit(f"that value does not fit: {error}")


if __name__ == "__main__":
    main()
