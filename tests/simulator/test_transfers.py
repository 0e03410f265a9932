"""Files and certificates: diagnostics, logs, firmware, roots, the charge point's own certificate."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from .clock import stamp
from .conftest import Plant
from .script import Payload
from .test_answers import ask


async def test_diagnostics_and_logs(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()
    answer = await ask(plant, "GetDiagnostics", {"location": "ftp://server/up"})
    assert answer == {"fileName": "CP001-diagnostics.txt"}
    await trio.sleep(30)
    assert [s["status"] for s in plant.central.calls("DiagnosticsStatusNotification")] == ["Uploading", "Uploaded"]

    def log(number: int) -> Payload:
        return {"logType": "SecurityLog", "requestId": number, "log": {"remoteLocation": "ftp://server/up"}}

    assert (await ask(plant, "GetLog", log(1)))["status"] == "Accepted"
    await trio.sleep(1)
    assert (await ask(plant, "GetLog", log(2)))["status"] == "AcceptedCanceled"
    await trio.sleep(30)
    told = [(s["status"], s["requestId"]) for s in plant.central.calls("LogStatusNotification")]
    assert told == [("Uploading", 1), ("Uploading", 2), ("Uploaded", 2)]
    cp.traits.transfers_fail = True
    await ask(plant, "GetLog", log(3))
    await trio.sleep(30)
    assert plant.central.calls("LogStatusNotification")[-1]["status"] == "UploadFailure"


async def test_firmware_waits_for_the_car_and_boots(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.charging()
    update = {"location": "ftp://server/firmware-2.0.bin", "retrieveDate": stamp(cp.clock.now() + 60)}
    assert await ask(plant, "UpdateFirmware", update) == {}
    await trio.sleep(300)
    told = plant.central.calls("FirmwareStatusNotification")
    assert [s["status"] for s in told] == ["Downloading", "Downloaded"]
    cp.unplug(1)
    await cp.until(lambda: cp.session.boots == 2 and cp.registered)
    await trio.sleep(1)
    told = plant.central.calls("FirmwareStatusNotification")
    assert [s["status"] for s in told][2:] == ["Installing", "Installed"]
    assert plant.central.calls("BootNotification")[1]["firmwareVersion"] == "firmware-2.0.bin"
    assert plant.central.calls("SecurityEventNotification")[-1]["type"] == "FirmwareUpdated"


async def test_signed_firmware(plant: Plant, autojump_clock: MockClock) -> None:
    cp = await plant.registered()

    async def update(number: int, certificate: str, signature: str) -> Any:
        firmware = {
            "location": "https://server/f.bin",
            "retrieveDateTime": stamp(cp.clock.now()),
            "signingCertificate": certificate,
            "signature": signature,
        }
        return await ask(plant, "SignedUpdateFirmware", {"requestId": number, "firmware": firmware})

    assert await update(1, "rubbish", "c2ln") == "InvalidCertificate"
    good = "-----BEGIN CERTIFICATE-----"
    assert await update(2, good, "") == "Accepted"
    await trio.sleep(60)
    assert await update(3, good, "c2ln") == "Accepted"
    await cp.until(lambda: cp.session.boots == 2 and cp.registered)
    await trio.sleep(1)
    told = [(s["requestId"], s["status"]) for s in plant.central.calls("SignedFirmwareStatusNotification")]
    assert [status for number, status in told if number == 2] == ["Downloading", "Downloaded", "InvalidSignature"]
    assert [status for number, status in told if number == 3] == [
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "Installing",
        "Installed",
    ]
    events = [e["type"] for e in plant.central.calls("SecurityEventNotification")]
    assert {"InvalidFirmwareSigningCertificate", "InvalidFirmwareSignature", "FirmwareUpdated"} <= set(events)


def openssl(*words: str, text: str = "") -> str:
    return subprocess.run(["openssl", *words], input=text, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def root(tmp_path: Path) -> tuple[Path, Path]:
    """(certificate, key) of an authority."""
    certificate, key = tmp_path / "root.pem", tmp_path / "root.key"
    subject = ["-subj", "/O=Plant/CN=Root", "-days", "30", "-set_serial", "0x00c0ffee"]
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate), *subject)
    return certificate, key


async def test_certificates(plant: Plant, autojump_clock: MockClock, root: tuple[Path, Path], tmp_path: Path) -> None:
    cp = await plant.registered()
    certificate, key = root
    pem = certificate.read_text()
    use = {"certificateType": "CentralSystemRootCertificate"}
    assert await ask(plant, "GetInstalledCertificateIds", use) == "NotFound"
    assert await ask(plant, "InstallCertificate", use | {"certificate": "rubbish"}) == "Rejected"
    assert await ask(plant, "InstallCertificate", use | {"certificate": pem}) == "Accepted"
    (found,) = (await ask(plant, "GetInstalledCertificateIds", use))["certificateHashData"]
    assert found["serialNumber"] == "c0ffee"
    ocsp = openssl("ocsp", "-sha256", "-issuer", str(certificate), "-cert", str(certificate), "-req_text", "-no_nonce")
    assert re.findall(r"Issuer (?:Name|Key) Hash: (\w+)", ocsp) == [
        found["issuerNameHash"].upper(),
        found["issuerKeyHash"].upper(),
    ]
    other = {"certificateHashData": found | {"serialNumber": "1"}}
    assert await ask(plant, "DeleteCertificate", other) == "NotFound"
    assert await ask(plant, "DeleteCertificate", {"certificateHashData": found}) == "Accepted"
    # the charge point's own
    trigger = {"requestedMessage": "SignChargePointCertificate"}
    assert await ask(plant, "ExtendedTriggerMessage", trigger) == "Accepted"
    await trio.sleep(1)
    request = tmp_path / "request.pem"
    request.write_text(plant.central.calls("SignCertificate")[0]["csr"])
    openssl("req", "-in", str(request), "-verify", "-noout")  # raises when the signature is wrong
    assert "CN = CP001" in openssl("req", "-in", str(request), "-noout", "-subject")
    authority = ["-CA", str(certificate), "-CAkey", str(key), "-days", "30", "-set_serial", "7"]
    signed = openssl("x509", "-req", "-in", str(request), *authority)
    assert await ask(plant, "CertificateSigned", {"certificateChain": signed + pem}) == "Accepted"
    assert cp.certificate_chain == signed + pem
    assert await ask(plant, "CertificateSigned", {"certificateChain": pem}) == "Rejected"
    await trio.sleep(1)
    assert plant.central.calls("SecurityEventNotification")[-1]["type"] == "InvalidChargePointCertificate"
