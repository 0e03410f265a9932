"""The gateway's handshakes as an integrator would program them.

modbus.md: Command mailbox, Decision mailbox, Limits, Other handshakes.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from . import codes
from .access import PointAccess
from .client import ModbusClient
from .points import POINTS, PointMap
from .values import Coding

COMMAND_REGISTERS = 106
PROFILE_REGISTERS = 121
LIST_REGISTERS = 29
RESPONSE_REGISTERS = 15
REQUEST_REGISTERS = 28
DAY_S = 86_400
FINAL = ("done", "failed")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command, a profile or a list operation. `taken` is False when it was busy: try again.

    `r1` is None when there is none.
    """

    sequence: int
    state: str
    result: str
    error: str
    r1: int | None = None
    text: str = ""
    taken: bool = True

    @property
    def accepted(self) -> bool:
        return self.state == "done" and self.result == "Accepted"


@dataclass(frozen=True, slots=True)
class Request:
    """What a charge point asks or tells the BMS (decision mailbox)."""

    charge_point: int
    sequence: int
    type: str
    connector: int
    time_left_s: float
    timestamp: int
    meter_wh: int
    transaction_id: int
    reservation_id: int
    reason: str
    id_tag: str
    session_energy_wh: int
    transaction_start: int

    @property
    def informative(self) -> bool:
        """Needs no decision, only a confirmation."""
        return self.type == "StopTransaction"


class Bms(PointAccess):
    """One BMS on one connection: `PointAccess` and the handshakes."""

    def __init__(
        self, client: ModbusClient, coding: Coding | None = None, points: PointMap = POINTS, poll_s: float = 0.2
    ) -> None:
        super().__init__(client, coding, points, poll_s)
        self._beat = 0

    async def status(self, charge_point: int, connector: int = 0) -> str:
        return codes.name_of(codes.STATUSES, await self.read("status", charge_point, connector))

    async def heartbeat(self) -> None:
        """`bms_heartbeat` changes, so the watchdog is content."""
        self._beat = self._beat % 65535 + 1
        await self.write("bms_heartbeat", self._beat)

    async def set_limit(
        self, charge_point: int, connector: int, limit: float | None, unit: str = "A", phases: int = 0
    ) -> None:
        """`limit` with its unit and phases in one FC16; None takes the limit away."""
        _, address = self.points.find("limit", charge_point, connector)
        tenths = -1 if limit is None else round(limit * 10)
        unit_code = codes.code_of(codes.RATE_UNITS, unit)
        await self.client.write_registers(address, [*self.coding.encode("i32", tenths), unit_code, phases])

    async def limit_result(self, charge_point: int, connector: int = 0) -> str:
        return codes.name_of(codes.LIMIT_RESULTS, await self.read("limit_result", charge_point, connector))

    async def trigger_outcome(self, charge_point: int, connector: int = 0, timeout_s: float = 90.0) -> Outcome:
        """Wait for the end of the last trigger or setpoint of that block."""
        return await self._outcome("trigger", 0, charge_point, connector, timeout_s)

    # Command mailbox.

    async def command(
        self,
        charge_point: int,
        command: str | int,
        *,
        connector: int = 0,
        p1: int = 0,
        p2: int = 0,
        p3: int = 0,
        t1: int = 0,
        id_tag: str = "",
        parent_id_tag: str = "",
        key: str = "",
        value: str = "",
        sequence: int | None = None,
        by_register: bool = False,
        timeout_s: float = 90.0,
    ) -> Outcome:
        """Fill the mailbox, commit, wait for the end. `by_register`: one FC6 each, as poor masters do it."""
        encode = self.coding.encode
        content = [
            codes.code_of(codes.COMMANDS, command),
            connector,
            *encode("i32", p1),
            *encode("i32", p2),
            *encode("i32", p3),
            *encode("u32", t1),
            *encode("str10", id_tag),
            *encode("str10", parent_id_tag),
            *encode("str25", key),
            *encode("str50", value),
        ]
        number = sequence or _next(await self._raw("command_ack", charge_point))
        await self._commit("command_code", charge_point, [*content, number], COMMAND_REGISTERS, by_register)
        if await self._raw("command_ack", charge_point) != number:
            return Outcome(number, "failed", "none", "busy", taken=False)
        return await self._outcome("command", number, charge_point, 0, timeout_s)

    # Decision mailbox.

    async def waiting(self) -> list[int]:
        """Numbers of the charge points (1..20) that wait for a decision."""
        mask = await self.number("decision_mask")
        return [bit + 1 for bit in range(20) if mask >> bit & 1]

    async def request(self, charge_point: int) -> Request | None:
        """What stands in the mailbox now, informative ones included; one read, so it is of one piece."""
        _, address = self.points.find("request_sequence", charge_point)
        registers = await self.client.read_registers(address, REQUEST_REGISTERS)
        decode = self.coding.decode

        def long(offset: int, kind: str = "u32") -> int:
            return int(decode(kind, registers[offset : offset + 2]) or 0)

        if registers[0] == 0:
            return None
        return Request(
            charge_point,
            registers[0],
            codes.name_of(codes.REQUEST_TYPES, registers[1]),
            registers[2],
            registers[3] / 10,
            long(4),
            long(6),
            long(8, "i32"),
            long(10, "i32"),
            codes.name_of(codes.STOP_REASONS, registers[12]),
            str(decode("str10", registers[14:24])),
            long(24),
            long(26),
        )

    async def next_request(self, charge_point: int, timeout_s: float = 60.0, *, not_sequence: int = 0) -> Request:
        """Wait for one (other than that sequence). trio.TooSlowError."""
        with trio.fail_after(timeout_s):
            while True:
                found = await self.request(charge_point)
                if found and found.sequence != not_sequence:
                    return found
                await trio.sleep(self.poll_s)

    async def respond(
        self,
        request: Request,
        status: str | int = "Accepted",
        *,
        expiry: int = 0,
        parent_id_tag: str = "",
        remember: bool = False,
        text: str = "",
        sequence: int | None = None,
    ) -> str:
        """Answer a request with one FC16; what `response_state` says then."""
        if text:
            await self.write("response_text", text, request.charge_point)
        content = [
            codes.code_of(codes.RESPONSE_STATUSES, status),
            int(remember),
            *self.coding.encode("u32", expiry),
            *self.coding.encode("str10", parent_id_tag),
            request.sequence if sequence is None else sequence,
        ]
        await self._commit("response_status", request.charge_point, content, RESPONSE_REGISTERS, by_register=False)
        return codes.name_of(codes.RESPONSE_STATES, await self.read("response_state", request.charge_point))

    # Profile mailbox.

    async def profile(
        self,
        operation: str | int,
        charge_point: int,
        connector: int,
        periods: Sequence[tuple[int, float]] = (),
        *,
        purpose: str | int = "TxDefaultProfile",
        kind: str | int = "Absolute",
        recurrency: str | int = "none",
        stack_level: int = 0,
        unit: str = "A",
        profile_id: int = 0,
        transaction_id: int = 0,
        valid_from: int = 0,
        valid_to: int = 0,
        start_schedule: int = 0,
        duration_s: int = 0,
        min_rate: float = 0.0,
        phases: int = 0,
        sequence: int | None = None,
        timeout_s: float = 90.0,
    ) -> Outcome:
        """Set, clear, get_composite_schedule or attach_to_next_remote_start; periods are (start in s, limit)."""
        encode = self.coding.encode
        content = [
            charge_point,
            connector,
            codes.code_of(codes.PROFILE_OPERATIONS, operation),
            codes.code_of(codes.PURPOSES, purpose),
            codes.code_of(codes.KINDS, kind),
            codes.code_of(codes.RECURRENCIES, recurrency),
            stack_level,
            codes.code_of(codes.RATE_UNITS, unit),
            *encode("i32", profile_id),
            *encode("i32", transaction_id),
            *encode("u32", valid_from),
            *encode("u32", valid_to),
            *encode("u32", start_schedule),
            *encode("u32", duration_s),
            *encode("i32", round(min_rate * 10)),
            phases,
            len(periods),
        ]
        for start_s, limit in periods:
            content += [*encode("u32", start_s), *encode("i32", round(limit * 10))]
        content += [0] * (PROFILE_REGISTERS - 1 - len(content))
        number = sequence or _next(await self._raw("profile_ack"))
        await self._commit("profile_charge_point", 0, [*content, number], PROFILE_REGISTERS, by_register=False)
        return await self._outcome("profile", number, 0, 0, timeout_s)

    async def composite_schedule(
        self, charge_point: int, connector: int, duration_s: int = DAY_S, unit: str = "A"
    ) -> list[tuple[int, float]]:
        """(start in s, limit) of each period; ValueError with the outcome when there was none."""
        outcome = await self.profile(
            "get_composite_schedule", charge_point, connector, duration_s=duration_s, unit=unit
        )
        if not outcome.accepted:
            raise ValueError(str(outcome))
        periods = []
        for number in range(1, await self.number("schedule_period_count") + 1):
            start_s = await self.number(f"schedule_period_{number}_start_s")
            periods.append((start_s, await self.number(f"schedule_period_{number}_limit") / 10))
        return periods

    # Local list and time.

    async def list(
        self,
        operation: str | int,
        *,
        id_tag: str = "",
        parent_id_tag: str = "",
        status: str | int = "unset",
        expiry: int = 0,
        index: int = 0,
        charge_point: int = 0,
        version: int = 0,
        sequence: int | None = None,
        timeout_s: float = 90.0,
    ) -> Outcome:
        """put, delete, clear, send_full, send_differential or read."""
        encode = self.coding.encode
        content = [
            codes.code_of(codes.LIST_OPERATIONS, operation),
            charge_point,
            *encode("i32", version),
            *encode("str10", id_tag),
            *encode("str10", parent_id_tag),
            codes.code_of(codes.AUTHORIZATIONS, status),
            index,
            *encode("u32", expiry),
        ]
        number = sequence or _next(await self._raw("list_ack"))
        await self._commit("list_operation", 0, [*content, number], LIST_REGISTERS, by_register=False)
        return await self._outcome("list", number, 0, 0, timeout_s)

    async def set_time(self, epoch_s: int) -> str:
        """Set the gateway's clock; what `time_result` says."""
        year, month, day, hour, minute, second, *_ = time.gmtime(epoch_s)
        _, address = self.points.find("utc_year")
        await self.client.write_registers(address, [year, month, day, hour, minute, second, 1])
        return codes.name_of(codes.TIME_RESULTS, await self.read("time_result"))

    async def utc(self) -> int:
        """The six utc_* registers as seconds since 1970."""
        _, address = self.points.find("utc_year")
        return calendar.timegm((*await self.client.read_registers(address, 6), 0, 0, 0))

    async def _raw(self, name: str, charge_point: int = 0) -> int:
        """An acknowledged sequence: 65535 is a number like any other there."""
        _, address = self.points.find(name, charge_point)
        return (await self.client.read_registers(address))[0]

    async def _commit(
        self, first: str, charge_point: int, registers: Sequence[int], expected: int, by_register: bool
    ) -> None:
        assert len(registers) == expected, f"{first}: {len(registers)} registers, not {expected}"
        _, address = self.points.find(first, charge_point)
        if not by_register:
            await self.client.write_registers(address, registers)
            return
        for offset, value in enumerate(registers):
            await self.client.write_register(address + offset, value)

    async def _outcome(self, mailbox: str, number: int, charge_point: int, connector: int, timeout_s: float) -> Outcome:
        with trio.fail_after(timeout_s):
            state = ""
            while state not in FINAL:
                if state:
                    await trio.sleep(self.poll_s)
                state = await self._word(mailbox, "state", codes.COMMAND_STATES, charge_point, connector)
        result = await self._word(mailbox, "result", codes.RESULTS, charge_point, connector)
        error = await self._word(mailbox, "error", codes.COMMAND_ERRORS, charge_point, connector)
        if mailbox != "command":
            return Outcome(number, state, result, error)
        r1, text = await self.read("command_r1", charge_point), await self.read("command_text", charge_point)
        return Outcome(number, state, result, error, None if r1 is None else int(r1), str(text))

    async def _word(self, mailbox: str, what: str, names: tuple[str, ...], charge_point: int, connector: int) -> str:
        return codes.name_of(names, await self.read(f"{mailbox}_{what}", charge_point, connector))


def _next(ack: int) -> int:
    return ack % 65535 + 1
