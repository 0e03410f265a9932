"""SignCertificate: who decides, what is signed, and that CertificateSigned follows by itself (ocpp.md, Security)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gatewayd.ocpp import certificate_signing
from gatewayd.ocpp.certificate_signing import LOOKED_AT_MAX, PAUSE_S
from gatewayd.services.authority import Authority
from gatewayd.site import kept
from gatewayd.site.certificate import Signed, Signer, UnusableRequest
from gatewayd.site.codes import CommandCode, CommandError, CommandState, ResponseStatus
from gatewayd.site.decision import Verdict
from tests.kit import EPOCH, Kit, WireEnd

ASKING = "[ocpp]\nask_bms = ['SignCertificate']\n"
MAILBOX = 5400
KEY = ec.generate_private_key(ec.SECP256R1())


def csr(name: str = "CP001") -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(KEY, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


class AtOnce:
    """The gateway's authority, which answers while it is asked."""

    def __init__(self, directory: Path) -> None:
        self._authority = Authority(directory, "kit", "ec", now=datetime.fromtimestamp(EPOCH, UTC))

    def check(self, request: str, identity: str, heard: Callable[[str], None]) -> None:
        try:
            self._authority.check(request, identity)
        except UnusableRequest as error:
            heard(str(error))
        else:
            heard("")

    def sign(self, request: str, identity: str, heard: Callable[[Signed | str], None]) -> None:
        try:
            heard(self._authority.sign(request, identity, now=datetime.fromtimestamp(EPOCH, UTC)))
        except UnusableRequest as error:
            heard(str(error))


class Later(AtOnce):
    """It answers when it is told to."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.works: list[Callable[[], None]] = []

    def check(self, request: str, identity: str, heard: Callable[[str], None]) -> None:
        self.works.append(partial(super().check, request, identity, heard))

    def sign(self, request: str, identity: str, heard: Callable[[Signed | str], None]) -> None:
        self.works.append(partial(super().sign, request, identity, heard))

    def work(self) -> None:
        self.works.pop(0)()


@pytest.fixture
def authority(tmp_path: Path) -> AtOnce:
    return AtOnce(tmp_path)


def booted(signer: Signer | None, toml: str = "", profile: int = 2, *, known: bool = True) -> tuple[Kit, WireEnd]:
    """A charge point on a link of this profile, that showed who it is or not."""
    kit = Kit(toml)
    kit.site.signer = signer
    kit.site.on_registered.append(certificate_signing.registered)
    return kit, came(kit, profile, known=known)


def came(kit: Kit, profile: int = 2, *, known: bool = True) -> WireEnd:
    end = kit.connect()
    cp = kit.site.charge_points["CP001"]
    cp.security_profile, cp.authenticated = profile, known
    end.boot()
    return end


def certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificates(pem.encode())[0]


class TestThePolicy:
    @pytest.mark.parametrize("profile", [2, 3])
    def test_signs_for_who_came_over_tls_and_showed_who_it_is(self, authority: AtOnce, profile: int) -> None:
        kit, end = booted(authority, profile=profile)
        assert end.send("SignCertificate", {"csr": csr()}) == {"status": "Accepted"}
        (call,) = end.calls()
        assert call.action == "CertificateSigned"
        chain = x509.load_pem_x509_certificates(call.payload["certificateChain"].encode())
        assert chain[0].public_key() == KEY.public_key()
        chain[0].verify_directly_issued_by(chain[1])
        end.answer(call, {"status": "Accepted"})
        assert kit.site.charge_points["CP001"].signed_chain == ""
        assert kit.site.charge_points["CP001"].certificate_until == chain[0].not_valid_after_utc.timestamp()

    @pytest.mark.parametrize(("profile", "known"), [(0, False), (1, True), (2, False)])
    def test_signs_for_nobody_else(self, authority: AtOnce, profile: int, known: bool) -> None:
        kit, end = booted(authority, profile=profile, known=known)
        assert end.send("SignCertificate", {"csr": csr()}) == {"status": "Rejected"}
        kit.run_for(100)
        assert [call.action for call in end.calls()] == []

    def test_signs_nothing_without_an_authority(self) -> None:
        _, end = booted(None)
        assert end.send("SignCertificate", {"csr": csr()}) == {"status": "Rejected"}

    @pytest.mark.parametrize(("bad", "why"), [(csr("CP002"), "common name"), ("-----BEGIN", "no PEM request")])
    def test_an_unusable_request_is_rejected_and_logged(
        self, bad: str, why: str, authority: AtOnce, caplog: pytest.LogCaptureFixture
    ) -> None:
        _, end = booted(authority)
        with caplog.at_level(logging.WARNING):
            assert end.send("SignCertificate", {"csr": bad}) == {"status": "Rejected"}
        assert why in caplog.text
        assert end.calls() == []

    def test_who_asks_without_end_costs_little(self, authority: AtOnce, caplog: pytest.LogCaptureFixture) -> None:
        kit, end = booted(authority)
        with caplog.at_level(logging.INFO):
            answers = [end.send("SignCertificate", {"csr": csr()})["status"] for _ in range(100)]
        assert answers == [*LOOKED_AT_MAX * ["Accepted"], *(100 - LOOKED_AT_MAX) * ["Rejected"]]
        assert len(caplog.records) < 5
        kit.run_for(PAUSE_S)
        assert end.send("SignCertificate", {"csr": csr()}) == {"status": "Accepted"}


class TestAnAuthorityThatTakesAMoment:
    def test_signs_when_it_comes_to_it(self, tmp_path: Path) -> None:
        later = Later(tmp_path)
        _, end = booted(later)
        assert end.send("SignCertificate", {"csr": csr()}, "s") is None
        later.work()
        assert end.answer_to("s") == {"status": "Accepted"}
        assert [call.action for call in end.calls()] == ["CertificateSigned"]

    def test_its_certificate_waits_for_a_charge_point_that_left_meanwhile(self, tmp_path: Path) -> None:
        later = Later(tmp_path)
        kit, end = booted(later)
        end.send("SignCertificate", {"csr": csr()})
        end.disconnect()
        later.work()
        assert [call.action for call in came(kit).calls()] == ["CertificateSigned"]

    def test_the_bms_is_asked_after_it_looked(self, tmp_path: Path) -> None:
        later = Later(tmp_path)
        kit, end = booted(later, ASKING)
        end.send("SignCertificate", {"csr": csr()}, "s")
        assert not asked(kit)
        later.work()
        assert asked(kit)
        answer(kit, ResponseStatus.Accepted)
        assert end.answer_to("s") is None
        later.work()
        assert end.answer_to("s") == {"status": "Accepted"}

    def test_the_bms_is_not_asked_for_a_charge_point_that_left_meanwhile(self, tmp_path: Path) -> None:
        later = Later(tmp_path)
        kit, end = booted(later, ASKING)
        end.send("SignCertificate", {"csr": csr()})
        end.disconnect()
        later.work()
        assert not asked(kit)


def asked(kit: Kit) -> bool:
    return bool(kit.site.charge_points["CP001"].decisions.waiting)


class TestTheBms:
    def test_is_asked_again_at_once_after_it_refused(self, authority: AtOnce) -> None:
        kit, end = booted(authority, ASKING, 1, known=False)
        for number, status in enumerate((ResponseStatus.Rejected, ResponseStatus.Accepted)):
            end.send("SignCertificate", {"csr": csr()}, f"s{number}")
            assert asked(kit)
            kit.write(3000 + 88, status)
            kit.write(3000 + 102, kit.read(3060))
            assert [3, f"s{number}", {"status": status.name}] in end.frames()

    @pytest.mark.parametrize("profile", [0, 1, 2])
    def test_decides_whatever_the_profile(self, authority: AtOnce, profile: int) -> None:
        kit, end = booted(authority, ASKING, profile, known=False)
        assert end.send("SignCertificate", {"csr": csr()}, "s") is None
        assert asked(kit)
        answer(kit, ResponseStatus.Accepted)
        assert not asked(kit)
        assert end.answer_to("s") == {"status": "Accepted"}
        (call,) = end.calls()
        assert certificate(call.payload["certificateChain"]).public_key() == KEY.public_key()

    @pytest.mark.parametrize("status", [ResponseStatus.Rejected, ResponseStatus.Blocked])
    def test_may_say_no(self, authority: AtOnce, status: ResponseStatus) -> None:
        kit, end = booted(authority, ASKING)
        end.send("SignCertificate", {"csr": csr()}, "s")
        answer(kit, status)
        assert end.answer_to("s") == {"status": "Rejected"}
        kit.run_for(10)
        assert end.calls() == []

    def test_silence_is_no(self, authority: AtOnce) -> None:
        kit, end = booted(authority, ASKING)
        end.send("SignCertificate", {"csr": csr()}, "s")
        kit.run_for(9)
        assert end.answer_to("s") == {"status": "Rejected"}
        assert end.calls() == []

    def test_is_not_asked_about_what_cannot_be_signed(self, authority: AtOnce) -> None:
        kit, end = booted(authority, ASKING)
        assert end.send("SignCertificate", {"csr": csr("CP002")}) == {"status": "Rejected"}
        assert not asked(kit)

    def test_without_an_authority_whoever_decides_sends_the_certificate(self) -> None:
        kit, end = booted(None, ASKING)
        end.send("SignCertificate", {"csr": csr()}, "s")
        answer(kit, ResponseStatus.Accepted)
        assert end.answer_to("s") == {"status": "Accepted"}
        assert end.calls() == []


def answer(kit: Kit, status: ResponseStatus) -> None:
    """The BMS's decision about what is shown."""
    decisions = kit.site.charge_points["CP001"].decisions
    decisions.respond(decisions.sequence, Verdict(status), kit.site.journal)


class TestTheDelivery:
    def test_comes_after_the_answer(self, authority: AtOnce) -> None:
        _, end = booted(authority)
        end.send("SignCertificate", {"csr": csr()}, "s")
        assert [(frame[0], frame[2] if frame[0] == 2 else frame[1]) for frame in end.frames()[-2:]] == [
            (3, "s"),
            (2, "CertificateSigned"),
        ]

    def test_is_repeated_when_the_link_is_lost_meanwhile(self, authority: AtOnce) -> None:
        kit, end = booted(authority)
        end.send("SignCertificate", {"csr": csr()})
        (first,) = end.calls()
        end.disconnect()
        again = came(kit)
        (call,) = again.calls()
        assert call.payload == first.payload
        again.answer(call, {"status": "Accepted"})
        again.disconnect()
        assert came(kit).calls() == []

    def test_is_repeated_when_nobody_answers(self, authority: AtOnce) -> None:
        kit, end = booted(authority)
        end.send("SignCertificate", {"csr": csr()})
        kit.run_for(61)
        end.disconnect()
        assert [call.action for call in came(kit).calls()] == ["CertificateSigned"]

    def test_waits_until_it_is_registered(self, authority: AtOnce) -> None:
        kit = Kit()
        kit.site.signer = authority
        kit.site.on_registered.append(certificate_signing.registered)
        end = kit.connect()
        cp = kit.site.charge_points["CP001"]
        cp.security_profile, cp.authenticated = 2, True
        assert end.send("SignCertificate", {"csr": csr()}) == {"status": "Accepted"}
        assert end.calls() == []
        end.boot()
        assert [call.action for call in end.calls()] == ["CertificateSigned"]

    def test_a_newer_one_takes_the_place_of_one_that_waits(self, authority: AtOnce) -> None:
        kit, end = booted(authority)
        end.send("SignCertificate", {"csr": csr()})
        (first,) = end.calls()
        kit.run_for(PAUSE_S)
        end.send("SignCertificate", {"csr": csr()})
        end.answer(first, {"status": "Accepted"})
        (second,) = end.calls()
        assert second.payload != first.payload
        end.answer(second, {"status": "Accepted"})
        assert kit.site.charge_points["CP001"].signed_chain == ""

    @pytest.mark.parametrize("refusal", ["Rejected", "NotImplemented"])
    def test_what_the_charge_point_does_not_take_is_not_repeated(
        self, refusal: str, authority: AtOnce, caplog: pytest.LogCaptureFixture
    ) -> None:
        kit, end = booted(authority)
        end.send("SignCertificate", {"csr": csr()})
        (call,) = end.calls()
        with caplog.at_level(logging.WARNING):
            if refusal == "Rejected":
                end.answer(call, {"status": refusal})
            else:
                end.refuse(call, refusal)
        assert "CP001: does not take its certificate" in caplog.text
        end.disconnect()
        assert came(kit).calls() == []

    def test_that_it_has_one_is_kept_over_a_restart(self, authority: AtOnce) -> None:
        kit, end = booted(authority)
        end.send("SignCertificate", {"csr": csr()})
        cp = kit.site.charge_points["CP001"]
        other = Kit()
        kept.restore(other.site, {"1/certificate_until": cp.certificate_until})
        assert other.site.charge_points["CP001"].certificate_until == cp.certificate_until > EPOCH


class TestALowerProfile:
    """A security profile is never lowered over OCPP: the command fails (security whitepaper, 2.1)."""

    def change(self, kit: Kit, key: str, value: str) -> list[int]:
        kit.write_text(MAILBOX + 30, key, 25)
        kit.write_text(MAILBOX + 55, value, 50)
        kit.write(MAILBOX, CommandCode.ChangeConfiguration)
        kit.write(MAILBOX + 105, kit.read(MAILBOX + 110) + 1)
        found: list[int] = kit.read(MAILBOX + 111, 3)
        return found

    @pytest.mark.parametrize(
        ("profile", "key", "value"),
        [
            (1, "SecurityProfile", "0"),
            (2, "securityprofile", "1"),
            (3, "SecurityProfile ", " 2"),
            (3, "SecurityProfile", "00"),
        ],
    )
    def test_is_refused(self, profile: int, key: str, value: str) -> None:
        kit, end = booted(None, profile=profile)
        assert self.change(kit, key, value) == [CommandState.failed, 0, CommandError.bad_parameter]
        assert end.calls() == []

    @pytest.mark.parametrize(
        ("profile", "key", "value"),
        [
            (1, "SecurityProfile", "2"),
            (2, "SecurityProfile", "2"),
            (0, "SecurityProfile", "0"),
            (3, "HeartbeatInterval", "0"),
            (3, "SecurityProfile", "high"),
        ],
    )
    def test_everything_else_goes_out(self, profile: int, key: str, value: str) -> None:
        kit, end = booted(None, profile=profile)
        assert self.change(kit, key, value)[0] == CommandState.sent
        (call,) = end.calls()
        assert call.payload == {"key": key, "value": value}
