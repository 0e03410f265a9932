"""What a charge point says unasked about itself: BootNotification, StatusNotification, security events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..script import Payload
from .connector import NO_ERROR, Connector

if TYPE_CHECKING:
    from .charge_point import ChargePoint


class Notices:
    """`just_booted`: the next announcement tells everything."""

    def __init__(self, charge_point: ChargePoint) -> None:
        self.just_booted = False
        self._whole_shown: str | None = None
        self._cp = charge_point

    def announce(self) -> None:
        """What is said first on a new link: everything after a boot, else what has changed meanwhile."""
        everything = self.just_booted or self._cp.traits.repeats_all_status_on_reconnect
        if everything:
            self._whole_shown = None
        self.refresh_whole()
        for place in self._cp.connectors:
            if everything:
                place.shown = None
            self.refresh(place)
        if self.just_booted:
            self.security_event("StartupOfTheDevice")
            self._cp.transfers.announce()
        self.just_booted = False

    def refresh(self, place: Connector) -> None:
        """Tell the central system when the status, or what is broken, has changed."""
        place.remember()
        if place.shown != (place.status(), place.error_code) and self._cp.outbox.online:
            self.tell(place)

    def tell(self, place: Connector) -> None:
        """StatusNotification of now, whether it has changed or not."""
        place.shown = (place.status(), place.error_code)
        self._cp.say(f"connector {place.number}: {place.status()}")
        extra = {"info": place.info, "vendorErrorCode": place.vendor_error_code}
        payload: Payload = {
            "connectorId": place.number,
            "errorCode": place.error_code,
            "status": place.status(),
            "timestamp": self._cp.clock.stamp(),
            **({"vendorId": self._cp.traits.vendor} if place.vendor_error_code else {}),
            **{key: text for key, text in extra.items() if text},
        }

        def lost(error: Exception) -> None:
            place.shown = None  # to be said again on the next link

        self._cp.outbox.put("StatusNotification", payload, on_failure=lost)

    def refresh_whole(self) -> None:
        """Tell of connector 0 when that has changed."""
        if self._whole_shown != self._whole_status() and self._cp.outbox.online:
            self.tell_whole()

    def tell_whole(self) -> None:
        """StatusNotification of connector 0."""
        self._whole_shown = self._whole_status()
        payload: Payload = {
            "connectorId": 0,
            "errorCode": NO_ERROR,
            "status": self._whole_status(),
            "timestamp": self._cp.clock.stamp(),
        }

        def lost(error: Exception) -> None:
            self._whole_shown = None

        self._cp.outbox.put("StatusNotification", payload, on_failure=lost)

    def security_event(self, kind: str, tech_info: str | None = None) -> None:
        """SecurityEventNotification, of a charge point that knows the security extension."""
        traits = self._cp.traits
        if "Security" in traits.features and traits.sends_security_events:
            payload: Payload = {"type": kind, "timestamp": self._cp.clock.stamp()}
            self._cp.outbox.put("SecurityEventNotification", payload | ({"techInfo": tech_info} if tech_info else {}))

    def boot_payload(self) -> Payload:
        traits = self._cp.traits
        return {
            "chargePointVendor": traits.vendor,
            "chargePointModel": traits.model,
            "chargePointSerialNumber": traits.serial,
            "chargeBoxSerialNumber": traits.serial,
            "firmwareVersion": traits.firmware,
            "meterType": traits.meter_type,
            "meterSerialNumber": traits.meter_serial,
        }

    def _whole_status(self) -> str:
        return "Available" if self._cp.operative else "Unavailable"
