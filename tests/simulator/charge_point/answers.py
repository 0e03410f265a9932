"""What the charge point answers to the Calls of the central system (OCPP 1.6, 5; security whitepaper, 4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from ..clock import parse_stamp
from ..ocpp_link import Answer, Refusal
from ..script import Payload
from .charging_profiles import TX, composite_schedule
from .connector import Authorization, Connector, Reservation
from .local_list import NOT_SUPPORTED

if TYPE_CHECKING:
    from .charge_point import ChargePoint

ECHO_VENDOR, ECHO_MESSAGE = "Simulated", "Echo"


class Answers:
    """Called with action and payload of each Call; raises Refusal for what becomes a CALLERROR."""

    def __init__(self, charge_point: ChargePoint) -> None:
        self._cp = charge_point
        transfers = charge_point.transfers
        self.operations: dict[str, dict[str, Callable[[Payload], Answer]]] = {
            "Core": {
                "ChangeAvailability": self._change_availability,
                "ChangeConfiguration": self._change_configuration,
                "ClearCache": self._clear_cache,
                "DataTransfer": self._data_transfer,
                "GetConfiguration": lambda p: Answer(self._cp.configuration.get(p.get("key", []))),
                "RemoteStartTransaction": self._remote_start,
                "RemoteStopTransaction": self._remote_stop,
                "Reset": self._reset,
                "UnlockConnector": self._unlock,
            },
            "FirmwareManagement": {
                "GetDiagnostics": transfers.get_diagnostics,
                "UpdateFirmware": transfers.update_firmware,
            },
            "LocalAuthListManagement": {
                "GetLocalListVersion": self._get_local_list_version,
                "SendLocalList": self._send_local_list,
            },
            "Reservation": {"CancelReservation": self._cancel_reservation, "ReserveNow": self._reserve_now},
            "SmartCharging": {
                "ClearChargingProfile": self._clear_charging_profile,
                "GetCompositeSchedule": self._get_composite_schedule,
                "SetChargingProfile": self._set_charging_profile,
            },
            "RemoteTrigger": {"TriggerMessage": self._trigger},
            "Security": {
                "CertificateSigned": self._certificate_signed,
                "DeleteCertificate": lambda p: _status(self._cp.certificates.delete(p["certificateHashData"])),
                "ExtendedTriggerMessage": self._trigger,
                "GetInstalledCertificateIds": lambda p: Answer(self._cp.certificates.ids(p["certificateType"])),
                "GetLog": transfers.get_log,
                "InstallCertificate": self._install_certificate,
                "SignedUpdateFirmware": transfers.signed_update_firmware,
            },
        }

    def __call__(self, action: str, payload: Payload) -> Answer:
        session = self._cp.session
        if session.boot_needed and session.registration is None and self._cp.traits.sends_boot:
            session.early_calls.append(action)
        for feature, operations in self.operations.items():
            if action in operations:
                if feature not in self._cp.traits.features:
                    raise Refusal("NotSupported", f"{feature} is not built in")
                return operations[action](payload)
        raise Refusal("NotImplemented", action)

    def _place(self, number: int) -> Connector | None:
        return self._cp.connectors[number - 1] if 1 <= number <= len(self._cp.connectors) else None

    def _change_availability(self, payload: Payload) -> Answer:
        operative = payload["type"] == "Operative"
        number = payload["connectorId"]
        if not 0 <= number <= len(self._cp.connectors):
            return _status("Rejected")
        places = self._cp.connectors if number == 0 else [self._cp.connector(number)]
        busy = not operative and any(place.transaction for place in places)

        def change() -> None:
            if number == 0:
                self._cp.operative = operative
                self._cp.notices.refresh_whole()
            for place in places:
                place.operative = operative
                self._cp.notices.refresh(place)

        return Answer({"status": "Scheduled" if busy else "Accepted"}, change)

    def _change_configuration(self, payload: Payload) -> Answer:
        key, value = payload["key"], payload["value"]
        status = self._cp.configuration.change(key, value)
        if status != "Accepted":
            return _status(status)
        if key.lower() == "authorizationkey":
            self._cp.password = value
            self._cp.notices.security_event("ReconfigurationOfSecurityParameters", "AuthorizationKey")
            return Answer({"status": status}, lambda: self._cp.start_soon(self._cp.disconnect))
        return Answer({"status": status}, self._cp.note_configured)

    def _clear_cache(self, payload: Payload) -> Answer:
        self._cp.admission.cache.clear()
        return _status("Accepted")

    def _data_transfer(self, payload: Payload) -> Answer:
        self._cp.data_transfers.append(payload)
        if payload["vendorId"] != ECHO_VENDOR:
            return _status("UnknownVendorId")
        if payload.get("messageId") != ECHO_MESSAGE:
            return _status("UnknownMessageId")
        return Answer({"status": "Accepted"} | ({"data": payload["data"]} if "data" in payload else {}))

    def _remote_start(self, payload: Payload) -> Answer:
        wanted = [self._place(payload["connectorId"])] if "connectorId" in payload else self._cp.connectors
        tag, profile = payload["idTag"], payload.get("chargingProfile")
        fitting = [
            place
            for place in wanted
            if place
            and place.transaction is None
            and place.usable
            and self._cp.operative
            and place.is_free_for(tag, None)
        ]
        wrong_profile = profile and profile["chargingProfilePurpose"] != TX
        if not fitting or wrong_profile or not self._cp.session.registered:
            return _status("Rejected")
        # Without a connector in the request: the one with a cable, else the first free one.
        place = next((place for place in fitting if place.vehicle), fitting[0])
        return Answer({"status": "Accepted"}, lambda: self._cp.start_soon(partial(self._start, place, tag, profile)))

    async def _start(self, place: Connector, tag: str, profile: Payload | None) -> None:
        parent = None
        if self._cp.configuration.flag("AuthorizeRemoteTxRequests"):
            status, parent = await self._cp.admission.decide(tag)
            if status != "Accepted":
                return
        self._cp.transactions.admit(place, Authorization(tag, parent, profile))

    def _remote_stop(self, payload: Payload) -> Answer:
        for place in self._cp.connectors:
            running = place.transaction
            if running and running.transaction_id == payload["transactionId"]:
                return Answer({"status": "Accepted"}, partial(self._cp.transactions.stop, place, "Remote"))
        return _status("Rejected")

    def _reset(self, payload: Payload) -> Answer:
        reason = f"{payload['type']}Reset"
        return Answer({"status": "Accepted"}, partial(self._cp.restart, reason))

    def _unlock(self, payload: Payload) -> Answer:
        place = self._place(payload["connectorId"])
        if place is None:
            return _status("NotSupported")
        if place.lock_jammed:
            return _status("UnlockFailed")
        return Answer({"status": "Unlocked"}, partial(self._cp.transactions.stop, place, "UnlockCommand"))

    def _get_local_list_version(self, payload: Payload) -> Answer:
        enabled = self._cp.configuration.flag("LocalAuthListEnabled")
        return Answer({"listVersion": self._cp.local_list.version if enabled else NOT_SUPPORTED})

    def _send_local_list(self, payload: Payload) -> Answer:
        settings = self._cp.configuration
        if not settings.flag("LocalAuthListEnabled"):
            return _status("NotSupported")
        limits = settings.number("SendLocalListMaxLength"), settings.number("LocalAuthListMaxLength")
        return _status(self._cp.local_list.update(payload, *limits))

    def _reserve_now(self, payload: Payload) -> Answer:
        number = payload["connectorId"]
        if number == 0:
            places = [c for c in self._cp.connectors if c.status() == "Available"] or self._cp.connectors[:1]
            place = places[0] if self._cp.configuration.flag("ReserveConnectorZeroSupported") else None
        else:
            place = self._place(number)
        expires_at = parse_stamp(payload["expiryDate"])
        if place is None or expires_at <= self._cp.clock.now():
            return _status("Rejected")
        same = place.reservation and place.reservation.reservation_id == payload["reservationId"]
        if place.status() in ("Faulted", "Unavailable"):
            return _status(place.status())
        if place.status() != "Available" and not (place.status() == "Reserved" and same):
            return _status("Occupied")
        for other in self._cp.connectors:  # the same id again moves the reservation
            if other.reservation and other.reservation.reservation_id == payload["reservationId"]:
                other.reservation = None
        held = Reservation(payload["reservationId"], payload["idTag"], payload.get("parentIdTag"), expires_at)
        place.reservation = held

        def then() -> None:
            for connector in self._cp.connectors:
                self._cp.notices.refresh(connector)
            self._cp.start_soon(partial(self._release, place, held))

        return Answer({"status": "Accepted"}, then)

    async def _release(self, place: Connector, held: Reservation) -> None:
        await trio.sleep(max(0.0, held.expires_at - self._cp.clock.now()))
        if place.reservation is held:
            place.reservation = None
            self._cp.notices.refresh(place)

    def _cancel_reservation(self, payload: Payload) -> Answer:
        for place in self._cp.connectors:
            if place.reservation and place.reservation.reservation_id == payload["reservationId"]:
                place.reservation = None
                return Answer({"status": "Accepted"}, partial(self._cp.notices.refresh, place))
        return _status("Rejected")

    def _set_charging_profile(self, payload: Payload) -> Answer:
        number, profile = payload["connectorId"], payload["csChargingProfiles"]
        place = self._place(number)
        running = place.transaction if place else None
        named = profile.get("transactionId")
        if profile["chargingProfilePurpose"] == TX and running and named not in (None, running.transaction_id):
            return _status("Rejected")
        count = len(self._cp.connectors)
        status = self._cp.profiles.set(number, profile, self._cp.clock.now(), count, running is not None)
        return Answer({"status": status}, self._cp.settle_all)

    def _clear_charging_profile(self, payload: Payload) -> Answer:
        return Answer({"status": self._cp.profiles.clear(payload)}, self._cp.settle_all)

    def _get_composite_schedule(self, payload: Payload) -> Answer:
        number, cp = payload["connectorId"], self._cp
        place = self._place(number)
        if number != 0 and place is None:
            return _status("Rejected")
        begin = cp.clock.now()
        running = place.transaction if place else None

        def limit_a(at: float) -> float:
            if place:
                return cp.limit_a(place, at)
            whole = cp.profiles.charge_point_limit_a(at, cp.traits.phases)
            most = cp.traits.max_current_a * len(cp.connectors)
            return most if whole is None else min(whole, most)

        schedule = composite_schedule(
            cp.profiles,
            limit_a,
            begin,
            payload["duration"],
            payload.get("chargingRateUnit", cp.traits.profiles.rate_units[0]),
            cp.traits.phases,
            running.started_at if running else None,
        )
        answer: dict[str, Any] = {"status": "Accepted", "connectorId": number, "scheduleStart": cp.clock.stamp(begin)}
        return Answer(answer | {"chargingSchedule": schedule})

    def _trigger(self, payload: Payload) -> Answer:
        """TriggerMessage and ExtendedTriggerMessage."""
        cp = self._cp
        number = payload.get("connectorId", 0)
        if not 0 <= number <= len(cp.connectors):
            return _status("Rejected")
        places = [cp.connector(number)] if number else cp.connectors
        work: dict[str, Callable[[], None]] = {
            "BootNotification": lambda: cp.outbox.put(
                "BootNotification", cp.notices.boot_payload(), cp.session.take_boot_answer_again
            ),
            "DiagnosticsStatusNotification": cp.transfers.tell_diagnostics,
            "FirmwareStatusNotification": cp.transfers.tell_firmware,
            "Heartbeat": lambda: cp.outbox.put("Heartbeat", {}, cp.session.follow_time),
            "LogStatusNotification": cp.transfers.tell_log,
            "MeterValues": partial(cp.metering.report_all_now, places),
            "SignChargePointCertificate": lambda: cp.start_soon(cp.sign_certificate),
            "StatusNotification": lambda: self._tell_status(places, number),
        }
        wanted = work.get(payload["requestedMessage"])
        return Answer({"status": "Accepted"}, wanted) if wanted else _status("NotImplemented")

    def _tell_status(self, places: list[Connector], number: int) -> None:
        if number == 0:
            self._cp.notices.tell_whole()
        for place in places:
            self._cp.notices.tell(place)

    def _install_certificate(self, payload: Payload) -> Answer:
        status = self._cp.certificates.install(payload["certificateType"], payload["certificate"])
        if status == "Rejected":
            told = partial(self._cp.notices.security_event, "InvalidCentralSystemCertificate")
            return Answer({"status": status}, told)
        return _status(status)

    def _certificate_signed(self, payload: Payload) -> Answer:
        if self._cp.key.certifies(payload["certificateChain"]):
            self._cp.certificate_chain = payload["certificateChain"]
            return _status("Accepted")
        told = partial(self._cp.notices.security_event, "InvalidChargePointCertificate")
        return Answer({"status": "Rejected"}, told)


def _status(status: str) -> Answer:
    return Answer({"status": status})
