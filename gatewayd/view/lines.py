"""The lines of the live streams, as plain members for JSON (docs/interfaces.md, Choosing streams). No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol

from gatewayd.modbus.server import BUSY, ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, NOBODY, TcpSession
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.transaction import Transaction
from gatewayd.view.redaction import redacted
from hal.contract import LEDS, Line

Members = dict[str, Any]

SHOWN_CHARACTERS = 16384
"""Of a frame: more than any that means something, and a dozen of them fit a subscriber's buffer."""
EXCEPTIONS = {
    ILLEGAL_FUNCTION: "illegal_function",
    ILLEGAL_ADDRESS: "illegal_data_address",
    ILLEGAL_VALUE: "illegal_data_value",
    BUSY: "server_device_busy",
    NOBODY: "gateway_target_failed_to_respond",
}
"""Exception code → its name (MODBUS Application Protocol V1.1b3, 7)."""
_ERROR_BIT = 0x80
TRANSACTIONS_KNOWN = 10_000
"""Transactions whose begin was told, so that it is not told twice; the oldest make room."""


def frame(cp: ChargePoint, direction: str, text: str | bytes, epoch: float) -> Members:
    """One OCPP message, without its secrets."""
    told: Members = {
        "type": "frame",
        "time": round(epoch, 6),
        "charge_point": cp.number,
        "identity": cp.name,
        "direction": direction,
    }
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    told["bytes"] = len(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        told["hex"] = raw[: SHOWN_CHARACTERS // 2].hex()
        return {**told, "cut": True} if len(raw) > SHOWN_CHARACTERS // 2 else told
    if len(text) > SHOWN_CHARACTERS:  # cut before it is searched, so that a long one costs no more than is shown of it
        told["cut"] = True
    told["text"], taken = redacted(text[:SHOWN_CHARACTERS])
    if taken:
        told["redacted"] = True
    return told


def exchange(
    transport: str, client: Hashable, unit: int, request: bytes, answer: bytes | None, epoch: float
) -> Members:
    """One Modbus request and what was answered."""
    refused = answer is not None and answer[0] & _ERROR_BIT
    return {
        "type": "modbus",
        "time": round(epoch, 6),
        "client": str(getattr(client, "address", client)),
        "port": getattr(client, "port", None),
        "transport": transport,
        "unit": unit,
        "function": request[0],
        "request": request.hex(),
        "answer": None if answer is None else answer.hex(),
        "exception": EXCEPTIONS.get(answer[1], str(answer[1])) if refused and answer is not None else None,
    }


class TcpClient(Protocol):
    @property
    def address(self) -> str: ...
    @property
    def port(self) -> int: ...


def client(who: TcpClient, session: TcpSession, per_s: float, epoch_of: Callable[[float], float]) -> Members:
    """A client of Modbus TCP. `epoch_of` makes monotonic seconds seconds since 1970."""
    last, told = session.last_request, None
    if len(last) >= MBAP_AND_FUNCTION:
        addressed = len(last) >= MBAP_AND_FUNCTION + 2
        counted = len(last) >= MBAP_AND_FUNCTION + 4 and last[7] not in SINGLE_WRITES
        told = {
            "time": epoch_of(session.last_request_s),
            "unit": last[6],
            "function": last[7],
            "address": int.from_bytes(last[8:10], "big") if addressed else None,
            "quantity": int.from_bytes(last[10:12], "big") if counted else 1 if addressed else None,
        }
    return {
        "address": who.address,
        "port": who.port,
        "since": epoch_of(session.opened_s),
        "requests": session.requests,
        "requests_per_s": per_s,
        "last_request": told,
    }


MBAP_AND_FUNCTION = 8
SINGLE_WRITES = (5, 6)
"""Function codes whose second word is a value, not a quantity."""


Begun = dict[tuple[int, int, int, float], bool]
"""Transactions that were told of, by charge point, id, connector and start → whether they were open then."""


def key_of(number: int, transaction: Transaction) -> tuple[int, int, int, float]:
    """A transaction as `Begun` knows it: central systems upstream give the same id twice."""
    return number, transaction.id, transaction.connector, transaction.start_epoch


def transaction_event(known: Begun, number: int, transaction: Transaction) -> str | None:
    """Which event the saving of a transaction is; None: neither its begin nor its end. `known` follows."""
    key = key_of(number, transaction)
    was_open = known.pop(key, None)
    known[key] = transaction.open
    if len(known) > TRANSACTIONS_KNOWN:
        del known[next(iter(known))]
    if was_open is None:
        return "transaction_started" if transaction.open else "transaction_stopped"
    return "transaction_stopped" if was_open and not transaction.open else None


def lights(
    lit: frozenset[Line] | None,
    *,
    ocpp_link: bool,
    ocpp_traffic: bool,
    modbus_traffic: bool,
    identify: bool,
    button: bool | None,
) -> Members:
    """The front panel. `lit` None: another program drives it; `button` None: nobody can tell."""
    return {
        "button": button,
        "ocpp_link": ocpp_link,
        "ocpp_traffic": ocpp_traffic,
        "modbus_traffic": modbus_traffic,
        "identify": identify,
        "leds": None if lit is None else {led.value: led in lit for led in LEDS},
    }
