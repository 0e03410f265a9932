"""Types of payload fields, and the records that several operations share, named as on the wire.

A type says what is *taken* from a peer. Where more is taken than the standard lists, `Sent` beside it says what may be
*sent*: `schema.encode` judges by that. So "tolerant in, strict out" stands in one place, at the field
("charge_point_quirks.md", "ocpp.md, Out").

Absent is None everywhere, and is left out when encoded.
"""

from math import isfinite
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, Struct

INTEGER_LIMIT = 2**53
"""Largest integer taken, either sign: what every JSON implementation holds exactly, and SQLite's 64 bits too. Some
central systems use milliseconds since 1970 as transaction ids, so 32 bits would refuse honest peers."""

ANSWER_TEXT_LIMIT = 4096
"""Characters taken of any one text in an answer: "charge_point_quirks.md, 4", M3, where the standard has 500."""

LIMIT_DECIMALS = 1
"""Decimals of a charging limit: OCPP 1.6, 7.14 and 7.13 ("at most one digit fraction")."""


class Sent(NamedTuple):
    """Metadata of a field's type: the narrower type that the standard gives it."""

    kind: Any


Integer = Annotated[int, Meta(ge=-INTEGER_LIMIT, le=INTEGER_LIMIT)]
Natural = Annotated[int, Meta(ge=0, le=INTEGER_LIMIT)]
ConnectorId = Natural
"""0 is the charge point as a whole."""
PlugId = Annotated[int, Meta(ge=1, le=INTEGER_LIMIT)]
"""A connector one can plug into: where the standard says connectorId > 0."""

Text20 = Annotated[str, Meta(max_length=20)]
Text25 = Annotated[str, Meta(max_length=25)]
Text40 = Annotated[str, Meta(max_length=40)]
Text50 = Annotated[str, Meta(max_length=50)]
Text128 = Annotated[str, Meta(max_length=128)]
Text255 = Annotated[str, Meta(max_length=255)]
Text500 = Annotated[str, Meta(max_length=500)]
Text512 = Annotated[str, Meta(max_length=512)]
Text800 = Annotated[str, Meta(max_length=800)]
Text5500 = Annotated[str, Meta(max_length=5500)]
Text10000 = Annotated[str, Meta(max_length=10000)]

_AnswerText = Meta(max_length=ANSWER_TEXT_LIMIT)
AnswerText20 = Annotated[str, _AnswerText, Sent(Text20)]
AnswerText50 = Annotated[str, _AnswerText, Sent(Text50)]
AnswerText128 = Annotated[str, _AnswerText, Sent(Text128)]
AnswerText40 = Annotated[str, _AnswerText, Sent(Text40)]
AnswerText255 = Annotated[str, _AnswerText, Sent(Text255)]
AnswerText500 = Annotated[str, _AnswerText, Sent(Text500)]

DateTime = Annotated[
    str, Sent(Annotated[str, Meta(pattern=r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.000)?Z$")])
]
"""Any text is taken: one that cannot be read is replaced, not refused ("ocpp.md, Values"). The three zeros are for
models that insist on a fraction (quirk B6)."""

AuthorizationStatus = Annotated[
    str, _AnswerText, Sent(Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"])
]
CertificateUse = Literal["CentralSystemRootCertificate", "ManufacturerRootCertificate"]
HashAlgorithm = Annotated[str, Sent(Literal["SHA256", "SHA384", "SHA512"])]
ProfilePurpose = Literal["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]
RateUnit = Literal["A", "W"]

# Statuses of answers: any text is taken and shows as unlisted; these may be sent.
AcceptedRejected = Annotated[str, _AnswerText, Sent(Literal["Accepted", "Rejected"])]
AcceptedUnknown = Annotated[str, _AnswerText, Sent(Literal["Accepted", "Unknown"])]
AvailabilityStatus = Annotated[str, _AnswerText, Sent(Literal["Accepted", "Rejected", "Scheduled"])]
ConfigurationStatus = Annotated[
    str, _AnswerText, Sent(Literal["Accepted", "Rejected", "RebootRequired", "NotSupported"])
]
DataTransferStatus = Annotated[
    str, _AnswerText, Sent(Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"])
]
DeleteCertificateStatus = Annotated[str, _AnswerText, Sent(Literal["Accepted", "Failed", "NotFound"])]
FoundStatus = Annotated[str, _AnswerText, Sent(Literal["Accepted", "NotFound"])]
InstallCertificateStatus = Annotated[str, _AnswerText, Sent(Literal["Accepted", "Failed", "Rejected"])]
ListStatus = Annotated[str, _AnswerText, Sent(Literal["Accepted", "Failed", "NotSupported", "VersionMismatch"])]
LogStatus = Annotated[str, _AnswerText, Sent(Literal["Accepted", "Rejected", "AcceptedCanceled"])]
ProfileStatus = Annotated[str, _AnswerText, Sent(Literal["Accepted", "Rejected", "NotSupported"])]
RegistrationStatus = Annotated[str, _AnswerText, Sent(Literal["Accepted", "Pending", "Rejected"])]
ReservationStatus = Annotated[
    str, _AnswerText, Sent(Literal["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"])
]
TriggerStatus = Annotated[str, _AnswerText, Sent(Literal["Accepted", "Rejected", "NotImplemented"])]
UnlockStatus = Annotated[str, _AnswerText, Sent(Literal["Unlocked", "UnlockFailed", "NotSupported"])]
UpdateFirmwareStatus = Annotated[
    str,
    _AnswerText,
    Sent(Literal["Accepted", "Rejected", "AcceptedCanceled", "InvalidCertificate", "RevokedCertificate"]),
]


class Payload(Struct, omit_defaults=True):
    """Base of every payload and record."""


class Empty(Payload):
    """The answer that says only: heard."""


class IdTagInfo(Payload):
    """What is known of an id tag."""

    status: AuthorizationStatus
    expiryDate: DateTime | None = None
    parentIdTag: AnswerText20 | None = None


def _finite(limit: float) -> float:
    if not isfinite(limit):  # a text "nan" in an answer
        raise ValueError(f"limit is {limit}")
    return limit


class ChargingSchedulePeriod(Payload):
    """A limit from `startPeriod` seconds after the schedule's start, in the schedule's rate unit."""

    startPeriod: Integer
    limit: float
    numberPhases: Integer | None = None

    def __post_init__(self) -> None:
        # 6.5202898 was seen on the wire, and refused (quirk S5).
        self.limit = round(_finite(self.limit), LIMIT_DECIMALS)


class ChargingSchedule(Payload):
    """Limits over time; durations in seconds."""

    chargingRateUnit: RateUnit
    chargingSchedulePeriod: list[ChargingSchedulePeriod]
    duration: Integer | None = None
    startSchedule: DateTime | None = None
    minChargingRate: float | None = None

    def __post_init__(self) -> None:
        if self.minChargingRate is not None:
            self.minChargingRate = round(_finite(self.minChargingRate), LIMIT_DECIMALS)


class ChargingProfile(Payload):
    """A charging profile; `stackLevel` 0 is the lowest."""

    chargingProfileId: Integer
    stackLevel: Natural
    chargingProfilePurpose: ProfilePurpose
    chargingProfileKind: Literal["Absolute", "Recurring", "Relative"]
    chargingSchedule: ChargingSchedule
    transactionId: Integer | None = None
    recurrencyKind: Literal["Daily", "Weekly"] | None = None
    validFrom: DateTime | None = None
    validTo: DateTime | None = None


class CertificateHashData(Payload):
    """Names one certificate of a charge point."""

    hashAlgorithm: HashAlgorithm
    issuerNameHash: AnswerText128
    issuerKeyHash: AnswerText128
    serialNumber: AnswerText40


# Of what charge points report: any text is taken and shows as unlisted ("ocpp.md, Errors").
ConnectorError = Annotated[
    str,
    Sent(
        Literal[
            "ConnectorLockFailure",
            "EVCommunicationError",
            "GroundFailure",
            "HighTemperature",
            "InternalError",
            "LocalListConflict",
            "NoError",
            "OtherError",
            "OverCurrentFailure",
            "OverVoltage",
            "PowerMeterFailure",
            "PowerSwitchFailure",
            "ReaderFailure",
            "ResetFailure",
            "UnderVoltage",
            "WeakSignal",
        ]
    ),
]
ConnectorStatus = Annotated[
    str,
    Sent(
        Literal[
            "Available",
            "Preparing",
            "Charging",
            "SuspendedEVSE",
            "SuspendedEV",
            "Finishing",
            "Reserved",
            "Unavailable",
            "Faulted",
        ]
    ),
]
DiagnosticsStatus = Annotated[str, Sent(Literal["Idle", "Uploaded", "UploadFailed", "Uploading"])]
FirmwareStatus = Annotated[
    str,
    Sent(
        Literal[
            "Downloaded",
            "DownloadFailed",
            "Downloading",
            "Idle",
            "InstallationFailed",
            "Installing",
            "Installed",
        ]
    ),
]
StopReason = Annotated[
    str,
    Sent(
        Literal[
            "DeAuthorized",
            "EmergencyStop",
            "EVDisconnected",
            "HardReset",
            "Local",
            "Other",
            "PowerLoss",
            "Reboot",
            "Remote",
            "SoftReset",
            "UnlockCommand",
        ]
    ),
]
Context = Annotated[
    str,
    Sent(
        Literal[
            "Interruption.Begin",
            "Interruption.End",
            "Sample.Clock",
            "Sample.Periodic",
            "Transaction.Begin",
            "Transaction.End",
            "Trigger",
            "Other",
        ]
    ),
]
Format = Annotated[str, Sent(Literal["Raw", "SignedData"])]
Measurand = Annotated[
    str,
    Sent(
        Literal[
            "Energy.Active.Export.Register",
            "Energy.Active.Import.Register",
            "Energy.Reactive.Export.Register",
            "Energy.Reactive.Import.Register",
            "Energy.Active.Export.Interval",
            "Energy.Active.Import.Interval",
            "Energy.Reactive.Export.Interval",
            "Energy.Reactive.Import.Interval",
            "Power.Active.Export",
            "Power.Active.Import",
            "Power.Offered",
            "Power.Reactive.Export",
            "Power.Reactive.Import",
            "Power.Factor",
            "Current.Import",
            "Current.Export",
            "Current.Offered",
            "Voltage",
            "Frequency",
            "Temperature",
            "SoC",
            "RPM",
        ]
    ),
]
Phase = Annotated[str, Sent(Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"])]
Location = Annotated[str, Sent(Literal["Cable", "EV", "Inlet", "Outlet", "Body"])]
Unit = Annotated[
    str,
    Sent(
        Literal[
            "Wh",
            "kWh",
            "varh",
            "kvarh",
            "W",
            "kW",
            "VA",
            "kVA",
            "var",
            "kvar",
            "A",
            "V",
            "K",
            "Celcius",
            "Celsius",
            "Fahrenheit",
            "Percent",
        ]
    ),
]


class SampledValue(Payload):
    """One measured value, as text; `site.meter` gives it a meaning."""

    value: str
    context: Context | None = None
    format: Format | None = None
    measurand: Measurand | None = None
    phase: Phase | None = None
    location: Location | None = None
    unit: Unit | None = None


class MeterValue(Payload):
    """What was measured at one instant."""

    timestamp: DateTime
    sampledValue: Annotated[list[SampledValue], Meta(min_length=1)]


class TransactionMeterValue(Payload):
    """The same in StopTransaction, where the standard's schema lets the list of samples be empty."""

    timestamp: DateTime
    sampledValue: list[SampledValue]
