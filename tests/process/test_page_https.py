"""HTTPS of the page, as on the appliance: the real webd with the papers that the real gatewayd made for it."""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import PIPE

import pytest
import trio
import trustme

from gatewayd.config_tables import Web
from gatewayd.web.__main__ import place
from gatewayd.web.papers import Papers
from gatewayd.web.settings import Settings
from tests.process.daemon import Daemon, charge_points, running, until_ready

WEBD = Path(sys.executable).with_name("webd")
PAGE = "[web]\nport = 0\n"
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def page(daemon: Daemon, given: socket.socket | None = None) -> AsyncIterator[int]:
    """webd beside it; the port that it serves. `given` is bound already, and handed over as systemd does it."""
    state = daemon.folder / "webd"
    program = [str(WEBD)] if WEBD.exists() else [sys.executable, "-m", "gatewayd.web"]
    options = ["--config", str(daemon.config), "--state", str(state), "--run", str(daemon.folder / "run")]
    if given is not None:
        handed = f'exec 3<&{given.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        program = ["bash", "-c", handed, "bash", *program]
    with daemon.log.open("ab") as log:
        process = await trio.lowlevel.open_process(
            [*program, *options, "--appliance"],
            stdout=PIPE,
            stderr=log,
            pass_fds=[] if given is None else [given.fileno()],
        )
    try:
        await until_ready(process, daemon.logged)
        yield json.loads((state / "web.json").read_text())["port"]
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()


async def ask(port: int, authority: str) -> bytes:
    """The head of the answer to somebody who believes this authority."""
    context = ssl.create_default_context(cadata=authority)
    stream = trio.SSLStream(
        await trio.open_tcp_stream("127.0.0.1", port), context, server_hostname="127.0.0.1", https_compatible=True
    )
    received = b""
    with trio.fail_after(20):
        async with stream:
            await stream.send_all(GET % port)
            async for data in stream:
                received += data
    return received.partition(b"\r\n\r\n")[0]


async def test_the_page_is_believed_by_who_has_the_gateways_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    daemon = Daemon(tmp_path, charge_points("CP001"))
    daemon.config.write_text(daemon.config.read_text().replace("[web]\nport = -1\n", PAGE))
    (tmp_path / "run").mkdir()
    async with page(daemon) as port:  # first: the page may be up before the gateway
        async with await trio.open_tcp_stream("127.0.0.1", port) as plain:
            received = b""
            with trio.fail_after(20), suppress(trio.BrokenResourceError):  # closed with its bytes unread is a reset
                await plain.send_all(GET % port)
                received = bytes(await plain.receive_some(100))
            assert received == b""  # nothing to show yet: and nothing in plain either
        async with running(daemon):
            authority = (daemon.state / "authority.pem").read_text()
            head = await ask(port, authority)
            assert head.split(b" ")[1][:1] in (b"2", b"3"), head
            assert (tmp_path / "run" / "page.pem").exists()
            with pytest.raises(trio.BrokenResourceError):
                await ask(port, trustme.CA().cert_pem.bytes().decode())


async def test_it_serves_the_socket_that_systemd_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    daemon = Daemon(tmp_path, charge_points("CP001"))
    daemon.config.write_text(daemon.config.read_text().replace("[web]\nport = -1\n", PAGE))
    (tmp_path / "run").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        async with running(daemon), page(daemon, given) as served:
            assert served == port
            head = await ask(port, (daemon.state / "authority.pem").read_text())
            assert head.split(b" ")[1][:1] in (b"2", b"3"), head


def test_papers_are_read_again_when_they_are_others_and_kept_while_they_are_none(tmp_path: Path) -> None:
    file, authority = tmp_path / "page.pem", trustme.CA()
    papers = Papers(file)
    with pytest.raises(OSError, match=r"page.pem"):
        papers()
    file.write_text("no PEM")
    for _ in range(2):
        with pytest.raises(OSError):
            papers()
    authority.issue_cert("one.example").private_key_and_cert_chain_pem.write_to_path(file)
    os.utime(file, (1, 1))
    first = papers()
    assert papers() is first
    authority.issue_cert("two.example").private_key_and_cert_chain_pem.write_to_path(file)
    os.utime(file, (2, 2))
    second = papers()
    assert second is not first
    file.write_text("half a f")
    assert papers() is second
    file.unlink()
    assert papers() is second


def handshake(papers: Papers, believes: trustme.CA, name: str) -> None:
    """A browser's, in memory, with this page. Raises ssl.SSLCertVerificationError for who is shown another's."""
    context = ssl.create_default_context(cadata=believes.cert_pem.bytes().decode())
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    browser = context.wrap_bio(there, here, server_hostname=name)
    page = papers().wrap_bio(here, there, server_side=True)
    for turn in range(6):
        try:
            (browser if turn % 2 == 0 else page).do_handshake()
        except ssl.SSLWantReadError:
            continue


def test_a_browser_is_shown_the_sites_own_certificate_by_a_name_in_it(tmp_path: Path) -> None:
    own, site = trustme.CA(), trustme.CA()
    names = "gateway.lan", "192.0.2.7", "plant.site.example"
    own.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(tmp_path / "page.pem")
    papers = Papers(tmp_path / "page.pem", tmp_path / "page-site.pem")
    handshake(papers, own, "plant.site.example")
    site.issue_cert("*.site.example").private_key_and_cert_chain_pem.write_to_path(tmp_path / "page-site.pem")
    handshake(papers, site, "plant.site.example")
    handshake(papers, site, "PLANT.site.example")
    handshake(papers, own, "gateway.lan")
    handshake(papers, own, "192.0.2.7")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(papers, own, "plant.site.example")
    (tmp_path / "page-site.pem").unlink()
    handshake(papers, own, "plant.site.example")


def test_the_appliance_has_other_defaults_and_takes_what_is_configured() -> None:
    here, there = (Settings(Path(), Path(), Path(), appliance=each) for each in (False, True))
    assert place(here, Web()) == ("127.0.0.1", 8080)
    assert place(there, Web())[1] == 443
    assert place(there, Web())[0] in ("::", "0.0.0.0")
    assert place(there, Web("192.0.2.7", 8443)) == ("192.0.2.7", 8443)
