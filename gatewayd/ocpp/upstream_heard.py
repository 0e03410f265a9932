"""What a central system upstream changes in the site: by its answers to a charge point's Calls, and by what it asks of
the charge point, once that agreed (modbus.md, Bridge role: every read point is live)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatewayd.ocpp import profiles
from gatewayd.ocpp import schema_core as core
from gatewayd.ocpp.heard import Said
from gatewayd.site import limit_upstream, sessions
from gatewayd.site.capability import KEYS, UNSUPPORTED_LIST, learn
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import QuirkBits
from gatewayd.site.timestamp import parse

AGREED = frozenset({"Accepted", "Scheduled"})

# --- answers ------------------------------------------------------------------------------------------------------


def told_the_time(cp: ChargePoint, text: str, now: float) -> None:
    """What the charge point's own clock should say from now on."""
    epoch = parse(text)
    if epoch is not None:
        cp.told_offset_s = epoch - now


def heartbeat(said: Said, request: core.Heartbeat, answer: core.HeartbeatAnswer) -> None:
    told_the_time(said.charge_point, answer.currentTime, said.now)


def start_transaction(said: Said, request: core.StartTransaction, answer: core.StartTransactionAnswer) -> None:
    """The transaction has the id that the central system gave it; a repetition with the same id changes nothing."""
    cp = said.charge_point
    known = cp.transactions.known_start(request.connectorId, request.timestamp, request.idTag, request.meterStart)
    if known is not None and known.id == answer.transactionId:
        cp.note_quirk(QuirkBits.duplicate_start)
        return
    sessions.start(
        cp, request.connectorId, request.idTag, said.time(request.timestamp), request.meterStart, request.timestamp,
        answer.idTagInfo.status, request.reservationId, said.epoch, answer.transactionId,
    )  # fmt: skip
    limit_upstream.reconsider(cp, said.now)


ANSWERED: dict[str, Callable[[Said, Any, Any], None]] = {
    "Heartbeat": heartbeat,
    "StartTransaction": start_transaction,
}
"""Action of a charge point → what the central system's answer changes; BootNotification is the session's business."""

# --- what it asks -------------------------------------------------------------------------------------------------


def _reserved(cp: ChargePoint, request: core.ReserveNow, answer: core.ReserveNowAnswer, now: float) -> None:
    connector = cp.connector(request.connectorId)
    if answer.status == "Accepted" and connector is not None:
        connector.reservation_id = request.reservationId
        connector.touch()


def _cancelled(cp: ChargePoint, request: core.CancelReservation, answer: core.StatusAnswer, now: float) -> None:
    for connector in cp.connectors:
        if answer.status == "Accepted" and connector.reservation_id == request.reservationId:
            connector.reservation_id = 0
            connector.touch()


def _availability(
    cp: ChargePoint, request: core.ChangeAvailability, answer: core.ChangeAvailabilityAnswer, now: float
) -> None:
    """Of connector 0 it is that of all (OCPP 1.6, 5.2)."""
    if answer.status not in AGREED:
        return
    for connector in cp.connectors if request.connectorId == 0 else cp.connectors[request.connectorId :][:1]:
        connector.operative, connector.operative_sent_ok = int(request.type == "Operative"), True
        connector.touch()


def _profile_set(
    cp: ChargePoint, request: core.SetChargingProfile, answer: core.SetChargingProfileAnswer, now: float
) -> None:
    if answer.status == "Accepted":
        limit_upstream.put(cp, request.connectorId, profiles.profile_of(request.csChargingProfiles), now)
        cp.profiles_changed(now)


def _started(cp: ChargePoint, request: core.RemoteStartTransaction, answer: core.StatusAnswer, now: float) -> None:
    """A profile that comes with a remote start holds in the transaction that begins (OCPP 1.6, 3.13.1)."""
    if answer.status == "Accepted" and request.chargingProfile is not None and request.connectorId is not None:
        limit_upstream.put(cp, request.connectorId, profiles.profile_of(request.chargingProfile), now)


def _profiles_cleared(
    cp: ChargePoint, request: core.ClearChargingProfile, answer: core.ClearChargingProfileAnswer, now: float
) -> None:
    if answer.status == "Accepted":
        limit_upstream.clear(cp, profiles.profiles_to_clear(request), now)
        cp.profiles_changed(now)


def _configuration(
    cp: ChargePoint, request: core.GetConfiguration, answer: core.GetConfigurationAnswer, now: float
) -> None:
    """The gateway asks nothing by itself here; what the central system asks tells as well."""
    values = {entry.key.casefold(): entry.value for entry in answer.configurationKey or ()}
    for key in KEYS:
        value = values.get(key.name.casefold())
        if value is not None:
            learn(cp, key, value)


def _list_version(
    cp: ChargePoint, request: core.GetLocalListVersion, answer: core.GetLocalListVersionAnswer, now: float
) -> None:
    cp.list_version = answer.listVersion if answer.listVersion >= UNSUPPORTED_LIST else None
    cp.touch()


def _list_sent(cp: ChargePoint, request: core.SendLocalList, answer: core.SendLocalListAnswer, now: float) -> None:
    if answer.status == "Accepted":
        cp.list_version, cp.held_list = request.listVersion, None
        cp.touch()


AGREED_TO: dict[str, Callable[[ChargePoint, Any, Any, float], None]] = {
    "CancelReservation": _cancelled,
    "ChangeAvailability": _availability,
    "ClearChargingProfile": _profiles_cleared,
    "GetConfiguration": _configuration,
    "GetLocalListVersion": _list_version,
    "RemoteStartTransaction": _started,
    "ReserveNow": _reserved,
    "SendLocalList": _list_sent,
    "SetChargingProfile": _profile_set,
}
"""Action of a central system → what the charge point's answer to it changes."""
