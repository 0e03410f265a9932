"""Files that come and go: firmware, diagnostics, logs. The files are pretended, the notifications are real."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from ..clock import parse_stamp
from ..ocpp_link import Answer
from ..script import Payload

if TYPE_CHECKING:
    from .charge_point import ChargePoint

IDLE = "Idle"
BEGIN_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


class Transfers:
    """The state is what TriggerMessage reports; `updated_to` is set while a new firmware waits for its boot."""

    def __init__(self, charge_point: ChargePoint) -> None:
        self.diagnostics_status = IDLE
        self.firmware_status = IDLE
        self.log_status = IDLE
        self.signed_request: int | None = None
        self.log_request: int | None = None
        self._cp = charge_point
        self._installs: trio.CancelScope | None = None
        self._installed = False

    def get_diagnostics(self, payload: Payload) -> Answer:
        name = f"{self._cp.identity}-diagnostics.txt"
        return Answer({"fileName": name}, lambda: self._cp.start_soon(self._upload_diagnostics))

    def get_log(self, payload: Payload) -> Answer:
        busy = self.log_status == "Uploading"
        self.log_request = payload["requestId"]
        name = f"{self._cp.identity}-{payload['logType']}.txt"
        status = "AcceptedCanceled" if busy else "Accepted"
        work = partial(self._upload_log, payload["requestId"])
        return Answer({"status": status, "filename": name}, lambda: self._cp.start_soon(work))

    def update_firmware(self, payload: Payload) -> Answer:
        self.signed_request = None
        work = partial(self._update, payload["retrieveDate"], payload["location"], ("Downloading", "Downloaded"))
        return Answer({}, lambda: self._cp.start_soon(work))

    def signed_update_firmware(self, payload: Payload) -> Answer:
        firmware = payload["firmware"]
        if not firmware["signingCertificate"].lstrip().startswith(BEGIN_CERTIFICATE):
            told = partial(self._cp.notices.security_event, "InvalidFirmwareSigningCertificate")
            return Answer({"status": "InvalidCertificate"}, told)
        status = "AcceptedCanceled" if self._installs else "Accepted"
        if self._installs:
            self._installs.cancel()
        self.signed_request = payload["requestId"]
        verified = "SignatureVerified" if firmware["signature"] else "InvalidSignature"
        stages = ("Downloading", "Downloaded", verified)
        work = partial(self._update, firmware["retrieveDateTime"], firmware["location"], stages)
        return Answer({"status": status}, lambda: self._cp.start_soon(work))

    def announce(self) -> None:
        """After a boot: a firmware that was being installed is installed."""
        if self._installed:
            self._installed = False
            self._tell_firmware("Installed")
            self._cp.notices.security_event("FirmwareUpdated", self._cp.traits.firmware)

    def tell_diagnostics(self, status: str | None = None) -> None:
        self.diagnostics_status = status or self.diagnostics_status
        told = self.diagnostics_status if self.diagnostics_status == "Uploading" else status or IDLE
        self._cp.outbox.put("DiagnosticsStatusNotification", {"status": told})

    def tell_log(self, status: str | None = None) -> None:
        self.log_status = status or self.log_status
        told = self.log_status if self.log_status == "Uploading" else status or IDLE
        request: Payload = {} if told == IDLE or self.log_request is None else {"requestId": self.log_request}
        self._cp.outbox.put("LogStatusNotification", {"status": told} | request)

    def tell_firmware(self) -> None:
        """What TriggerMessage asks for."""
        self._tell_firmware(self.firmware_status if self._installs else IDLE)

    def _tell_firmware(self, status: str) -> None:
        self.firmware_status = status
        self._cp.say(f"firmware: {status}")
        if self.signed_request is None:
            self._cp.outbox.put("FirmwareStatusNotification", {"status": status})
        else:
            request: Payload = {} if status == IDLE else {"requestId": self.signed_request}
            self._cp.outbox.put("SignedFirmwareStatusNotification", {"status": status} | request)

    async def _upload_diagnostics(self) -> None:
        await self._upload(self.tell_diagnostics, "UploadFailed")

    async def _upload_log(self, request: int) -> None:
        def tell(status: str) -> None:
            if self.log_request == request:  # a newer GetLog has cancelled this one
                self.tell_log(status)

        await self._upload(tell, "UploadFailure")

    async def _upload(self, tell: Callable[[str], None], failure: str) -> None:
        tell("Uploading")
        await trio.sleep(self._cp.traits.transfer_s)
        tell(failure if self._cp.traits.transfers_fail else "Uploaded")

    async def _update(self, when: str, location: str, stages: tuple[str, ...]) -> None:
        with trio.CancelScope() as self._installs:
            await trio.sleep(max(0.0, parse_stamp(when) - self._cp.clock.now()))
            for status in stages:
                fails = self._cp.traits.transfers_fail and status == "Downloaded"
                self._tell_firmware("DownloadFailed" if fails else status)
                if fails or status == "InvalidSignature":
                    if status == "InvalidSignature":
                        self._cp.notices.security_event("InvalidFirmwareSignature")
                    self._installs = None
                    return
                await trio.sleep(self._cp.traits.transfer_s)
            await self._cp.transactions.none_running()  # nobody's charging is cut short for it
            self._tell_firmware("Installing")
            await trio.sleep(self._cp.traits.transfer_s)
            name = location.rstrip("/").rpartition("/")[2] or "new"
            self._cp.traits.firmware = name[:50]
            self._installed = True
            self._installs = None
            self._cp.restart("Reboot")
