"""The gateway's certificates: made, renewed, replaced, and what happens when they cannot be."""

from __future__ import annotations

import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gatewayd import config
from gatewayd.certificates import AUTHORITY, CERTIFICATE, EXPIRES, PAGE, Certificates, faults, upstream_context
from gatewayd.certify import (
    UNUSABLE,
    Answer,
    Certified,
    MakeRequest,
    Renew,
    Standing,
    Unusable,
    Wish,
    done,
    in_a_process,
)  # fmt: skip
from gatewayd.services.authority import SERVER_LIFE
from gatewayd.services.tls import UnusableCertificate
from gatewayd.site.certificate import Signed
from gatewayd.site.codes import GatewayState
from gatewayd.site.model import Site
from tests.services.ocpp_peer import EPOCH, Peer, basic, request
from tests.services.secure_daemon import PORTS, TLS, Daemon, daemon
from tests.services.secure_plant import HOST, Papers, certify, client, pem
from tests.services.test_authority import request as signing_request

CP = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\n'
OWN = trustme.CA()
PAPERS = certify(OWN, HOST)
DAY_S = 86400


def inline(papers: Papers) -> str:
    return f'certificate = """{papers.certificate}"""\nkey = """{papers.key}"""\n'


def shown(state: Path) -> x509.Certificate:
    """What the gateway made for itself."""
    return x509.load_pem_x509_certificate((state / "server.pem").read_bytes())


def names(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in found]


def certificates(state: Path) -> Certificates:
    return Certificates(state, Site(), lambda context: None, certify_by=done)


class TestOfThePage:
    TOML = '[ocpp.tls]\nkey_type = "ec"\n'

    def made(self, folder: Path, toml: str = TOML) -> tuple[Certificates, Path]:
        (folder / "state").mkdir(exist_ok=True)
        found = Certificates(folder / "state", Site(), lambda context: None, folder / "run", done)
        found.refresh(config.parse(toml, "c.toml"), EPOCH)
        return found, folder / "run" / "page.pem"

    def test_has_a_key_of_its_own_that_its_group_may_read(self, tmp_path: Path) -> None:
        made, file = self.made(tmp_path, TLS)
        assert made.troubles == {}
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        state = tmp_path / "state"
        assert (state / "page.key").read_text() in file.read_text()
        assert (state / "page.key").read_text() != (state / "server.key").read_text()
        assert stat.S_IMODE((state / "page.key").stat().st_mode) == 0o600
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        chain = x509.load_pem_x509_certificates(file.read_bytes())
        assert certificate_of(state / "authority.pem") == chain[1]
        chain[0].verify_directly_issued_by(chain[1])
        assert "192.168.100.246" in names(chain[0])

    def test_stays_over_restarts_and_is_written_only_when_it_is_another(self, tmp_path: Path) -> None:
        made, file = self.made(tmp_path)
        before, text = file.stat().st_ino, file.read_text()
        made.refresh(config.parse(self.TOML, "c.toml"), EPOCH + DAY_S)
        assert file.stat().st_ino == before
        file.unlink()  # the power went: what is in /run is gone
        assert self.made(tmp_path)[1].read_text() == text
        assert self.made(tmp_path, '[gateway]\nname = "other"\n' + self.TOML)[1].read_text() != text

    def test_is_good_for_the_names_that_the_configuration_gives(self, tmp_path: Path) -> None:
        _, file = self.made(tmp_path, self.TOML + '[web]\nnames = ["gateway.example.com"]\n')
        assert "gateway.example.com" in names(x509.load_pem_x509_certificates(file.read_bytes())[0])

    def test_is_none_where_there_is_no_page_or_nowhere_to_put_it(self, tmp_path: Path) -> None:
        assert not self.made(tmp_path, "[web]\nport = -1\n" + self.TOML)[1].exists()
        certificates(tmp_path / "state").refresh(config.parse(self.TOML, "c.toml"), EPOCH)
        assert not (tmp_path / "state" / "page.key").exists()

    def test_a_place_that_takes_nothing_is_a_trouble_and_no_crash(self, tmp_path: Path) -> None:
        (tmp_path / "run").write_text("")
        made, _ = self.made(tmp_path)
        assert set(made.troubles) == {PAGE}


class TestTheEndOfTheUsers:
    """Who brings a certificate must renew it, and is told in time."""

    ENDS = x509.load_pem_x509_certificates(PAPERS.certificate.encode())[0].not_valid_after_utc.timestamp()
    TOML = "[ocpp.tls]\n" + inline(PAPERS)

    @pytest.mark.parametrize(
        ("before_s", "warned", "shown"), [(31 * DAY_S, False, True), (29 * DAY_S, True, True), (-60, True, False)]
    )
    def test_its_end_is_told_in_time(self, tmp_path: Path, before_s: float, warned: bool, shown: bool) -> None:
        made = Certificates(tmp_path, Site(), lambda context: None, tmp_path / "run", done)
        made.refresh(config.parse(self.TOML, "c.toml"), self.ENDS - before_s)
        assert (EXPIRES in made.troubles) is warned
        assert made.until == self.ENDS
        assert (tmp_path / "run" / "page-site.pem").exists() is shown

    async def test_the_site_knows_it_until_it_is_taken_away(self, tmp_path: Path) -> None:
        site = Site()
        made = Certificates(tmp_path, site, lambda context: None, tmp_path / "run", done)
        await made.look(config.parse(self.TOML, "c.toml"))
        assert site.certificate_until == self.ENDS
        await made.look(config.parse("", "c.toml"))
        assert site.certificate_until is None
        assert EXPIRES not in site.troubles
        assert not (tmp_path / "run" / "page-site.pem").exists()


def certificate_of(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


class TestOfItsOwn:
    def test_are_made_once_and_kept(self, tmp_path: Path) -> None:
        parsed = config.parse(TLS, "c.toml")
        first = certificates(tmp_path)
        first.refresh(parsed, EPOCH)
        assert first.troubles == {}
        assert first.context is not None
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert set(files) == {"authority.pem", "authority.key", "server.pem", "server.key"}
        again = certificates(tmp_path)
        again.refresh(parsed, EPOCH + DAY_S)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files

    def test_without_tls_there_is_an_authority_alone(self, tmp_path: Path) -> None:
        made = certificates(tmp_path)
        made.refresh(config.parse('[ocpp.tls]\nkey_type = "ec"\n', "c.toml"), EPOCH)
        assert {path.name for path in tmp_path.iterdir()} == {"authority.pem", "authority.key"}
        assert made.context is None

    def test_are_renewed_in_time_while_it_runs(self, tmp_path: Path) -> None:
        parsed, made = config.parse(TLS, "c.toml"), certificates(tmp_path)
        contexts = []
        for day in range(0, 800, 5):
            made.refresh(parsed, EPOCH + day * DAY_S)
            if made.context not in contexts:
                contexts.append(made.context)
            left_s = shown(tmp_path).not_valid_after_utc.timestamp() - EPOCH - day * DAY_S
            assert left_s > SERVER_LIFE.total_seconds() / 3 - 5 * DAY_S
        assert len(contexts) == 4

    def test_hold_the_names_that_it_is_given(self, tmp_path: Path) -> None:
        made = certificates(tmp_path)
        made.refresh(config.parse('[gateway]\nname = "Boiler-3"\n[ocpp]\nhost = "10.9.8.7"\n' + TLS, "c.toml"), EPOCH)
        assert {"boiler-3", "10.9.8.7", "192.168.100.246"} <= set(names(shown(tmp_path)))
        static = '[network]\nmode = "static"\naddress = "10.1.2.3/24"\nrouter = ""\n'
        made.refresh(config.parse(static + TLS, "c.toml"), EPOCH)
        assert "10.1.2.3" in names(shown(tmp_path))
        assert "boiler-3" not in names(shown(tmp_path))

    def test_a_damaged_authority_is_a_trouble_and_no_crash(self, tmp_path: Path) -> None:
        parsed, made = config.parse(TLS, "c.toml"), certificates(tmp_path)
        made.refresh(parsed, EPOCH)
        (tmp_path / "authority.key").write_text("damaged")
        again = certificates(tmp_path)
        again.refresh(parsed, EPOCH)
        assert set(again.troubles) == {AUTHORITY, CERTIFICATE}
        assert again.context is None
        assert "damaged" not in str(again.troubles)

    def test_a_disk_that_takes_nothing_is_one(self, tmp_path: Path) -> None:
        made = certificates(tmp_path / "missing")
        made.refresh(config.parse(TLS, "c.toml"), EPOCH)
        assert set(made.troubles) == {AUTHORITY, CERTIFICATE}
        (tmp_path / "missing").mkdir()
        made.refresh(config.parse(TLS, "c.toml"), EPOCH)
        assert made.troubles == {}
        assert made.context is not None

    def test_what_serves_goes_on_serving_while_the_disk_takes_nothing(self, tmp_path: Path) -> None:
        parsed, made = config.parse(TLS, "c.toml"), certificates(tmp_path)
        made.refresh(parsed, EPOCH)
        context = made.context
        (tmp_path / "server.pem.new").mkdir()  # nothing can be written in its place
        made.refresh(parsed, EPOCH + 300 * DAY_S)
        assert set(made.troubles) == {CERTIFICATE}
        assert made.context is context


def csr(name: str) -> str:
    return signing_request(name, ec.generate_private_key(ec.SECP256R1()))


class Counted:
    """Does the work, and counts; or cannot."""

    def __init__(self) -> None:
        self.wishes: list[Wish] = []
        self.fails = False

    def __call__(self, wish: Wish) -> Answer:
        self.wishes.append(wish)
        if self.fails:
            raise OSError("its program failed")
        return done(wish)


class TestTheProgram:
    def made(self, folder: Path) -> tuple[Certificates, Counted]:
        counted = Counted()
        return Certificates(folder, Site(), lambda context: None, certify_by=counted), counted

    def test_does_in_a_process_of_its_own_what_it_does_here(self, tmp_path: Path) -> None:
        wish = Wish(str(tmp_path), "kit", "ec", EPOCH, [Renew([HOST], [], PAPERS.certificate), MakeRequest([HOST])])
        first = in_a_process(wish)
        assert first.results[0] == done(wish).results[0]
        standing, request = first.results
        assert isinstance(standing, Standing)
        assert standing.begins <= EPOCH < standing.ends
        assert isinstance(request, Certified)
        assert x509.load_pem_x509_csr(request.pem.encode()).is_signature_valid
        assert certify_with_damaged(tmp_path).results == [Unusable(UNUSABLE)]

    def test_that_cannot_be_run_says_why(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.executable", "/bin/false")
        with pytest.raises(OSError, match=r"its program failed: Command .* returned non-zero exit status 1"):
            in_a_process(Wish(str(tmp_path), "kit", "ec", EPOCH, []))

    def test_is_started_only_where_something_is_due(self, tmp_path: Path) -> None:
        parsed, (made, counted) = config.parse(TLS, "c.toml"), self.made(tmp_path)
        for day in range(30):
            made.refresh(parsed, EPOCH + day * DAY_S)
        assert len(counted.wishes) == 1
        made.refresh(config.parse('[gateway]\nname = "other"\n' + TLS, "c.toml"), EPOCH)
        assert len(counted.wishes) == 2
        (tmp_path / "server.pem").unlink()
        for _ in range(2):
            made.refresh(config.parse('[gateway]\nname = "other"\n' + TLS, "c.toml"), EPOCH)
        assert len(counted.wishes) == 3
        assert (tmp_path / "server.pem").exists()

    def test_is_started_again_until_it_succeeds(self, tmp_path: Path) -> None:
        parsed, (made, counted) = config.parse(TLS, "c.toml"), self.made(tmp_path)
        made.refresh(parsed, EPOCH)
        (tmp_path / "server.pem").unlink()
        context, counted.fails = made.context, True
        for tries in (2, 3):
            made.refresh(parsed, EPOCH)
            assert len(counted.wishes) == tries
        assert made.troubles[AUTHORITY] == f"{UNUSABLE}: its program failed"
        assert made.context is context
        counted.fails = False
        made.refresh(parsed, EPOCH)
        assert made.troubles == {}

    def test_that_fails_takes_nothing_away(self, tmp_path: Path) -> None:
        counted = Counted()
        made = Certificates(tmp_path / "state", Site(), lambda context: None, tmp_path / "run", counted)
        (tmp_path / "state").mkdir()
        toml = TLS + inline(PAPERS)
        made.refresh(config.parse(toml, "c.toml"), EPOCH)
        until = made.until
        counted.fails = True
        made.refresh(config.parse('[gateway]\nname = "other"\n' + toml, "c.toml"), EPOCH)
        assert set(made.troubles) == {AUTHORITY}
        assert made.until == until is not None
        assert (tmp_path / "run" / "page-site.pem").exists()

    async def test_signs_for_all_who_asked_at_once(self, tmp_path: Path) -> None:
        parsed, (made, counted) = config.parse(TLS, "c.toml"), self.made(tmp_path)
        await made.look(parsed)
        signed: list[Signed | str] = []
        last = trio.Event()
        async with trio.open_nursery() as nursery:
            for name in ("CP001", "CP002"):
                made.sign(csr("CP001"), name, signed.append)
            made.check(csr("CP001"), "CP001", lambda why: last.set() if not why else None)
            nursery.start_soon(made.keep, lambda: parsed)
            await last.wait()
            nursery.cancel_scope.cancel()
        assert isinstance(signed[0], Signed)
        assert signed[1] == "its common name is 'CP001', not 'CP002'"
        assert len(counted.wishes) == 2

    async def test_that_fails_signs_for_nobody(self, tmp_path: Path) -> None:
        parsed, (made, counted) = config.parse(TLS, "c.toml"), self.made(tmp_path)
        await made.look(parsed)
        counted.fails, refused = True, trio.Event()
        async with trio.open_nursery() as nursery:
            made.sign(csr("CP001"), "CP001", lambda signed: refused.set() if signed == UNUSABLE else None)
            nursery.start_soon(made.keep, lambda: parsed)
            await refused.wait()
            nursery.cancel_scope.cancel()

    def test_its_library_is_not_in_the_gateway(self) -> None:
        """It would be a fifth of its memory, and the authority's key would be where the network comes in."""
        code = "import sys, gatewayd.__main__; raise SystemExit('cryptography' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def certify_with_damaged(folder: Path) -> Answer:
    (folder / "authority.key").write_text("damaged")
    return done(Wish(str(folder), "kit", "ec", EPOCH, [MakeRequest([HOST])]))


class TestOfTheUsers:
    def test_are_shown_instead(self, tmp_path: Path) -> None:
        made = certificates(tmp_path)
        made.refresh(config.parse(TLS + inline(PAPERS), "c.toml"), EPOCH)
        assert made.troubles == {}
        assert made.context is not None
        assert not (tmp_path / "server.pem").exists()

    def test_are_read_again_when_their_files_change(self, tmp_path: Path) -> None:
        files = {"certificate": tmp_path / "own.pem", "key": tmp_path / "own.key"}
        toml = TLS + "".join(f'{name} = "{path}"\n' for name, path in files.items())
        made = certificates(tmp_path)
        made.refresh(config.parse(toml, "c.toml"), EPOCH)
        why = "cannot be read: No such file or directory"
        assert made.troubles[CERTIFICATE] == f"ocpp.tls.certificate: {files['certificate']} {why}"
        contexts = [made.context]
        for papers in (PAPERS, certify(OWN, HOST)):
            files["certificate"].write_text(papers.certificate)
            made.refresh(config.parse(toml, "c.toml"), EPOCH)
            files["key"].write_text(papers.key)
            made.refresh(config.parse(toml, "c.toml"), EPOCH)
            assert made.troubles == {}
            contexts.append(made.context)
        assert len(set(map(id, contexts))) == 3

    @pytest.mark.parametrize(
        ("table", "key"),
        [
            (TLS + inline(Papers(PAPERS.certificate, certify(OWN, HOST).key)), "ocpp.tls.key"),
            (TLS + 'certificate = "/none.pem"\nkey = "/none.key"\n', "ocpp.tls.certificate"),
            (TLS + inline(PAPERS) + 'client_ca = "/none.pem"\n', "ocpp.tls.client_ca"),
            (TLS + 'client_ca = "/none.pem"\n', "ocpp.tls.client_ca"),
            ('[ocpp.upstream]\nca = "/none.pem"\n', "ocpp.upstream.ca"),
            ("[ocpp.upstream]\n" + inline(Papers(PAPERS.certificate, certify(OWN, HOST).key)), "ocpp.upstream.key"),
        ],
    )
    def test_a_fault_in_them_is_named_by_its_key(self, table: str, key: str) -> None:
        found = list(faults(config.parse(table, "c.toml")))
        assert [path for path, _ in found] == [key]
        assert "PRIVATE" not in str(found)

    @pytest.mark.parametrize("table", ["", TLS, TLS + inline(PAPERS), "[ocpp.upstream]\n" + inline(PAPERS)])
    def test_good_ones_have_none(self, table: str) -> None:
        assert list(faults(config.parse(table, "c.toml"))) == []

    def test_a_file_that_is_no_text_is_a_fault(self, tmp_path: Path) -> None:
        (tmp_path / "own.der").write_bytes(bytes(range(256)))
        (fault,) = faults(config.parse(f'[ocpp.tls]\nclient_ca = "{tmp_path}/own.der"\n', "c.toml"))
        assert fault == ("ocpp.tls.client_ca", f"{tmp_path}/own.der is no PEM text")


async def boots(it: Daemon, context: ssl.SSLContext | None = None, authorization: bytes = b"") -> Peer:
    peer = await it.dial(context)
    assert await peer.upgrade(request(Authorization=authorization) if authorization else request()) == 101
    assert (await peer.boot())["status"] == "Accepted"
    return peer


def state(it: Daemon) -> GatewayState:
    return it.gateway.site.state


class TestTheDaemon:
    async def test_is_believed_by_who_has_its_authority(self, tmp_path: Path) -> None:
        async with daemon(tmp_path, PORTS + TLS + CP) as it:
            await boots(it, it.believes())
            assert it.gateway.site.charge_points["CP001"].security_profile == 2
            assert state(it) is GatewayState.running
            assert "PRIVATE" not in it.authority

    async def test_tls_comes_and_goes_at_sighup_and_no_link_drops(self, tmp_path: Path) -> None:
        async with daemon(tmp_path, PORTS + CP) as it:
            assert it.ports["ocpp_tls"] is None
            peer = await boots(it)
            await it.reload(PORTS + TLS + CP)
            await it.dial(it.believes())
            assert await peer.call("Heartbeat", {}, "2")
            await it.reload(PORTS + CP)
            assert it.ports["ocpp_tls"] is None
            assert await peer.call("Heartbeat", {}, "3")

    async def test_a_certificate_of_the_users_takes_over_at_sighup(self, tmp_path: Path) -> None:
        async with daemon(tmp_path, PORTS + TLS + CP) as it:
            port = it.ports["ocpp_tls"]
            toml = PORTS + TLS.replace("port = 0", f"port = {port}") + inline(PAPERS) + CP
            await it.reload(toml)
            assert it.ports["ocpp_tls"] == port
            await boots(it, client(OWN))

    async def test_one_that_cannot_be_used_leaves_it_degraded_with_the_old_one(self, tmp_path: Path) -> None:
        async with daemon(tmp_path, PORTS + TLS + CP) as it:
            wrong = Papers(PAPERS.certificate, certify(OWN, HOST).key)
            await it.reload(PORTS + TLS + inline(wrong) + CP)
            assert state(it) is GatewayState.degraded
            await boots(it, it.believes())
            await it.reload(PORTS + TLS + inline(PAPERS) + CP)
            assert state(it) is GatewayState.running
            await boots(it, client(OWN))

    async def test_one_that_cannot_be_used_from_the_start_keeps_nothing_else_from_working(self, tmp_path: Path) -> None:
        toml = PORTS + TLS + 'certificate = "/none.pem"\nkey = "/none.key"\n' + CP
        async with daemon(tmp_path, toml) as it:
            assert state(it) is GatewayState.degraded
            await boots(it)
            with pytest.raises(trio.BrokenResourceError):
                await it.dial(it.believes())

    async def test_client_ca_requires_certificates_and_our_own_are_believed_too(self, tmp_path: Path) -> None:
        toml = PORTS + TLS + f'client_ca = """{pem(OWN)}"""\n' + CP
        async with daemon(tmp_path, toml) as it:
            context = it.believes()
            with trustme.Blob((PAPERS_OF_CP.certificate + PAPERS_OF_CP.key).encode()).tempfile() as file:
                context.load_cert_chain(file)
            await boots(it, context)
            assert it.gateway.site.charge_points["CP001"].security_profile == 3

    async def test_passwords_are_asked_for_on_both_ports(self, tmp_path: Path) -> None:
        async with daemon(tmp_path, PORTS + TLS + CP + 'password = "secret"\n') as it:
            for context, profile in ((None, 1), (it.believes(), 2)):
                assert await (await it.dial(context)).upgrade() == 401
                await boots(it, context, basic("CP001", "secret"))
                assert it.gateway.site.charge_points["CP001"].security_profile == profile


PAPERS_OF_CP = certify(OWN, "CP001")


def test_upstream_without_anything_believes_the_system() -> None:
    context = upstream_context(config.parse("", "c.toml").ocpp.upstream)
    assert context.verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(UnusableCertificate, match=r"ocpp\.upstream\.ca"):
        upstream_context(config.parse('[ocpp.upstream]\nca = "/none"\n', "c.toml").ocpp.upstream)
