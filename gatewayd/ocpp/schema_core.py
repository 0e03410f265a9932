"""Payloads of the 28 operations of OCPP 1.6 itself: Core, Firmware, Local list, Reservation, Smart charging, Remote
trigger ("ocpp.md, All 39 operations"). A class per request, named as the action; `...Answer` for what comes back,
`Empty` where nothing does. Fields are named as on the wire, required ones first."""

from typing import Annotated, Literal

from msgspec import Meta

from gatewayd.ocpp.schema_fields import (
    AcceptedRejected,
    AcceptedUnknown,
    AnswerText50,
    AnswerText255,
    AnswerText500,
    AvailabilityStatus,
    ChargingProfile,
    ChargingSchedule,
    ConfigurationStatus,
    ConnectorError,
    ConnectorId,
    ConnectorStatus,
    DataTransferStatus,
    DateTime,
    DiagnosticsStatus,
    FirmwareStatus,
    IdTagInfo,
    Integer,
    ListStatus,
    MeterValue,
    Payload,
    PlugId,
    ProfilePurpose,
    ProfileStatus,
    RateUnit,
    RegistrationStatus,
    ReservationStatus,
    Sent,
    StopReason,
    Text20,
    Text25,
    Text50,
    Text255,
    Text500,
    TransactionMeterValue,
    TriggerStatus,
    UnlockStatus,
)

# From the charge point


class Authorize(Payload):
    idTag: Text20
    # No field of the standard's: taken and used, never sent (quirk M5).
    connectorId: Annotated[ConnectorId | None, Sent(None)] = None


class AuthorizeAnswer(Payload):
    idTagInfo: IdTagInfo


class BootNotification(Payload):
    chargePointVendor: Text20
    chargePointModel: Text20
    chargePointSerialNumber: Text25 | None = None
    chargeBoxSerialNumber: Text25 | None = None
    firmwareVersion: Text50 | None = None
    iccid: Text20 | None = None
    imsi: Text20 | None = None
    meterType: Text25 | None = None
    meterSerialNumber: Text25 | None = None


class BootNotificationAnswer(Payload):
    """`interval` in seconds."""

    status: RegistrationStatus
    currentTime: DateTime
    interval: Integer


class DiagnosticsStatusNotification(Payload):
    status: DiagnosticsStatus


class FirmwareStatusNotification(Payload):
    status: FirmwareStatus


class Heartbeat(Payload):
    pass


class HeartbeatAnswer(Payload):
    currentTime: DateTime


class MeterValues(Payload):
    connectorId: ConnectorId
    meterValue: Annotated[list[MeterValue], Meta(min_length=1)]
    transactionId: Integer | None = None


class StartTransaction(Payload):
    """`meterStart` in Wh."""

    connectorId: PlugId
    idTag: Text20
    meterStart: Integer
    timestamp: DateTime
    reservationId: Integer | None = None


class StartTransactionAnswer(Payload):
    idTagInfo: IdTagInfo
    transactionId: Integer


class StatusNotification(Payload):
    connectorId: ConnectorId
    errorCode: ConnectorError
    status: ConnectorStatus
    info: Text50 | None = None
    timestamp: DateTime | None = None
    vendorId: Text255 | None = None
    vendorErrorCode: Text50 | None = None


class StopTransaction(Payload):
    """`meterStop` in Wh. Without `reason` it is Local; without `idTag` nobody presented one (quirk T3)."""

    meterStop: Integer
    timestamp: DateTime
    transactionId: Integer
    idTag: Text20 | None = None
    reason: StopReason | None = None
    transactionData: list[TransactionMeterValue] | None = None


class StopTransactionAnswer(Payload):
    idTagInfo: IdTagInfo | None = None


# Both ways


class DataTransfer(Payload):
    vendorId: Text255
    messageId: Text50 | None = None
    data: str | None = None


class DataTransferAnswer(Payload):
    status: DataTransferStatus
    data: str | None = None


# To the charge point


class StatusAnswer(Payload):
    """The answer of every operation that says Accepted or Rejected and no more."""

    status: AcceptedRejected


class CancelReservation(Payload):
    reservationId: Integer


class ChangeAvailability(Payload):
    connectorId: ConnectorId
    type: Literal["Inoperative", "Operative"]


class ChangeAvailabilityAnswer(Payload):
    status: AvailabilityStatus


class ChangeConfiguration(Payload):
    key: Text50
    value: Text500


class ChangeConfigurationAnswer(Payload):
    status: ConfigurationStatus


class ClearCache(Payload):
    pass


class ClearChargingProfile(Payload):
    id: Integer | None = None
    connectorId: ConnectorId | None = None
    chargingProfilePurpose: ProfilePurpose | None = None
    stackLevel: Integer | None = None


class ClearChargingProfileAnswer(Payload):
    status: AcceptedUnknown


class GetCompositeSchedule(Payload):
    """`duration` in seconds."""

    connectorId: ConnectorId
    duration: Integer
    chargingRateUnit: RateUnit | None = None


class GetCompositeScheduleAnswer(Payload):
    status: AcceptedRejected
    connectorId: ConnectorId | None = None
    scheduleStart: DateTime | None = None
    chargingSchedule: ChargingSchedule | None = None


class GetConfiguration(Payload):
    key: list[Text50] | None = None


class ConfigurationKey(Payload):
    key: AnswerText50
    readonly: bool
    value: AnswerText500 | None = None


class GetConfigurationAnswer(Payload):
    configurationKey: list[ConfigurationKey] | None = None
    unknownKey: list[AnswerText50] | None = None


class GetDiagnostics(Payload):
    """`retryInterval` in seconds."""

    location: str
    retries: Integer | None = None
    retryInterval: Integer | None = None
    startTime: DateTime | None = None
    stopTime: DateTime | None = None


class GetDiagnosticsAnswer(Payload):
    fileName: AnswerText255 | None = None


class GetLocalListVersion(Payload):
    pass


class GetLocalListVersionAnswer(Payload):
    """-1: the charge point has no local list."""

    listVersion: Integer


class RemoteStartTransaction(Payload):
    idTag: Text20
    connectorId: PlugId | None = None
    chargingProfile: ChargingProfile | None = None


class RemoteStopTransaction(Payload):
    transactionId: Integer


class ReserveNow(Payload):
    connectorId: ConnectorId
    expiryDate: DateTime
    idTag: Text20
    reservationId: Integer
    parentIdTag: Text20 | None = None


class ReserveNowAnswer(Payload):
    status: ReservationStatus


class Reset(Payload):
    type: Literal["Hard", "Soft"]


class AuthorizationData(Payload):
    """An entry of the local list; without `idTagInfo` a differential update deletes the tag."""

    idTag: Text20
    idTagInfo: IdTagInfo | None = None


class SendLocalList(Payload):
    listVersion: Integer
    updateType: Literal["Differential", "Full"]
    localAuthorizationList: list[AuthorizationData] | None = None


class SendLocalListAnswer(Payload):
    status: ListStatus


class SetChargingProfile(Payload):
    connectorId: ConnectorId
    csChargingProfiles: ChargingProfile


class SetChargingProfileAnswer(Payload):
    status: ProfileStatus


class TriggerMessage(Payload):
    requestedMessage: Literal[
        "BootNotification",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "MeterValues",
        "StatusNotification",
    ]
    connectorId: PlugId | None = None


class TriggerMessageAnswer(Payload):
    status: TriggerStatus


class UnlockConnector(Payload):
    connectorId: PlugId


class UnlockConnectorAnswer(Payload):
    status: UnlockStatus


class UpdateFirmware(Payload):
    """`retryInterval` in seconds."""

    location: str
    retrieveDate: DateTime
    retries: Integer | None = None
    retryInterval: Integer | None = None
