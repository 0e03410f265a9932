"""Every code that stands in a register, by its name (modbus.md, Types; the contract's enumerations).

The names are the wire names of OCPP 1.6 where OCPP has one, so `name` and `code` need no second table.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Role(IntEnum):
    central_system = 0
    bridge = 1


class GatewayState(IntEnum):
    booting = 0
    running = 1
    configuration_error = 2
    degraded = 3


class WordOrder(IntEnum):
    big = 0
    little = 1
    word_inverted_big = 2
    word_inverted_little = 3


class WatchdogState(IntEnum):
    off = 0
    ok = 1
    tripped = 2


class WatchdogAction(IntEnum):
    none = 0
    apply_watchdog_limit = 1
    limit_zero = 2
    inoperative = 3


class DecisionDefault(IntEnum):
    reject = 0
    accept = 1
    list_then_reject = 2
    list_then_accept = 3


class TimeResult(IntEnum):
    none = 0
    set = 1
    incomplete = 2
    out_of_range = 3


class TimeSource(IntEnum):
    none = 0
    rtc = 1
    ntp = 2
    bms = 3
    central_system = 4
    host = 5


class DiskState(IntEnum):
    unknown = 0
    ok = 1
    nearly_full = 2
    failing = 3


class LimitResult(IntEnum):
    none = 0
    accepted = 1
    rejected = 2
    not_supported = 3
    no_effect = 4
    offline = 5
    blocked_by_role = 6
    pending = 7
    no_answer = 8
    call_error = 9


class ProfileOperation(IntEnum):
    unset = 0
    set = 1
    clear = 2
    get_composite_schedule = 3
    attach_to_next_remote_start = 4


class ProfilePurpose(IntEnum):
    unset = 0
    ChargePointMaxProfile = 1
    TxDefaultProfile = 2
    TxProfile = 3


class ProfileKind(IntEnum):
    unset = 0
    Absolute = 1
    Recurring = 2
    Relative = 3


class ProfileRecurrency(IntEnum):
    none = 0
    Daily = 1
    Weekly = 2


class RateUnit(IntEnum):
    A = 0
    W = 1


class CommandState(IntEnum):
    idle = 0
    queued = 1
    sent = 2
    done = 3
    failed = 4


class CommandError(IntEnum):
    none = 0
    busy = 1
    offline = 2
    not_registered = 3
    bad_parameter = 4
    not_supported = 5
    no_answer = 6
    link_lost = 7
    call_error = 8
    blocked_by_role = 9


class Result(IntEnum):
    none = 0
    Accepted = 1
    Rejected = 2
    Scheduled = 3
    RebootRequired = 4
    NotSupported = 5
    NotImplemented = 6
    Unlocked = 7
    UnlockFailed = 8
    Faulted = 9
    Occupied = 10
    Unavailable = 11
    Unknown = 12
    UnknownMessageId = 13
    UnknownVendorId = 14
    Failed = 15
    VersionMismatch = 16
    NotFound = 17
    AcceptedCanceled = 18
    InvalidCertificate = 19
    RevokedCertificate = 20
    unlisted = 65534


class ListOperation(IntEnum):
    unset = 0
    put = 1
    delete = 2
    clear = 3
    send_full = 4
    send_differential = 5
    read = 6


class Authorization(IntEnum):
    unset = 0
    Accepted = 1
    Blocked = 2
    Expired = 3
    Invalid = 4
    ConcurrentTx = 5


class LinkState(IntEnum):
    never = 0
    lost = 1
    open = 2
    accepted = 3
    pending = 4
    rejected = 5


class Status(IntEnum):
    unknown = 0
    Available = 1
    Preparing = 2
    Charging = 3
    SuspendedEVSE = 4
    SuspendedEV = 5
    Finishing = 6
    Reserved = 7
    Unavailable = 8
    Faulted = 9
    unlisted = 65534


class ErrorCode(IntEnum):
    NoError = 0
    ConnectorLockFailure = 1
    EVCommunicationError = 2
    GroundFailure = 3
    HighTemperature = 4
    InternalError = 5
    LocalListConflict = 6
    OtherError = 7
    OverCurrentFailure = 8
    OverVoltage = 9
    PowerMeterFailure = 10
    PowerSwitchFailure = 11
    ReaderFailure = 12
    ResetFailure = 13
    UnderVoltage = 14
    WeakSignal = 15
    unlisted = 65534


class StopReason(IntEnum):
    none = 0
    DeAuthorized = 1
    EmergencyStop = 2
    EVDisconnected = 3
    HardReset = 4
    Local = 5
    Other = 6
    PowerLoss = 7
    Reboot = 8
    Remote = 9
    SoftReset = 10
    UnlockCommand = 11
    unlisted = 65534


class RequestType(IntEnum):
    none = 0
    Authorize = 1
    StartTransaction = 2
    StopTransaction = 3
    DataTransfer = 5
    SignCertificate = 6


class ResponseState(IntEnum):
    idle = 0
    sent = 1
    too_late = 2
    bad_sequence = 3
    default_used = 4


class TriggerCode(IntEnum):
    unset = 0
    BootNotification = 1
    DiagnosticsStatusNotification = 2
    FirmwareStatusNotification = 3
    Heartbeat = 4
    MeterValues = 5
    StatusNotification = 6
    LogStatusNotification = 7
    SignChargePointCertificate = 8


class FirmwareStatus(IntEnum):
    none = 0
    Idle = 1
    Downloading = 2
    Downloaded = 3
    DownloadFailed = 4
    Installing = 5
    Installed = 6
    InstallationFailed = 7
    DownloadScheduled = 8
    DownloadPaused = 9
    InstallRebooting = 10
    InstallScheduled = 11
    InstallVerificationFailed = 12
    InvalidSignature = 13
    SignatureVerified = 14
    unlisted = 65534


class DiagnosticsStatus(IntEnum):
    none = 0
    Idle = 1
    Uploading = 2
    Uploaded = 3
    UploadFailed = 4
    BadMessage = 5
    NotSupportedOperation = 6
    PermissionDenied = 7
    unlisted = 65534


class ChargePointBits(IntFlag):
    connected = 1 << 0
    registered = 1 << 1
    faulted = 1 << 2
    charging = 1 << 3
    comm_error = 1 << 4
    decision_pending = 1 << 5
    command_busy = 1 << 6
    upstream = 1 << 7
    clock_bad = 1 << 8
    simulated = 1 << 9


class ConnectorBits(IntFlag):
    plugged = 1 << 0
    charging = 1 << 1
    faulted = 1 << 2
    available = 1 << 3
    reserved = 1 << 4
    transaction_active = 1 << 5
    meter_fresh = 1 << 6
    limit_ok = 1 << 7
    needs_authorization = 1 << 8
    comm_error = 1 << 9


class FeatureBits(IntFlag):
    Core = 1 << 0
    FirmwareManagement = 1 << 1
    LocalAuthListManagement = 1 << 2
    Reservation = 1 << 3
    SmartCharging = 1 << 4
    RemoteTrigger = 1 << 5
    Security = 1 << 6


class CommandCode(IntEnum):
    none = 0
    RemoteStartTransaction = 1
    RemoteStopTransaction = 2
    UnlockConnector = 3
    ResetSoft = 4
    ResetHard = 5
    ChangeAvailability = 6
    ClearCache = 7
    ChangeConfiguration = 8
    GetConfiguration = 9
    TriggerMessage = 10
    ReserveNow = 11
    CancelReservation = 12
    ClearChargingProfile = 13
    GetLocalListVersion = 14
    DataTransfer = 15
    GetDiagnostics = 16
    UpdateFirmware = 17
    ExtendedTriggerMessage = 18
    GetLog = 19
    SignedUpdateFirmware = 20
    InstallCertificate = 21
    DeleteCertificate = 22
    GetInstalledCertificateIds = 23
    CertificateSigned = 24


class SecurityEvent(IntEnum):
    none = 0
    FirmwareUpdated = 1
    FailedToAuthenticateAtCentralSystem = 2
    CentralSystemFailedToAuthenticate = 3
    SettingSystemTime = 4
    StartupOfTheDevice = 5
    ResetOrReboot = 6
    SecurityLogWasCleared = 7
    ReconfigurationOfSecurityParameters = 8
    MemoryExhaustion = 9
    InvalidMessages = 10
    AttemptedReplayAttacks = 11
    TamperDetectionActivated = 12
    InvalidFirmwareSignature = 13
    InvalidFirmwareSigningCertificate = 14
    InvalidCentralSystemCertificate = 15
    InvalidChargePointCertificate = 16
    InvalidTLSVersion = 17
    InvalidTLSCipherSuite = 18
    unlisted = 65534


class QuirkBits(IntFlag):
    no_subprotocol = 1 << 0
    identity_encoding = 1 << 1
    invalid_json = 1 << 2
    schema_violation = 1 << 3
    unlisted_value = 1 << 4
    missing_unit = 1 << 5
    bad_timestamp = 1 << 6
    no_boot_notification = 1 << 7
    boot_loop = 1 << 8
    energy_backwards = 1 << 9
    unknown_transaction = 1 << 10
    duplicate_start = 1 << 11
    late_answer = 1 << 12
    no_pong = 1 << 13
    profile_without_effect = 1 << 14
    other = 1 << 15


class ResponseStatus(IntEnum):
    unset = 0
    Accepted = 1
    Blocked = 2
    Expired = 3
    Invalid = 4
    ConcurrentTx = 5
    Rejected = 6
    UnknownMessageId = 7
    UnknownVendorId = 8


ENUMS: dict[str, type[IntEnum] | type[IntFlag]] = {
    "role": Role,
    "gateway_state": GatewayState,
    "word_order": WordOrder,
    "watchdog_state": WatchdogState,
    "watchdog_action": WatchdogAction,
    "decision_default": DecisionDefault,
    "time_result": TimeResult,
    "time_source": TimeSource,
    "disk_state": DiskState,
    "limit_result": LimitResult,
    "profile_operation": ProfileOperation,
    "profile_purpose": ProfilePurpose,
    "profile_kind": ProfileKind,
    "profile_recurrency": ProfileRecurrency,
    "rate_unit": RateUnit,
    "command_state": CommandState,
    "command_error": CommandError,
    "result": Result,
    "list_operation": ListOperation,
    "authorization": Authorization,
    "link_state": LinkState,
    "status": Status,
    "error_code": ErrorCode,
    "stop_reason": StopReason,
    "request_type": RequestType,
    "response_state": ResponseState,
    "trigger": TriggerCode,
    "firmware_status": FirmwareStatus,
    "diagnostics_status": DiagnosticsStatus,
    "charge_point_bits": ChargePointBits,
    "connector_bits": ConnectorBits,
    "feature_bits": FeatureBits,
    "command": CommandCode,
    "security_event": SecurityEvent,
    "quirk_bits": QuirkBits,
    "response_status": ResponseStatus,
}
"""The name of an enumeration in the table → its codes."""


UNLISTED = 65534
"""What an enumeration shows for a text that OCPP 1.6 does not list (ocpp.md, Errors)."""


def code_of(enum: type[IntEnum], text: str) -> int:
    """The code of a wire name; `UNLISTED` for a text that the enumeration does not have.

    Only the listed wire names count: `none`, `unset` and `unknown` are our words for "nothing yet".
    """
    member = enum.__members__.get(text)
    return UNLISTED if member is None or text in _OURS else int(member)


_OURS = frozenset({"none", "unset", "unknown", "never", "unlisted"})
