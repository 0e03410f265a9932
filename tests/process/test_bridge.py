"""The real daemon between simulated charge points and two central systems, plain and TLS (ocpp.md, Bridge)."""

from __future__ import annotations

import ssl
from pathlib import Path

import trio
import trustme

from tests.process.daemon import Daemon, running
from tests.process.test_daemon import accepting, booted, eventually
from tests.services.secure_plant import certify, pem, show
from tests.simulator.central_system import CentralSystem

DROPPED_S = 10.0


def toml(plain: int, secure: int, authority: str, *, third: str = 'role = "central_system"', more: str = "") -> str:
    return f"""
[gateway]
role = "bridge"
[ocpp.upstream]
url = "wss://localhost:{secure}/ocpp"
ca = '''
{authority}'''
[[charge_point]]
number = 1
identity = "CP001"
{more}
[[charge_point]]
number = 2
identity = "CP002"
upstream_url = "ws://127.0.0.1:{plain}/other/"
upstream_identity = "TWO"
[[charge_point]]
number = 3
identity = "CP003"
{third}
"""


async def test_roles_and_central_systems_by_charge_point(nursery: trio.Nursery, tmp_path: Path) -> None:
    authority = trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    show(serving, certify(authority, "localhost"))
    first, second = CentralSystem(first_transaction_id=100), CentralSystem(first_transaction_id=-7)
    secure = await nursery.start(first.serve, "127.0.0.1", 0, serving)
    plain = await nursery.start(second.serve, "127.0.0.1", 0)
    daemon = Daemon(tmp_path, toml(plain, secure, pem(authority)))
    async with running(daemon):
        points = [await booted(nursery, daemon, f"CP00{number}") for number in (1, 2, 3)]
        assert (set(first.links), set(second.links)) == ({"CP001"}, {"TWO"})
        assert [request.path for request in (*first.requests, *second.requests)] == ["/ocpp/CP001", "/other/TWO"]
        bms = await daemon.bms()
        assert (await bms.read("role"), await bms.read("upstream_mask")) == (1, 0b011)

        points[1].plug(1)
        assert await points[1].present_tag("CARD") == "Accepted"
        await eventually(lambda: bool(second.books))
        assert [await bms.read("transaction_id", 2, 1), await bms.read("transaction_active", 2, 1)] == [-7, 1]

        before = (first.links["CP001"], second.links["TWO"])
        daemon.configure(toml(plain, secure, pem(authority), third=f'upstream_url = "ws://127.0.0.1:{plain}/"'))
        daemon.reload()
        await eventually(lambda: "CP003" in second.links)
        assert (first.links["CP001"], second.links["TWO"]) == before, "the others keep their links"

        daemon.configure(toml(plain, secure, pem(authority), more="local_control = true"))
        daemon.reload()
        await eventually(lambda: "CP003" not in second.links)
        await eventually(lambda: first.links.get("CP001") not in (None, before[0]))
        assert second.links["TWO"] is before[1]
        with trio.fail_after(DROPPED_S):
            while await bms.read("upstream_mask") != 0b011:  # noqa: ASYNC110
                await trio.sleep(0.05)

        with trio.fail_after(DROPPED_S):
            await second.go_away()
            await points[1].until(lambda: not points[1].connected)
        assert points[0].connected
        second.come_back()
        await eventually(lambda: "TWO" in second.links, 40)
        await points[1].present_tag("CARD")
        await eventually(lambda: second.books[-7].stopped_at is not None)
        nursery.cancel_scope.cancel()


async def test_a_central_system_of_a_foreign_authority_is_not_believed(nursery: trio.Nursery, tmp_path: Path) -> None:
    authority, foreign = trustme.CA(), trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    show(serving, certify(foreign, "localhost"))
    central = CentralSystem()
    secure = await nursery.start(central.serve, "127.0.0.1", 0, serving)
    daemon = Daemon(tmp_path, toml(1, secure, pem(authority)))
    async with running(daemon):
        charge_point = daemon.charge_point("CP001")
        await nursery.start(charge_point.run)
        await eventually(lambda: "central system at localhost" in daemon.logged())
        assert "unable to get local issuer certificate" in daemon.logged()
        assert central.links == {}
        assert not charge_point.connected
        nursery.cancel_scope.cancel()


BUFFERED = """
[gateway]
role = "bridge"
[ocpp.upstream]
url = "wss://localhost:{secure}/ocpp"
offline = "{offline}"
ca = '''
{authority}'''
[[charge_point]]
number = 1
identity = "CP001"
"""


async def test_between_the_policies_while_running_over_tls(nursery: trio.Nursery, tmp_path: Path) -> None:
    authority = trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    show(serving, certify(authority, "localhost"))
    central = CentralSystem(first_transaction_id=100)
    secure = await nursery.start(central.serve, "127.0.0.1", 0, serving)

    def policy(offline: str) -> str:
        return BUFFERED.format(secure=secure, offline=offline, authority=pem(authority))

    daemon = Daemon(tmp_path, policy("buffer"))
    async with running(daemon):
        charge_point = await booted(nursery, daemon)
        await accepting(await daemon.bms())
        await eventually(lambda: bool(central.calls("BootNotification")))
        await central.go_away()
        charge_point.plug(1)
        assert await charge_point.present_tag("CARD") == "Accepted", "by the gateway"
        assert charge_point.session.close_codes == []
        daemon.configure(policy("disconnect"))
        daemon.reload()
        await charge_point.until(lambda: not charge_point.connected)
        await charge_point.present_tag("CARD")
        central.come_back()
        await eventually(lambda: 100 in central.books, 60)
        await eventually(lambda: central.books[100].stopped_at is not None, 60)
        await central.go_away()
        with trio.fail_after(DROPPED_S):
            await charge_point.until(lambda: not charge_point.connected)
        daemon.configure(policy("buffer"))
        daemon.reload()
        with trio.fail_after(60):
            await charge_point.until(lambda: charge_point.registered)
        assert central.violations == central.strays == []
        nursery.cancel_scope.cancel()


ROLES = """
[gateway]
role = "bridge"
[ocpp.upstream]
url = "ws://127.0.0.1:{port}/ocpp"
[[charge_point]]
number = 1
identity = "CP001"
role = "{role}"
[[charge_point]]
number = 2
identity = "CP002"
[[charge_point]]
number = 3
identity = "CP003"
role = "central_system"
"""
CENTRAL, BRIDGE = "central_system", "bridge"


async def test_one_charge_point_changes_its_role_there_and_back(nursery: trio.Nursery, tmp_path: Path) -> None:
    """Nobody else's connection is touched, and a transaction that runs meanwhile ends in the registers."""
    central = CentralSystem(first_transaction_id=100)
    port = await nursery.start(central.serve, "127.0.0.1", 0)
    daemon = Daemon(tmp_path, ROLES.format(port=port, role=CENTRAL))
    async with running(daemon):
        changed, bridged, own = [await booted(nursery, daemon, f"CP00{number}") for number in (1, 2, 3)]
        bms = await daemon.bms()
        await accepting(bms)
        neighbour = central.links["CP002"]
        assert list(central.links) == ["CP002"]

        changed.plug(1)
        assert await changed.present_tag("CARD") == "Accepted", "by the gateway"
        for role, links in ((BRIDGE, {"CP001", "CP002"}), (CENTRAL, {"CP002"})) * 2:
            dialled = changed.session.links
            daemon.configure(ROLES.format(port=port, role=role))
            daemon.reload()
            await changed.until(lambda dialled=dialled: changed.session.links > dialled and changed.registered)  # type: ignore[misc]
            await eventually(lambda links=links: set(central.links) == links)  # type: ignore[misc]
            await changed.present_tag("CARD")  # ends what began under the other role
            await bms.until("transaction_active", False, 1, 1)
            assert await bms.read("session_energy_wh", 1, 1) == changed.books[-1].energy_wh
            changed.unplug(1)
            changed.plug(1)
            assert await changed.present_tag("CARD") == "Accepted"
            await bms.until("transaction_active", True, 1, 1)
            shown = await bms.read("transaction_id", 1, 1)
            await changed.until(lambda: changed.books[-1].start_acknowledged)
            assert shown == changed.books[-1].transaction_id
            assert (shown in central.books) == (role == BRIDGE), "whose number it is"

        assert central.links["CP002"] is neighbour
        assert [each.session.links for each in (bridged, own)] == [1, 1]
        assert bridged.session.close_codes == own.session.close_codes == []
        assert central.violations == central.strays == []
        nursery.cancel_scope.cancel()
