"""The codes that stand in registers, as an integrator has copied them from the gateway's documentation."""

from __future__ import annotations

COMMANDS = (
    "none",
    "RemoteStartTransaction",
    "RemoteStopTransaction",
    "UnlockConnector",
    "ResetSoft",
    "ResetHard",
    "ChangeAvailability",
    "ClearCache",
    "ChangeConfiguration",
    "GetConfiguration",
    "TriggerMessage",
    "ReserveNow",
    "CancelReservation",
    "ClearChargingProfile",
    "GetLocalListVersion",
    "DataTransfer",
    "GetDiagnostics",
    "UpdateFirmware",
    "ExtendedTriggerMessage",
    "GetLog",
    "SignedUpdateFirmware",
    "InstallCertificate",
    "DeleteCertificate",
    "GetInstalledCertificateIds",
    "CertificateSigned",
)
COMMAND_STATES = ("idle", "queued", "sent", "done", "failed")
COMMAND_ERRORS = (
    "none",
    "busy",
    "offline",
    "not_registered",
    "bad_parameter",
    "not_supported",
    "no_answer",
    "link_lost",
    "call_error",
    "blocked_by_role",
)
RESULTS = (
    "none",
    "Accepted",
    "Rejected",
    "Scheduled",
    "RebootRequired",
    "NotSupported",
    "NotImplemented",
    "Unlocked",
    "UnlockFailed",
    "Faulted",
    "Occupied",
    "Unavailable",
    "Unknown",
    "UnknownMessageId",
    "UnknownVendorId",
    "Failed",
    "VersionMismatch",
    "NotFound",
    "AcceptedCanceled",
    "InvalidCertificate",
    "RevokedCertificate",
)
LIMIT_RESULTS = (
    "none",
    "accepted",
    "rejected",
    "not_supported",
    "no_effect",
    "offline",
    "blocked_by_role",
    "pending",
    "no_answer",
    "call_error",
)
STATUSES = (
    "unknown",
    "Available",
    "Preparing",
    "Charging",
    "SuspendedEVSE",
    "SuspendedEV",
    "Finishing",
    "Reserved",
    "Unavailable",
    "Faulted",
)
REQUEST_TYPES = (
    "none",
    "Authorize",
    "StartTransaction",
    "StopTransaction",
    "BootNotification",  # never asked
    "DataTransfer",
    "SignCertificate",
)
RESPONSE_STATUSES = (
    "unset",
    "Accepted",
    "Blocked",
    "Expired",
    "Invalid",
    "ConcurrentTx",
    "Rejected",
    "UnknownMessageId",
    "UnknownVendorId",
)
RESPONSE_STATES = ("idle", "sent", "too_late", "bad_sequence", "default_used")
STOP_REASONS = (
    "none",
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
)
TRIGGERS = (
    "unset",
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "StatusNotification",
    "LogStatusNotification",
    "SignChargePointCertificate",
)
PROFILE_OPERATIONS = ("unset", "set", "clear", "get_composite_schedule", "attach_to_next_remote_start")
PURPOSES = ("unset", "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile")
KINDS = ("unset", "Absolute", "Recurring", "Relative")
RECURRENCIES = ("none", "Daily", "Weekly")
RATE_UNITS = ("A", "W")
LIST_OPERATIONS = ("unset", "put", "delete", "clear", "send_full", "send_differential", "read")
AUTHORIZATIONS = ("unset", "Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx")
TIME_RESULTS = ("none", "set", "incomplete", "out_of_range")
ROLES = ("central_system", "bridge")
GATEWAY_STATES = ("booting", "running", "configuration_error", "degraded")
LINK_STATES = ("never", "lost", "open", "accepted", "pending", "rejected")
UNLISTED = 65534


def name_of(codes: tuple[str, ...], code: object) -> str:
    """The name of a code; `unlisted`, or the number itself when the documentation has no name for it."""
    if code == UNLISTED:
        return "unlisted"
    return codes[code] if isinstance(code, int) and 0 <= code < len(codes) else str(code)


def code_of(codes: tuple[str, ...], name: str | int) -> int:
    """The code of a name; a number stays. ValueError when there is no such name."""
    return name if isinstance(name, int) else codes.index(name)
