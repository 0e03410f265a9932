"""Payloads of the 11 operations of the OCPP 1.6 security whitepaper ("ocpp.md, All 39 operations"), named and ordered
as in `schema_core`; CertificateSigned is answered by its StatusAnswer."""

from typing import Annotated, Literal

from msgspec import Meta

from gatewayd.ocpp.schema_fields import (
    AcceptedRejected,
    AnswerText255,
    CertificateHashData,
    CertificateUse,
    DateTime,
    DeleteCertificateStatus,
    FoundStatus,
    InstallCertificateStatus,
    Integer,
    LogStatus,
    Payload,
    PlugId,
    Sent,
    Text50,
    Text255,
    Text512,
    Text800,
    Text5500,
    Text10000,
    TriggerStatus,
    UpdateFirmwareStatus,
)

# From the charge point


class LogStatusNotification(Payload):
    status: Annotated[
        str,
        Sent(
            Literal[
                "BadMessage",
                "Idle",
                "NotSupportedOperation",
                "PermissionDenied",
                "Uploaded",
                "UploadFailure",
                "Uploading",
            ]
        ),
    ]
    requestId: Integer | None = None


class SecurityEventNotification(Payload):
    type: Text50
    timestamp: DateTime
    techInfo: Text255 | None = None


class SignCertificate(Payload):
    """`csr` as PEM."""

    csr: Text5500


class SignCertificateAnswer(Payload):
    status: AcceptedRejected


class SignedFirmwareStatusNotification(Payload):
    status: Annotated[
        str,
        Sent(
            Literal[
                "Downloaded",
                "DownloadFailed",
                "Downloading",
                "DownloadScheduled",
                "DownloadPaused",
                "Idle",
                "InstallationFailed",
                "Installing",
                "Installed",
                "InstallRebooting",
                "InstallScheduled",
                "InstallVerificationFailed",
                "InvalidSignature",
                "SignatureVerified",
            ]
        ),
    ]
    requestId: Integer | None = None


# To the charge point


class CertificateSigned(Payload):
    """`certificateChain` as PEM, the charge point's own first."""

    certificateChain: Text10000


class DeleteCertificate(Payload):
    certificateHashData: CertificateHashData


class DeleteCertificateAnswer(Payload):
    status: DeleteCertificateStatus


class ExtendedTriggerMessage(Payload):
    requestedMessage: Literal[
        "BootNotification",
        "LogStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "MeterValues",
        "SignChargePointCertificate",
        "StatusNotification",
    ]
    connectorId: PlugId | None = None


class ExtendedTriggerMessageAnswer(Payload):
    status: TriggerStatus


class GetInstalledCertificateIds(Payload):
    certificateType: CertificateUse


class GetInstalledCertificateIdsAnswer(Payload):
    status: FoundStatus
    # An empty list says the same as none: taken, never sent.
    certificateHashData: (
        Annotated[list[CertificateHashData], Sent(Annotated[list[CertificateHashData], Meta(min_length=1)])] | None
    ) = None


class LogParameters(Payload):
    """Where a log is uploaded to, and which part of it."""

    remoteLocation: Text512
    oldestTimestamp: DateTime | None = None
    latestTimestamp: DateTime | None = None


class GetLog(Payload):
    """`retryInterval` in seconds."""

    log: LogParameters
    logType: Literal["DiagnosticsLog", "SecurityLog"]
    requestId: Integer
    retries: Integer | None = None
    retryInterval: Integer | None = None


class GetLogAnswer(Payload):
    status: LogStatus
    filename: AnswerText255 | None = None


class InstallCertificate(Payload):
    """`certificate` as PEM."""

    certificateType: CertificateUse
    certificate: Text5500


class InstallCertificateAnswer(Payload):
    status: InstallCertificateStatus


class Firmware(Payload):
    """A signed firmware image; `signingCertificate` as PEM, `signature` in base64."""

    location: Text512
    retrieveDateTime: DateTime
    signingCertificate: Text5500
    signature: Text800
    installDateTime: DateTime | None = None


class SignedUpdateFirmware(Payload):
    """`retryInterval` in seconds."""

    requestId: Integer
    firmware: Firmware
    retries: Integer | None = None
    retryInterval: Integer | None = None


class SignedUpdateFirmwareAnswer(Payload):
    status: UpdateFirmwareStatus
