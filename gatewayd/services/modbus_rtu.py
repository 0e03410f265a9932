"""Modbus RTU on a serial port: pyserial sets it up, trio waits for it, no threads (modbus.md, RTU).

A port that is missing or vanishes is tried again with bounded back-off and told to `on_port`; whatever is heard on
the line is the framer's to judge and can close nothing.
"""

from __future__ import annotations

import logging
import os
import termios
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import serial
import trio
from serial.rs485 import RS485Settings

from gatewayd.config_tables import ModbusRtu
from gatewayd.modbus.adu import BROADCAST, Heard, RtuFrame, RtuFramer, character_time_s, rtu_frame, silence_time_s
from gatewayd.modbus.server import Server
from gatewayd.points.bank import Units

log = logging.getLogger(__name__)

PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}
RETRY_FIRST_S, RETRY_MOST_S = 0.5, 10.0
"""Pause before a port that is missing or was lost is opened, at first and at last: a USB adapter is back in service
within 10 s, and one that comes and goes fills no log. A port that held so long begins with the first pause again."""
LATENCY_S = 0.005
"""How long the kernel and a busy loop may sit on bytes; silence is not believed sooner."""
READ_BYTES = 512
"""Two of the longest frames."""
CLIENT = "rtu"
"""The serial line as the owner of a mailbox: one line is one client."""

COUNTED = {
    Heard.REQUEST: "rtu_frames",
    Heard.FOREIGN: "rtu_foreign_frames",
    Heard.COLLISION: "rtu_collisions",
    Heard.BAD_CRC: "rtu_crc_errors",
}
"""Which counter of the gateway block counts what was heard."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of one line setting, in seconds."""

    character_s: float
    silence_s: float
    delay_s: float
    """From the last byte of a request to the first of its answer."""

    @classmethod
    def of(cls, config: ModbusRtu) -> Timing:
        bits = 1 + 8 + (config.parity != "none") + config.stop_bits
        silence_s = silence_time_s(config.baudrate, bits)
        delay_s = silence_s if config.response_delay_ms < 0 else config.response_delay_ms / 1000
        return cls(character_time_s(config.baudrate, bits), silence_s, delay_s)


def open_port(config: ModbusRtu) -> serial.Serial:
    """The port as configured, non-blocking. Raises OSError (pyserial's SerialException is one), termios.error."""
    port = serial.Serial(
        config.device,
        config.baudrate,
        parity=PARITIES[config.parity],
        stopbits=config.stop_bits,
        timeout=0,
        write_timeout=0,
        exclusive=True,
    )
    if config.direction == "rts":
        try:
            port.rs485_mode = RS485Settings()
        except (OSError, ValueError) as error:
            log.warning("%s: the port cannot switch direction by RTS: %s", config.device, error)
    with suppress(OSError, ValueError, NotImplementedError):  # a pty or an adapter that knows no such thing
        port.set_low_latency_mode(True)
    return port


async def serve(
    config: ModbusRtu,
    server: Server,
    units: Units,
    *,
    count: Callable[[str], None],
    on_port: Callable[[bool], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled. `count(name)` for each frame heard; `on_port(there)` when the port comes or goes."""
    pause_s, there, started = RETRY_FIRST_S, True, False
    while True:
        opened_at = trio.current_time()
        port = None
        try:
            port = open_port(config)
            log.info("%s: Modbus RTU at %d baud", config.device, config.baudrate)
        except (OSError, termios.error) as error:
            if there:
                log.error("%s: %s; looking for it", config.device, error)
        there = port is not None
        on_port(there)
        if not started:
            task_status.started()
            started = True
        if port is not None:
            try:
                await Line(port.fileno(), Timing.of(config), server, units, count).listen()
            except OSError as error:
                log.error("%s: lost: %s", config.device, error)
                on_port(False)
            finally:
                server.release(CLIENT)
                with suppress(OSError):
                    port.close()
            if trio.current_time() - opened_at >= RETRY_MOST_S:
                pause_s = RETRY_FIRST_S
        await trio.sleep(pause_s)
        pause_s = min(2 * pause_s, RETRY_MOST_S)


class Line:
    """One open port: hears, answers in time, and sends."""

    def __init__(
        self, descriptor: int, timing: Timing, server: Server, units: Units, count: Callable[[str], None]
    ) -> None:
        self._descriptor, self._timing, self._server, self._count = descriptor, timing, server, count
        self._framer = RtuFramer(units, silence_s=timing.silence_s, character_s=timing.character_s, latency_s=LATENCY_S)

    async def listen(self) -> None:
        """Until the port is gone. Raises OSError."""
        while True:
            with trio.move_on_at(self._framer.deadline) as waiting:
                await trio.lowlevel.wait_readable(self._descriptor)
            now = trio.current_time()
            if waiting.cancelled_caught:
                frames = self._framer.silent(now)
            else:
                data = os.read(self._descriptor, READ_BYTES)
                if not data:
                    raise OSError("end of file")
                frames = self._framer.feed(data, now)
            for frame in frames:
                await self._heard(frame, now)

    async def _heard(self, frame: RtuFrame, now: float) -> None:
        self._count(COUNTED[frame.heard])
        if frame.heard is not Heard.REQUEST:
            return
        # Written values act at once; only the answer waits for the silence that the guide wants before it.
        answer = self._server.answer_rtu(frame.unit, frame.pdu, CLIENT, now)
        if answer is None or frame.unit == BROADCAST:
            self._framer.transmitted(b"", now)
            return
        await trio.sleep_until(now + self._timing.delay_s)
        data = rtu_frame(frame.unit, answer)
        self._framer.transmitted(data, trio.current_time())
        await self._send(data)

    async def _send(self, data: bytes) -> None:
        while data:
            try:
                sent = os.write(self._descriptor, data)
            except BlockingIOError:
                sent = 0
            data = data[sent:]
            if data:
                await trio.lowlevel.wait_writable(self._descriptor)
