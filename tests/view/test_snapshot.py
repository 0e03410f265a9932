"""The site as the page is told it, and the lines of the streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gatewayd.modbus.server import Server, TcpSession
from gatewayd.points.bank import IllegalValue
from gatewayd.services.modbus_tcp import Client
from gatewayd.site.refusal import Cause, Refusal
from gatewayd.site.transaction import Transaction
from gatewayd.view import lines, snapshot
from gatewayd.view.publisher import line
from gatewayd.web.pages.charge_points import facts
from tests.kit import Kit
from tests.ocpp.bridged import BOOT
from tests.ocpp.buffered import buffered

DOCUMENT = Path(__file__).parents[2] / "docs" / "interfaces.md"


def shape(value: Any) -> Any:
    """The names of all members, of lists those of the first entry."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value and isinstance(value[0], dict) else None


def documented() -> dict[str, Any]:
    text = DOCUMENT.read_text()
    found: dict[str, Any] = json.loads(text[text.index("```json") + 7 :].partition("```")[0])
    return found


def charging() -> Kit:
    kit = Kit()
    end = kit.connect()
    end.boot(chargePointSerialNumber="S-1", firmwareVersion="1.2.3")
    end.status(1, "Charging")
    kit.write(18, 3)
    end.send("StartTransaction", {"connectorId": 1, "idTag": "CARD", "meterStart": 100, "timestamp": kit.stamp()})
    kit.run_for(10)
    sampled = [{"value": "7360", "measurand": "Power.Active.Import", "unit": "W"}, {"value": "1250"}]
    end.send("MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": kit.stamp(), "sampledValue": sampled}]})
    limit = kit.site.charge_points["CP001"].connectors[1].limit
    limit.active = 160
    return kit


def test_a_charge_point_is_told_as_it_is_and_as_the_manual_says() -> None:
    kit = charging()
    told = snapshot.charge_point(kit.site.charge_points["CP001"], kit.config.charge_points[0], 1)
    assert (told["link"], told["connected"], told["serial"], told["firmware"]) == ("accepted", True, "S-1", "1.2.3")
    connector = told["connectors"][0]
    assert (connector["status"], connector["power_w"], connector["energy_wh"]) == ("Charging", 7360, 1250)
    assert connector["limit"] == {"value": 16.0, "unit": "A"}
    assert connector["transaction"]["id_tag"] == "CARD"
    assert connector["transaction"]["energy_wh"] == 1150
    assert shape(told) == shape(documented()["charge_points"][0])
    json.loads(line(told))


def test_one_that_never_came_is_told_too() -> None:
    kit = Kit()
    told = snapshot.charge_point(kit.site.charge_points["CP001"], None, 7)
    assert (told["link"], told["address"], told["upstream"], told["unit"]) == ("never", None, None, 7)
    assert told["connectors"][0]["transaction"] is None
    assert told["connectors"][0]["limit"] is None


def test_what_waits_for_a_central_system_or_is_lost_to_it_is_told() -> None:
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    for number in (1, 2):
        end.send("StopTransaction", {"transactionId": number, "meterStop": 1, "timestamp": kit.stamp()})
    backlog, journal = kit.site.backlog, kit.site.journal
    first, second = backlog.of(1)
    backlog.set_aside(second)
    told = snapshot.charge_point(end.cp, None, 1)
    assert (told["upstream"], told["upstream_waiting"], told["upstream_aside"], told["upstream_lost"]) == (
        False, 2, 1, 0,
    )  # fmt: skip
    assert dict(facts(told))["Messages for its central system"] == "2, refused for now: 1"
    backlog.drop(first, journal)
    told = snapshot.charge_point(end.cp, None, 1)
    assert (told["upstream_waiting"], told["upstream_lost"]) == (1, 1)
    assert dict(facts(told))["Lost to its central system"] == "1"
    assert "Lost to its central system" in dict(facts(told | {"upstream": None})), "it left the bridge role"
    assert "Lost to its central system" not in dict(facts(told | {"upstream": None, "upstream_waiting": 0}))


def test_the_gateway_and_who_was_turned_away_as_the_manual_says() -> None:
    kit = Kit()
    for cause, identity in ((Cause.unknown_identity, "CP009"), (Cause.wrong_password, "CP001")):
        kit.site.refusals.note(Refusal(cause, "why", identity, "192.0.2.9", 404), kit.epoch)
    kit.site.trouble("disk", there=True)
    assert kit.site.backlog.add(7, "StopTransaction", "text", kit.site.journal, 0.0)
    told = snapshot.turned_away(kit.site)
    assert told["refused"] == {"unknown_identity": 1, "wrong_password": 1}
    assert [each["identity"] for each in told["knocking"]] == ["CP009"]
    assert all(each["remedy"] for each in told["refusals"])
    gateway = snapshot.gateway(kit.site)
    assert (gateway["state"], gateway["faults"]) == ("booting", ["disk"])
    assert gateway.pop("upstream_stranded") == [{"charge_point": 7, "messages": 1}]
    example = documented()
    assert example["gateway"].pop("upstream_stranded") == []
    assert shape(gateway) | {"python": None, "pid": None} == shape(example["gateway"])
    assert shape(told["knocking"]) == shape(example["knocking"])
    assert shape(told["refusals"]) == shape(example["refusals"])


def test_who_wrote_what_last() -> None:
    kit = Kit()
    kit.write(9, 7, client=Client("192.0.2.7", 5000, 1))
    kit.write(3000 + 300 + 16, 0, client="rtu")
    kit.write(3000 + 8 * 300 + 20, 1, client="page")  # in the middle of the command mailbox
    told = snapshot.written(kit.site.banks, 5)
    assert [(each["unit"], each["address"], each["registers"], each["client"]) for each in told] == [
        (5, 9, 1, "192.0.2.7"), (5, 3316, 1, "rtu"), (5, 5400, 106, "page"),
    ]  # fmt: skip
    assert shape(told) == shape(documented()["written"])
    assert len(snapshot.written(kit.site.banks, 5, news_only=True)) == 3
    kit.write(9, 8, client="page")
    assert [each["client"] for each in snapshot.written(kit.site.banks, 5, news_only=True)] == ["page"]
    assert snapshot.written(kit.site.banks, 5, news_only=True) == []


def test_a_write_that_is_refused_is_nobodys() -> None:
    kit = Kit()
    with pytest.raises(IllegalValue):
        kit.write(14, 99, 99)
    assert snapshot.written(kit.site.banks, 1) == []


def test_a_modbus_client_is_told_as_the_manual_says() -> None:
    kit = Kit()
    client = Client("192.0.2.7", 5000, 1)
    session = TcpSession(Server(kit.units, writes=True, on_exception=lambda _: None), client, kit.now)
    none = lines.client(client, session, 0.0, kit.site.clock.epoch)
    assert none["last_request"] is None
    session.receive(bytes.fromhex("00010000000601030bb8007d"), kit.now)
    told = lines.client(client, session, 8.0, kit.site.clock.epoch)
    assert told["last_request"] == {"time": kit.epoch, "unit": 1, "function": 3, "address": 3000, "quantity": 125}
    assert (told["requests"], told["requests_per_s"], told["since"]) == (1, 8.0, kit.epoch)
    assert shape(told) == shape(documented()["modbus_clients"][0])
    session.receive(bytes.fromhex("000100000006010600090001"), kit.now)
    assert lines.client(client, session, 0, kit.site.clock.epoch)["last_request"]["quantity"] == 1
    session.receive(bytes.fromhex("0001000000020163"), kit.now)  # no address at all
    assert lines.client(client, session, 0, kit.site.clock.epoch)["last_request"]["address"] is None


def test_an_exchange_is_told_with_the_exceptions_name() -> None:
    told = lines.exchange("tcp", Client("192.0.2.7", 5, 1), 1, b"\x03\0\0\0\1", b"\x83\x02", 1.0)
    assert (told["client"], told["port"], told["function"]) == ("192.0.2.7", 5, 3)
    assert (told["request"], told["answer"], told["exception"]) == ("0300000001", "8302", "illegal_data_address")
    broadcast = lines.exchange("rtu", "rtu", 0, b"\x06\0\x09\0\1", None, 1.0)
    assert (broadcast["answer"], broadcast["exception"], broadcast["port"]) == (None, None, None)


def test_a_frame_is_told_without_secrets_and_never_longer_than_it_may_be() -> None:
    cp = Kit().site.charge_points["CP001"]
    told = lines.frame(cp, "in", '[2,"4","Heartbeat",{}]', 1.5)
    assert told == {"type": "frame", "time": 1.5, "charge_point": 1, "identity": "CP001", "direction": "in",
                    "text": '[2,"4","Heartbeat",{}]', "bytes": 22}  # fmt: skip
    secret = lines.frame(cp, "out", '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"hunter2"}]', 1.5)
    assert secret["redacted"]
    assert "hunter2" not in secret["text"]
    long = lines.frame(cp, "in", "é" * 200_000, 1.5)
    assert (long["cut"], long["bytes"], len(long["text"])) == (True, 400_000, lines.SHOWN_CHARACTERS)
    binary = lines.frame(cp, "in", b"\xff" * 9, 1.5)
    assert (binary["hex"], "text" in binary) == ("ff" * 9, False)
    assert lines.frame(cp, "in", b"\xff" * 100_000, 1.5)["cut"]


def test_begin_and_end_of_a_transaction_are_told_once() -> None:
    known: lines.Begun = {}
    one = Transaction(7, 1, "A", 100.0, 0, 0)
    assert lines.transaction_event(known, 1, one) == "transaction_started"
    assert lines.transaction_event(known, 1, one) is None
    same_id = Transaction(7, 2, "A", 100.0, 0, 0)
    assert lines.transaction_event(known, 1, same_id) == "transaction_started"
    one.stop(200.0, 5, 0)
    assert lines.transaction_event(known, 1, one) == "transaction_stopped"
    assert lines.transaction_event(known, 1, one) is None
    alone = Transaction(8, 1, "A", 300.0, 0, 0)
    alone.stop(301.0, 0, 0)
    assert lines.transaction_event(known, 1, alone) == "transaction_stopped"
    for number in range(lines.TRANSACTIONS_KNOWN + 10):
        lines.transaction_event(known, number, alone)
    assert len(known) == lines.TRANSACTIONS_KNOWN
