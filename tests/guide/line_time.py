"""What a poll costs on a serial line: the arithmetic of the guide (Modbus over Serial Line V1.02, 2.5.1)."""

from __future__ import annotations

from dataclasses import dataclass

from gatewayd.modbus.adu import character_time_s, silence_time_s

OWN_LATEST_S = 0.002
"""The gateway answers at most this much after t3.5 (modbus.md, RTU)."""
CLIENT_S = 0.010
"""What the guide assumes of a PLC between an answer and its next request, beyond t3.5."""


@dataclass(frozen=True)
class Line:
    baudrate: int
    frame: str
    """8N1 and so on."""

    @property
    def bits(self) -> int:
        """Of a character, with its start, parity and stop bits."""
        return 10 if self.frame == "8N1" else 11

    @property
    def character_ms(self) -> float:
        return 1000 * character_time_s(self.baudrate, self.bits)

    def wire_ms(self, characters: int) -> float:
        return characters * self.character_ms

    @property
    def pause_ms(self) -> float:
        """Of one request: t3.5 before the answer, the gateway's own time, t3.5 before the next request, the PLC's."""
        return 1000 * (2 * silence_time_s(self.baudrate, self.bits) + OWN_LATEST_S + CLIENT_S)


LINES = [Line(baudrate, frame) for baudrate in (9600, 19200) for frame in ("8N1", "8E1")]


def characters(function: int, registers: int) -> tuple[int, int]:
    """Of request and answer, CRC and all."""
    if function == 6:
        return 8, 8
    if function == 16:
        return 9 + 2 * registers, 8
    return 8, 5 + 2 * registers
