"""The real daemon on loopback: ready, stopped, told to read again, killed and back (interface.md; promises, R5, R9)."""

from __future__ import annotations

import json
import resource
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio

from gatewayd.services.ledger.schema import MIGRATIONS
from tests.process.daemon import Daemon, charge_points, running
from tests.simulator.bms import Bms, ConnectionLost, ModbusClient, ModbusError
from tests.simulator.charge_point import ChargePoint, Vehicle
from tests.simulator.ocpp_link import NoAnswer

STOP_S = 5.0
"""A clean stop takes less (interface.md, Commands)."""


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path, charge_points("CP001", "CP002"))


async def eventually(true: Callable[[], bool], timeout_s: float = 15.0) -> None:
    with trio.fail_after(timeout_s):
        while not true():  # noqa: ASYNC110  the daemon is another process: nobody announces anything
            await trio.sleep(0.02)


async def accepting(bms: Bms) -> None:
    """Nobody has to be asked for long: what the BMS does not answer within a second is accepted."""
    await bms.write("decision_timeout", 10)
    await bms.write("decision_default", 1)


async def booted(nursery: trio.Nursery, daemon: Daemon, identity: str = "CP001") -> ChargePoint:
    charge_point = daemon.charge_point(identity)
    await nursery.start(charge_point.run)
    await charge_point.until(lambda: charge_point.registered)
    return charge_point


async def charging(nursery: trio.Nursery, daemon: Daemon, identity: str = "CP001") -> ChargePoint:
    charge_point = await booted(nursery, daemon, identity)
    charge_point.plug(1, Vehicle())
    assert await charge_point.present_tag("CARD1") == "Accepted"
    await charge_point.until(lambda: charge_point.books[0].start_acknowledged)
    return charge_point


# --- start and stop -----------------------------------------------------------------------------------------------


async def test_it_says_ready_once_and_where(daemon: Daemon) -> None:
    daemon.state = daemon.folder / "not" / "there" / "yet"
    async with running(daemon):
        assert list(daemon.ports) == ["modbus_tcp", "ocpp", "ocpp_tls", "web", "metrics"]
        assert daemon.ports["ocpp_tls"] is None
        modbus, ocpp = daemon.ports["modbus_tcp"], daemon.ports["ocpp"]
        assert isinstance(modbus, int)
        assert isinstance(ocpp, int)
        assert 0 < modbus != ocpp > 0
        bms = await daemon.bms()
        assert await bms.number("map_magic") == 0x4F43
        assert await bms.number("state") == 1  # running
        assert await bms.number("charge_point_count") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_asked_to_stop_it_stops_with_0(daemon: Daemon, number: int) -> None:
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await daemon.bms()
        await accepting(bms)
        charge_point = await charging(nursery, daemon)
        began = time.monotonic()
        assert await daemon.stop(number) == 0
        assert time.monotonic() - began < STOP_S
        await charge_point.until(lambda: not charge_point.connected)
        with pytest.raises(ConnectionLost):
            await bms.number("map_magic")
        nursery.cancel_scope.cancel()
    assert "Traceback" not in daemon.logged()


async def test_without_charge_points_it_serves_the_gateway(tmp_path: Path) -> None:
    async with running(Daemon(tmp_path)) as daemon:
        bms = await daemon.bms()
        assert await bms.number("charge_point_count") == 0


# --- SIGHUP -------------------------------------------------------------------------------------------------------


async def test_a_good_configuration_is_taken_and_links_that_did_not_change_stay(daemon: Daemon) -> None:
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await daemon.bms()
        await accepting(bms)
        first, second = await charging(nursery, daemon), await booted(nursery, daemon, "CP002")
        number = await bms.number("transaction_id", 1, 1)
        checksum = await bms.number("config_checksum")
        dials = first.session.dials
        daemon.configure(
            '[gateway]\nname = "renamed"\n'
            + charge_points("CP001", "CP002", "CP003").replace('"CP002"', '"CP002"\ndefault_id_tag = "OTHER"')
        )
        daemon.reload()
        await bms.until("gateway_name", "renamed")
        assert await bms.number("charge_point_count") == 3
        assert await bms.number("config_checksum") != checksum
        assert await bms.number("state") == 1
        await second.until(lambda: bool(second.session.close_codes))
        assert second.session.close_codes == [1012]
        await second.until(lambda: second.registered)
        await booted(nursery, daemon, "CP003")
        assert first.session.dials == dials
        assert first.registered
        assert await bms.number("transaction_id", 1, 1) == number
        nursery.cancel_scope.cancel()


async def test_a_changed_charge_point_keeps_what_is_true_of_it(daemon: Daemon) -> None:
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await daemon.bms()
        await accepting(bms)
        charge_point = await charging(nursery, daemon)
        await bms.write("limit_u16", 160, 1, 1)
        assert (await bms.command(1, "ClearCache", sequence=77)).accepted
        before = [await bms.read(name, 1, 1) for name in ("transaction_id", "meter_start_wh", "transaction_id_tag")]
        daemon.configure(charge_points("CP001", "CP002", connectors=3))
        daemon.reload()
        await bms.until("connector_count", 3, 1)
        assert await bms.number("transaction_active", 1, 1) == 1
        assert [
            await bms.read(name, 1, 1) for name in ("transaction_id", "meter_start_wh", "transaction_id_tag")
        ] == before
        assert await bms.number("limit_u16", 1, 1) == 160
        assert await bms.number("command_ack", 1) == 77
        await charge_point.until(lambda: charge_point.session.links == 2 and charge_point.registered)
        charge_point.unplug(1)
        await charge_point.until(lambda: charge_point.books[0].stop_acknowledged)
        assert await bms.number("session_energy_wh", 1, 1) == charge_point.books[0].energy_wh
        nursery.cancel_scope.cancel()


async def test_a_bad_configuration_changes_nothing_but_the_state(daemon: Daemon) -> None:
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await daemon.bms()
        charge_point = await booted(nursery, daemon)
        good = daemon.config.read_text()
        daemon.config.write_text(good + "[modbus]\nunit_id = 300\nno_such_key = 1\n")
        daemon.reload()
        await bms.until("state", 2)  # configuration_error
        assert await bms.number("charge_point_count") == 2
        assert charge_point.registered
        for key in ("modbus.unit_id", "modbus.no_such_key"):
            assert f"{daemon.config}: {key}: " in daemon.logged()
        daemon.config.write_text(good)
        daemon.reload()
        await bms.until("state", 1)
        daemon.config.unlink()
        daemon.reload()
        await bms.until("state", 2)
        assert f" {daemon.config}: No such file or directory\n" in daemon.logged()  # as --check says it
        daemon.config.write_text(good)
        daemon.reload()
        await bms.until("state", 1)
        assert charge_point.session.links == 1
        nursery.cancel_scope.cancel()


async def test_who_listens_where_it_listened_keeps_its_connections(daemon: Daemon) -> None:
    more = "[modbus.rtu]\nenabled = false\n[ocpp.upstream]\nlocal_control = true\n"
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await daemon.bms()
        charge_point = await booted(nursery, daemon)
        ports = dict(daemon.ports)
        text = daemon.config.read_text()
        for old, new in (
            ("[ocpp]", "[ocpp]\nheartbeat_interval_s = 77"),
            ("[modbus.tcp]", "[modbus.tcp]\nmax_clients = 3"),
        ):
            text = text.replace(old, new)
        daemon.config.write_text(more + '[modbus]\nword_order = "little"\nwrites = false\n' + text)
        daemon.reload()
        await bms.until("word_order", 1)
        with pytest.raises(ModbusError, match="01"):
            await bms.write("bms_heartbeat", 5)
        assert json.loads((daemon.state / "ports.json").read_text()) == ports
        assert charge_point.session.links == 1
        nursery.cancel_scope.cancel()


async def test_another_port_is_bound_and_announced(daemon: Daemon) -> None:
    async with running(daemon), trio.open_nursery() as nursery:
        charge_point = await booted(nursery, daemon)
        before = daemon.ports["modbus_tcp"]
        with socket.create_server(("127.0.0.1", 0)) as free:
            wanted = free.getsockname()[1]
        daemon._places["modbus"] = wanted
        daemon.configure(charge_points("CP001", "CP002"))
        daemon.reload()
        await eventually(
            lambda: json.loads((daemon.state / "ports.json").read_text())["modbus_tcp"] == wanted
        )  # fmt: skip
        daemon.ports["modbus_tcp"] = wanted
        bms = await daemon.bms()
        assert await bms.number("connected", 1) == 1
        assert charge_point.session.links == 1
        with pytest.raises(OSError):
            await trio.open_tcp_stream("127.0.0.1", before or 0)
        nursery.cancel_scope.cancel()


async def test_an_ack_that_was_answered_survives_a_power_cut_in_that_moment(daemon: Daemon) -> None:
    """Else a PLC that goes on writing the sequence that was refused would start it afterwards."""
    async with running(daemon):
        for sequence in (5, 6, 7):
            client = await daemon.client()
            await client.write_registers(3000 + 8 * 300, [7, *[0] * 104, sequence])  # ClearCache; nobody is connected
            await daemon.kill()
            await daemon.start()
            assert await (await daemon.bms()).number("command_ack", 1) == sequence


# --- killed and back ----------------------------------------------------------------------------------------------


async def first_look(port: int, address: int, quantity: int) -> list[int]:
    """The very first answer to a BMS that tries again and again while the daemon starts."""
    with trio.fail_after(30):
        while True:
            try:
                client = await ModbusClient.connect("127.0.0.1", port)
                return list(await client.read_registers(address, quantity))
            except (OSError, ConnectionLost):
                await trio.sleep(0.001)


async def test_an_open_transaction_stands_before_the_first_read(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    daemon = Daemon(tmp_path, charge_points("CP001"), modbus=port)
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await daemon.bms()
        await accepting(bms)
        charge_point = await charging(nursery, daemon)
        (book,) = charge_point.books
        await trio.sleep(1.5)  # so that the meter is heard
        started = await bms.number("transaction_start", 1, 1)
        await daemon.kill()
        await daemon.launch()
        seen = await first_look(port, 3300, 60)
        assert seen[5] == 1  # transaction_active
        assert (seen[40] << 16) + seen[41] == book.transaction_id
        assert (seen[42] << 16) + seen[43] == started
        assert (seen[46] << 16) + seen[47] == book.meter_start_wh
        tag = b"".join(register.to_bytes(2, "big") for register in seen[54:60])
        assert tag.rstrip(b"\0") == b"CARD1"
        await daemon.until_ready()
        await charge_point.until(lambda: charge_point.registered and charge_point.session.links == 2)
        charge_point.unplug(1)
        await charge_point.until(lambda: book.stop_acknowledged)
        bms = await daemon.bms()
        assert await bms.number("session_energy_wh", 1, 1) == book.energy_wh
        assert await bms.number("session_count", 1, 1) == 1
        nursery.cancel_scope.cancel()


async def test_everything_that_is_promised_comes_back(daemon: Daemon) -> None:
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await daemon.bms()
        await accepting(bms)
        serial = await bms.read("gateway_serial")
        charge_point = await charging(nursery, daemon)
        charge_point.unplug(1)
        await charge_point.until(lambda: charge_point.books[0].stop_acknowledged)
        request = await bms.next_request(1)
        assert request.informative
        assert (await bms.command(1, "ClearCache", sequence=500)).accepted
        assert (await bms.list("put", id_tag="MINE", status="Blocked", parent_id_tag="ALL")).accepted
        profile = await bms.profile("clear", 1, 1)
        await bms.write("watchdog_limit", 77)
        await bms.write("site_limit_w", 9000)
        await bms.write("limit_u16", 123, 1, 2)
        await bms.write("start_id_tag", "HOUSE", 1, 2)
        await bms.write("operative", 0, 2)
        await bms.write("allowed", 0, 2)
        await trio.sleep(1.0)  # settings are promised within a second, which is over with what comes next
        await bms.read("map_magic")
        await trio.sleep(0.2)
        await daemon.kill()
        await daemon.start()
        bms = await daemon.bms()
        expected = {
            ("gateway_serial", 0): serial,
            ("decision_timeout", 0): 10,
            ("decision_default", 0): 1,
            ("watchdog_limit", 0): 77,
            ("site_limit_w", 0): 9000,
            ("list_count", 0): 1,
            ("profile_ack", 0): profile.sequence,
            ("operative", 2): 0,
            ("allowed", 2): 0,
            ("command_ack", 1): 500,
        }
        for (name, number), value in expected.items():
            assert await bms.read(name, number) == value, name
        assert await bms.number("limit_u16", 1, 2) == 123
        assert await bms.read("start_id_tag", 1, 2) == "HOUSE"
        assert await bms.number("session_count", 1, 1) == 1
        again = await bms.request(1)
        assert again is not None
        assert (again.sequence, again.session_energy_wh, again.transaction_start, again.id_tag) == (
            request.sequence, request.session_energy_wh, request.transaction_start, request.id_tag,
        )  # fmt: skip
        nursery.cancel_scope.cancel()


async def test_old_sequences_start_and_answer_nothing(daemon: Daemon) -> None:
    """A PLC that writes its whole block in every cycle, over a restart of the gateway."""
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await daemon.bms()
        charge_point = await booted(nursery, daemon)
        command = [7, *[0] * 104, 9]  # ClearCache, sequence 9
        charge_point.start_soon(lambda: charge_point.present_tag("CARD1"))  # which asks the BMS
        request = await bms.next_request(1)
        answer = [1, *[0] * 13, request.sequence]
        await bms.client.write_registers(3088, answer)
        await bms.client.write_registers(5400, command)
        await bms.until("command_state", 3, 1)
        await daemon.kill()
        await daemon.start()
        bms = await daemon.bms()
        await charge_point.until(lambda: charge_point.registered and charge_point.session.links == 2)
        charge_point.start_soon(lambda: charge_point.present_tag("CARD2"))
        fresh = await bms.next_request(1)
        assert fresh.sequence != request.sequence
        for _ in range(3):
            await bms.client.write_registers(5400, command)
            await bms.client.write_registers(3088, answer)
        assert await bms.number("command_state", 1) == 0
        assert await bms.number("command_ack", 1) == 9
        assert await bms.number("decision_pending", 1) == 1  # CARD2 is not decided by an answer to CARD1
        assert await bms.request(1) is not None
        await bms.until("registered", 1, 1)
        await bms.client.write_registers(5400, [*command[:-1], 10])
        await bms.until("command_state", 3, 1)
        nursery.cancel_scope.cancel()


# --- the ledger at the start --------------------------------------------------------------------------------------


async def test_a_broken_ledger_does_not_keep_it_from_starting(daemon: Daemon) -> None:
    daemon.state.mkdir()
    daemon.ledger.write_bytes(b"no database at all" * 1000)
    async with running(daemon), trio.open_nursery() as nursery:
        bms = await daemon.bms()
        assert await bms.number("state") == 3  # degraded
        assert await bms.number("disk_state") == 1
        await accepting(bms)
        charge_point = await charging(nursery, daemon)
        assert (charge_point.books[0].transaction_id or 0) > 100_000_000  # none that was given before
        assert await daemon.stop() == 0
        assert "ledger.sqlite is broken" in daemon.logged()
        assert (daemon.state / "ledger.sqlite.broken-1").exists()
        nursery.cancel_scope.cancel()
    async with running(daemon):
        bms = await daemon.bms()
        assert await bms.number("state") == 1
        assert await bms.number("transaction_active", 1, 1) == 1


async def test_a_newer_ledger_is_refused_in_one_line(daemon: Daemon) -> None:
    daemon.state.mkdir()
    with closing(sqlite3.connect(daemon.ledger)) as database:
        database.execute("PRAGMA user_version=99")
    await daemon.launch()
    assert daemon.process is not None
    with trio.fail_after(30):
        assert await daemon.process.wait() == 2
    line = f"{daemon.ledger}: written by a newer gateway (schema 99, this one knows up to {len(MIGRATIONS)})"
    assert line in daemon.logged().splitlines()
    assert "Traceback" not in daemon.logged()


# --- a disk that fails --------------------------------------------------------------------------------------------


async def test_a_disk_that_takes_nothing_stops_transaction_messages_alone(daemon: Daemon) -> None:
    """The daemon's files may not be written any more (RLIMIT_FSIZE), and later may again."""
    async with running(daemon), trio.open_nursery() as nursery:
        assert daemon.process is not None
        pid, unlimited = daemon.process.pid, resource.RLIM_INFINITY
        bms = await daemon.bms()
        await accepting(bms)
        await bms.until("disk_state", 1)
        charge_point = await booted(nursery, daemon)
        charge_point.outbox.call_timeout_s = 3.0
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, unlimited))
        with trio.fail_after(10):
            info = await charge_point.ask("Authorize", {"idTag": "CARD1"})  # asked of the BMS, answered by default
        assert info["idTagInfo"]["status"] == "Accepted"
        with trio.fail_after(5):
            await bms.until("disk_state", 3)
        for action, payload in (("Heartbeat", {}), ("DataTransfer", {"vendorId": "V"})):
            with trio.fail_after(2):
                await charge_point.ask(action, payload)
        with trio.fail_after(2):
            assert (await bms.command(1, "ClearCache")).accepted
        assert await bms.number("state") == 3
        with pytest.raises(NoAnswer):
            await charge_point.ask(
                "StartTransaction",
                {"connectorId": 1, "idTag": "CARD1", "meterStart": 5, "timestamp": charge_point.clock.stamp()},
            )
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        await bms.until("disk_state", 1, timeout_s=5)
        await bms.until("state", 1, timeout_s=5)
        charge_point.plug(1, Vehicle())
        assert await charge_point.present_tag("CARD2") == "Accepted"
        await charge_point.until(lambda: charge_point.books[0].start_acknowledged)
        nursery.cancel_scope.cancel()
