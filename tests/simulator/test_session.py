"""The charge point's link: boot, offline and replay, dead links, passwords and TLS."""

from __future__ import annotations

import json
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from .central_system import CentralSystem
from .charge_point import ChargePoint, Offline, read_url
from .clock import parse_stamp
from .conftest import Plant
from .ocpp_link import NoAnswer


async def test_boots_tells_every_status_and_heartbeats(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered(connectors=3)
    assert plant.central.calls("BootNotification")[0]["chargePointModel"] == cp.traits.model
    assert [s["connectorId"] for s in plant.central.calls("StatusNotification")] == [0, 1, 2, 3]
    assert {s["status"] for s in plant.central.calls("StatusNotification")} == {"Available"}
    await trio.sleep(200)
    assert len(plant.central.calls("Heartbeat")) == 3
    assert plant.central.calls("SecurityEventNotification")[0]["type"] == "StartupOfTheDevice"


async def test_pending_says_nothing_but_boots_again(plant: Plant, autojump_clock: MockClock) -> None:
    plant.central.boot_status, plant.central.heartbeat_interval_s = "Pending", 20
    cp = await plant.charge_point()
    await trio.sleep(50)
    assert {r.action for r in plant.central.received} == {"BootNotification"}
    assert len(plant.central.received) == 3
    assert not cp.registered
    plant.central.boot_status = "Accepted"
    await trio.sleep(20)
    assert cp.registered
    assert cp.session.early_calls == []


async def test_a_call_before_the_boot_answer_is_noticed(plant: Plant, autojump_clock: MockClock) -> None:
    plant.central.script.delay("BootNotification", 5, times=1)
    cp = await plant.charge_point()
    await plant.central.connected("CP001")
    await plant.central.call("CP001", "ClearCache", {})
    await trio.sleep(10)
    assert cp.session.early_calls == ["ClearCache"]


async def test_offline_is_kept_and_replayed_in_order(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    plant.central.received.clear()
    await plant.central.go_away()
    await trio.sleep(60)
    assert not cp.connected
    with pytest.raises(Offline):
        await cp.ask("Heartbeat", {})
    cp.plug(1)
    assert await cp.present_tag("TAG1") == "Accepted"  # AllowOfflineTxForUnknownId
    await trio.sleep(630)
    cp.unplug(1)
    cp.plug(2)
    await cp.present_tag("TAG2", 2)
    await trio.sleep(300)
    plant.central.come_back()
    await cp.until(lambda: cp.outbox.waiting_durable == 0 and cp.books[1].start_acknowledged, 180)
    assert len(cp.books) == 2
    actions = [r for r in plant.central.received if "Transaction" in r.action or r.action == "MeterValues"]
    assert [r.action for r in actions[:12]] == ["StartTransaction", *["MeterValues"] * 10, "StopTransaction"]
    assert [r.action for r in actions[12:14]] == ["StartTransaction", "MeterValues"]
    # the id that came with the answer is in everything that followed, and the stamps are those of the events
    assert actions[3].payload["transactionId"] == cp.books[0].transaction_id
    assert actions[11].payload["transactionId"] == cp.books[0].transaction_id
    assert cp.books[0].started_at == pytest.approx(parse_stamp(actions[0].payload["timestamp"]), abs=0.001)
    assert plant.central.calls("BootNotification") == []  # not after a mere loss of the link
    # only what has changed is told again, and before the backlog: people do not wait for it
    assert [(s["connectorId"], s["status"]) for s in plant.central.calls("StatusNotification")] == [(2, "Charging")]
    assert plant.central.received[0].action == "StatusNotification"


async def test_transaction_messages_are_repeated_until_answered(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    plant.central.script.drop("StartTransaction", times=2)
    cp.plug(1)
    await cp.present_tag("TAG1")
    await cp.until(lambda: cp.books[0].start_acknowledged, 300)
    starts = plant.central.calls("StartTransaction")
    assert len(starts) == 3
    assert starts[0] == starts[1] == starts[2]
    assert list(plant.central.books) == [cp.books[0].transaction_id]
    # meanwhile the rest was answered
    assert [s["status"] for s in plant.central.calls("StatusNotification")][-1] == "Charging"
    assert plant.central.calls("Heartbeat")


async def test_a_message_refused_again_and_again_is_given_up(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    plant.central.script.error("StartTransaction", "InternalError")
    cp.plug(1)
    await cp.present_tag("TAG1")
    await cp.until(lambda: cp.books[0].given_up, 120)
    assert not cp.books[0].start_acknowledged
    cp.unplug(1)
    await trio.sleep(5)
    assert plant.central.calls("StopTransaction")[0]["transactionId"] == -1


async def test_nobody_answering_makes_it_dial_again(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    plant.central.script.drop("*")
    await cp.until(lambda: cp.session.links == 2, 600)
    plant.central.script.forget()
    await cp.until(lambda: cp.registered, 120)


async def test_a_power_cut_that_leaves_a_half_open_link(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.charging()
    old = plant.central.links["CP001"]
    cp.power_cut(60, half_open=True)
    await trio.sleep(30)
    assert not cp.connected
    assert plant.central.links["CP001"] is old  # it has heard nothing
    with pytest.raises(NoAnswer):
        await plant.central.call("CP001", "ClearCache", {}, timeout_s=5)
    await cp.until(lambda: cp.books[0].stop_acknowledged, 120)
    assert plant.central.links["CP001"] is not old


async def test_a_pulled_cable_is_noticed_by_silence(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.charging()
    cp.pull_network()
    await trio.sleep(100)
    assert cp.connected
    await cp.until(lambda: cp.session.links == 2 and cp.registered, 400)
    assert not cp.session.boot_needed
    assert len(plant.central.calls("BootNotification")) == 1


async def test_a_status_that_may_not_have_arrived_is_told_again(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    plant.central.script.drop("StatusNotification", times=1)
    cp.plug(1)
    await trio.sleep(1)
    await cp.cut()
    await cp.until(lambda: cp.session.links == 2 and cp.registered)
    await trio.sleep(1)
    told = [s["status"] for s in plant.central.calls("StatusNotification") if s["connectorId"] == 1]
    assert told == ["Available", "Preparing", "Preparing"]


async def test_a_second_open_call_is_refused_and_counted(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    cp.script.delay("ClearCache", 10, times=1)
    link = plant.central.links["CP001"]
    outcomes: list[Any] = []

    async def clear() -> None:
        outcomes.append(await plant.central.call("CP001", "ClearCache", {}))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(clear)
        await trio.sleep(1)
        await link.send_raw('[2,"second","GetConfiguration",{}]')
    assert outcomes == [{"status": "Accepted"}]
    assert json.loads(link.strays[0])[:3] == [4, "second", "GenericError"]
    assert cp.session.link is not None
    assert len(cp.session.link.violations) == 1
    # after a minute without an answer the central system may go on
    cp.script.drop("ClearCache", times=1)
    with pytest.raises(NoAnswer):
        await plant.central.call("CP001", "ClearCache", {}, timeout_s=60)
    await plant.central.call("CP001", "ClearCache", {})
    assert len(cp.session.link.violations) == 1


async def test_password_identity_and_refusals(plant: Plant, autojump_clock: MockClock) -> None:
    plant.central.passwords["CP 1/é"] = "geheim"
    cp = await plant.charge_point("CP 1/é", password="falsch")
    await cp.until(lambda: bool(cp.session.refusals))
    assert cp.session.refusals == [401]
    assert plant.central.requests[0].path == "/ocpp/CP%201%2F%C3%A9"
    cp.password = "geheim"
    await cp.until(lambda: cp.registered)
    change = {"key": "AuthorizationKey", "value": "neu"}
    plant.central.passwords["CP 1/é"] = "neu"
    assert await plant.central.call("CP 1/é", "ChangeConfiguration", change) == {"status": "Accepted"}
    await cp.until(lambda: not cp.connected)
    await cp.until(lambda: cp.registered)


async def test_it_follows_the_time_of_the_central_system(plant: Plant, autojump_clock: MockClock) -> None:
    plant.central.clock.set(1_900_000_000)
    cp = await plant.registered()
    assert abs(cp.clock.now() - plant.central.clock.now()) < 3


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, Path]:
    """(certificate for 127.0.0.1, file with it and its key)."""
    both, key = tmp_path / "both.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=central", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout", str(key)]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *names]
    made = subprocess.run([*command, "-out", "-"], capture_output=True, text=True, check=True).stdout
    both.write_text(made + key.read_text())
    return made, both


async def test_over_tls_with_a_password(certificate: tuple[str, Path], nursery: trio.Nursery) -> None:
    """On real sockets: a certificate that is not trusted, then one that is."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate[1])
    central = CentralSystem(passwords={"CP001": "secret"})
    port = await nursery.start(central.serve, "127.0.0.1", 0, serving)
    url = f"wss://127.0.0.1:{port}/deep/ocpp/CP001"

    identity, host, path, dial = read_url(url, ssl.create_default_context())
    wary = ChargePoint(identity, dial, host=host, path=path, password="secret")
    await nursery.start(wary.run)
    await wary.until(lambda: bool(wary.session.trouble), 10)
    assert "certificate verify failed" in wary.session.trouble[0]
    wary.stay_away()

    identity, host, path, dial = read_url(url, ssl.create_default_context(cadata=certificate[0]))
    trusting = ChargePoint(identity, dial, host=host, path=path, password="secret")
    await nursery.start(trusting.run)
    await trusting.until(lambda: trusting.registered, 10)
    assert [request.path for request in central.requests] == ["/deep/ocpp/CP001"]
