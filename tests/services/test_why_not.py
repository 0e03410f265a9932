"""Why does it not connect? Every seeded fault is named right, with what to do about it (experience.md)."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trustme

from gatewayd.ocpp.lockout import TRIES
from gatewayd.site.refusal import REMEDIES, Cause
from tests.services.ocpp_peer import PING, PONG, Peer, basic, frame, request
from tests.services.secure_daemon import PORTS, TLS, Daemon, daemon
from tests.services.secure_plant import (
    FUTURE,
    HOST,
    NOWADAYS,
    PAST,
    Dates,
    certify,
    client,
    of_tls_1_1,
    pem,
    secured,
    show,
)

FOREIGN = trustme.CA()
OWN = trustme.CA()
"""The authority of the user's that charge points' certificates must be of, where one is set."""
TOML = (
    PORTS.replace("[ocpp]\n", 'allow = ["127.0.0.1"]\n[ocpp]\n')
    + TLS
    + """
[[charge_point]]
number = 1
identity = "CP001"
[[charge_point]]
number = 2
identity = "CP002"
password = "secret"
[[charge_point]]
number = 3
identity = "CP003"
password = "secret"
min_security_profile = 2
"""
)
READ_ONLY = "[modbus]\nwrites = false\n" + TOML
CERTIFIED = TOML.replace(TLS, f'{TLS}client_ca = """{pem(OWN)}"""\n')
RIGHT, WRONG = basic("CP002", "secret"), basic("CP002", "guess")


async def ask(it: Daemon, head: bytes, context: ssl.SSLContext | None = None, host: str = HOST) -> int:
    """The HTTP status; 0 where it did not come to that."""
    with suppress(trio.BrokenResourceError, EOFError):
        return await (await it.dial(context, host)).upgrade(head)
    return 0


async def wrong_identity(it: Daemon) -> int:
    return await ask(it, request(b"/ocpp/CP01"))


async def no_subprotocol(it: Daemon) -> int:
    return await ask(it, request(without=b"Sec-WebSocket-Protocol"))


async def bad_encoding(it: Daemon) -> int:
    return await ask(it, request(b"/ocpp/CP%0G1"))


async def soap(it: Daemon) -> int:
    return await ask(it, request(without=b"Upgrade"))


async def no_password(it: Daemon) -> int:
    return await ask(it, request(b"/ocpp/CP002"))


async def wrong_password(it: Daemon) -> int:
    return await ask(it, request(b"/ocpp/CP002", Authorization=WRONG))


async def locked_out(it: Daemon) -> int:
    for _ in range(TRIES):
        assert await wrong_password(it) == 401
        await it.refusal()
    return await ask(it, request(b"/ocpp/CP002", Authorization=RIGHT))


async def profile_too_low(it: Daemon) -> int:
    return await ask(it, request(b"/ocpp/CP003", Authorization=basic("CP003", "secret")))


async def not_allowed(it: Daemon) -> int:
    it.gateway.site.charge_points["CP001"].allowed = 0
    return await ask(it, request())


async def duplicate(it: Daemon) -> int:
    first = await it.dial()
    assert await first.upgrade() == 101
    status = 0

    async def live() -> None:
        while True:
            opcode, payload = await first.frame()
            if opcode == PING:
                await first.send(frame(PONG, payload))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(live)
        status = await ask(it, request())
        nursery.cancel_scope.cancel()
    return status


async def tls_on_plain_port(it: Daemon) -> int:
    plain = await trio.open_tcp_stream(HOST, it.ports["ocpp"])
    with suppress(trio.BrokenResourceError):
        await secured(plain, it.believes())
    return 0


async def plain_on_tls_port(it: Daemon) -> int:
    return await Peer(await trio.open_tcp_stream(HOST, it.ports["ocpp_tls"])).upgrade()


async def authority_unknown(it: Daemon) -> int:
    return await ask(it, request(), client(FOREIGN))


async def another_host(it: Daemon) -> int:
    return await ask(it, request(), it.believes(), "gateway.example")


async def hangs_up(it: Daemon) -> int:
    """Small TLS libraries that do not like a certificate send no alert."""
    plain = await trio.open_tcp_stream(HOST, it.ports["ocpp_tls"])
    stream = trio.SSLStream(plain, client(FOREIGN), server_hostname=HOST)
    with suppress(trio.BrokenResourceError):
        await stream.do_handshake()
    await trio.aclose_forcefully(plain)
    return 0


async def tls_too_old(it: Daemon) -> int:
    return await ask(it, request(), of_tls_1_1(FOREIGN))


async def no_shared_cipher(it: Daemon) -> int:
    context = client(FOREIGN, maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-RSA-AES256-SHA384")
    return await ask(it, request(), context)


async def certificate_missing(it: Daemon) -> int:
    return await ask(it, request(), it.believes())


def showing(authority: trustme.CA, name: str = "CP001", dates: Dates = NOWADAYS) -> Callable[[Daemon], Awaitable[int]]:
    async def attempt(it: Daemon) -> int:
        context = it.believes()
        show(context, certify(authority, name, dates))
        return await ask(it, request(), context)

    return attempt


async def blocked_address(it: Daemon) -> int:
    """A BMS that [modbus.tcp] allow does not know."""
    stranger = trio.socket.socket()
    await stranger.bind(("127.0.0.9", 0))
    await stranger.connect((HOST, it.ports["modbus_tcp"]))
    stranger.close()
    return 0


def modbus(frame: bytes) -> Callable[[Daemon], Awaitable[int]]:
    """A BMS that sends this, from an address that is allowed."""

    async def attempt(it: Daemon) -> int:
        async with await trio.open_tcp_stream(HOST, it.ports["modbus_tcp"]) as stream:
            await stream.send_all(frame)
            await it.refusal_noted()
        return 0

    return attempt


READ_UNIT_7 = bytes.fromhex("000100000006070300000001")
WRITE_HEARTBEAT = bytes.fromhex("000100000006010600090001")
RTU_OVER_TCP = bytes.fromhex("010300000001840a")
Fault = Callable[[Daemon], Awaitable[int]]
FAULTS: list[tuple[Fault, str, Cause, int, str, str]] = [
    (wrong_identity, TOML, Cause.unknown_identity, 404, "CP01", "Adopt it"),
    (no_subprotocol, TOML, Cause.no_subprotocol, 101, "CP001", "OCPP 1.6J"),
    (bad_encoding, TOML, Cause.bad_encoding, 400, "", "%20"),
    (soap, TOML, Cause.no_websocket, 426, "", "not to SOAP"),
    (no_password, TOML, Cause.no_password, 401, "CP002", "AuthorizationKey"),
    (wrong_password, TOML, Cause.wrong_password, 401, "CP002", "same password"),
    (locked_out, TOML, Cause.locked_out, 429, "CP002", "wait a minute"),
    (profile_too_low, TOML, Cause.profile_too_low, 403, "CP003", "higher security profile"),
    (not_allowed, TOML, Cause.not_allowed, 403, "CP001", "`allowed`"),
    (duplicate, TOML, Cause.duplicate, 409, "CP001", "give each its own"),
    (tls_on_plain_port, TOML, Cause.tls_on_plain_port, 0, "", "port of [ocpp.tls]"),
    (plain_on_tls_port, TOML, Cause.plain_on_tls_port, 400, "CP001", "wss://"),
    (authority_unknown, TOML, Cause.authority_unknown, 0, "", "Install authority.pem"),
    (another_host, TOML, Cause.our_certificate_refused, 0, "", "name or address"),
    (hangs_up, TOML, Cause.tls_broken_off, 0, "", "install authority.pem"),
    (tls_too_old, TOML, Cause.tls_too_old, 0, "", "TLS 1.2 or 1.3"),
    (no_shared_cipher, TOML, Cause.no_shared_cipher, 0, "", "key_type"),
    (certificate_missing, CERTIFIED, Cause.certificate_missing, 0, "", "SignCertificate"),
    (showing(FOREIGN), CERTIFIED, Cause.certificate_foreign, 0, "", "client_ca"),
    (showing(OWN, dates=PAST), CERTIFIED, Cause.certificate_expired, 0, "", "new certificate"),
    (showing(OWN, dates=FUTURE), CERTIFIED, Cause.certificate_not_yet_valid, 0, "", "clocks"),
    (showing(OWN, "CP002"), CERTIFIED, Cause.certificate_name, 403, "CP001", "common name"),
    (blocked_address, TOML, Cause.address_not_allowed, 0, "", "[modbus.tcp] allow"),
    (modbus(READ_UNIT_7), TOML, Cause.wrong_unit_id, 0, "", "[modbus] unit_id"),
    (modbus(WRITE_HEARTBEAT), READ_ONLY, Cause.writes_off, 0, "", "[modbus] writes"),
    (modbus(RTU_OVER_TCP), TOML, Cause.not_modbus_tcp, 0, "", "RTU over TCP"),
]


@pytest.mark.parametrize(
    ("fault", "toml", "cause", "status", "identity", "advice"), FAULTS, ids=[str(fault[2]) for fault in FAULTS]
)
async def test_a_seeded_fault_is_named_right(
    fault: Fault, toml: str, cause: Cause, status: int, identity: str, advice: str, tmp_path: Path
) -> None:
    async with daemon(tmp_path, toml) as it:
        with trio.fail_after(10):
            assert await fault(it) == status
        refusal = await it.refusal()
        assert (refusal.cause, refusal.status, refusal.identity) == (cause, status, identity)
        assert refusal.address == ("127.0.0.9" if cause is Cause.address_not_allowed else HOST)
        assert advice in refusal.remedy
        assert "  " not in refusal.remedy
        assert refusal.remedy.endswith(".")
        assert not refusal.why.endswith(".")


def test_every_cause_has_a_remedy() -> None:
    assert set(REMEDIES) == set(Cause)


async def test_who_dials_as_it_should_is_no_event(tmp_path: Path) -> None:
    async with daemon(tmp_path, TOML) as it:
        peer = await it.dial(it.believes())
        assert await peer.upgrade(request(b"/ocpp/CP003", Authorization=basic("CP003", "secret"))) == 101
        assert (await peer.boot())["status"] == "Accepted"
        assert it.gateway.site.refusals.latest == []


@pytest.mark.parametrize("port", ["ocpp", "ocpp_tls"])
async def test_nor_is_who_only_looks_whether_the_port_is_open(port: str, tmp_path: Path) -> None:
    async with daemon(tmp_path, TOML) as it:
        stream = await trio.open_tcp_stream(HOST, it.ports[port])
        await stream.send_eof()
        with trio.fail_after(5):
            assert await stream.receive_some() == b""
        assert it.gateway.site.refusals.latest == []


async def test_strangers_are_listed_for_adoption(tmp_path: Path) -> None:
    async with daemon(tmp_path, TOML) as it:
        for _ in range(3):
            assert await ask(it, request(b"/ocpp/NEW%201")) == 404
        await ask(it, request(b"/ocpp/" + 49 * b"x"))  # longer than any that can be configured
        (knock,) = it.gateway.site.refusals.knocking
        assert (knock.identity, knock.address, knock.count) == ("NEW 1", HOST, 3)
        await it.reload(TOML + '[[charge_point]]\nnumber = 4\nidentity = "NEW 1"\n')
        peer = await it.dial()
        assert await peer.upgrade(request(b"/ocpp/NEW%201")) == 101
        await peer.boot()
        assert it.gateway.site.refusals.knocking == []
