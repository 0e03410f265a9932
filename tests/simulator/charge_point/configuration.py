"""The configuration keys of a charge point (OCPP 1.6, 9; the security whitepaper's; two of a vendor)."""

from __future__ import annotations

from dataclasses import dataclass

READ_ONLY, REBOOT, WRITE_ONLY = "read only", "reboot required", "write only"

SAMPLED = (
    "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage,"
    "Current.Offered,Power.Offered,Frequency,Temperature,Power.Factor,SoC"
)
ALL_FEATURES = (
    "Core",
    "FirmwareManagement",
    "LocalAuthListManagement",
    "Reservation",
    "SmartCharging",
    "RemoteTrigger",
)

# key, value at delivery, how it may be used
TABLE: tuple[tuple[str, str, str], ...] = (
    ("AllowOfflineTxForUnknownId", "true", ""),
    ("AuthorizationCacheEnabled", "false", ""),
    ("AuthorizeRemoteTxRequests", "false", ""),
    ("BlinkRepeat", "3", ""),
    ("ClockAlignedDataInterval", "0", ""),
    ("ConnectionTimeOut", "60", ""),
    ("ConnectorPhaseRotation", "0.RST,1.RST,2.RST", ""),
    ("ConnectorPhaseRotationMaxLength", "8", READ_ONLY),
    ("GetConfigurationMaxKeys", "50", READ_ONLY),
    ("HeartbeatInterval", "60", ""),
    ("LightIntensity", "80", ""),
    ("LocalAuthorizeOffline", "true", ""),
    ("LocalPreAuthorize", "false", ""),
    ("MaxEnergyOnInvalidId", "0", ""),
    ("MeterValuesAlignedData", SAMPLED, ""),
    ("MeterValuesAlignedDataMaxLength", "22", READ_ONLY),
    ("MeterValuesSampledData", SAMPLED, ""),
    ("MeterValuesSampledDataMaxLength", "22", READ_ONLY),
    ("MeterValueSampleInterval", "60", ""),
    ("MinimumStatusDuration", "0", ""),
    ("NumberOfConnectors", "", READ_ONLY),
    ("ResetRetries", "1", ""),
    ("StopTransactionOnEVSideDisconnect", "true", ""),
    ("StopTransactionOnInvalidId", "true", ""),
    ("StopTxnAlignedData", "", ""),
    ("StopTxnAlignedDataMaxLength", "22", READ_ONLY),
    ("StopTxnSampledData", "Energy.Active.Import.Register", ""),
    ("StopTxnSampledDataMaxLength", "22", READ_ONLY),
    ("SupportedFeatureProfiles", "", READ_ONLY),
    ("SupportedFeatureProfilesMaxLength", "6", READ_ONLY),
    ("TransactionMessageAttempts", "3", ""),
    ("TransactionMessageRetryInterval", "10", ""),
    ("UnlockConnectorOnEVSideDisconnect", "true", ""),
    ("WebSocketPingInterval", "0", ""),
    ("LocalAuthListEnabled", "true", ""),
    ("LocalAuthListMaxLength", "500", READ_ONLY),
    ("SendLocalListMaxLength", "20", READ_ONLY),
    ("ReserveConnectorZeroSupported", "true", READ_ONLY),
    ("ChargeProfileMaxStackLevel", "8", READ_ONLY),
    ("ChargingScheduleAllowedChargingRateUnit", "Current,Power", READ_ONLY),
    ("ChargingScheduleMaxPeriods", "24", READ_ONLY),
    ("ConnectorSwitch3to1PhaseSupported", "false", READ_ONLY),
    ("MaxChargingProfilesInstalled", "30", READ_ONLY),
    ("AdditionalRootCertificateCheck", "false", READ_ONLY),
    ("AuthorizationKey", "", WRITE_ONLY),
    ("CertificateSignedMaxChainSize", "10000", READ_ONLY),
    ("CertificateStoreMaxLength", "20", READ_ONLY),
    ("CpoName", "Plant room", ""),
    ("SecurityProfile", "0", REBOOT),
    ("CentralSystemURL", "", REBOOT),
    ("DisplayLanguage", "en", REBOOT),
)


@dataclass(slots=True)
class Key:
    name: str
    value: str
    use: str

    @property
    def read_only(self) -> bool:
        return self.use == READ_ONLY


class Configuration:
    """Names are compared without case, as OCPP 1.6 asks (CiString); values are text as on the wire."""

    def __init__(self, **values: str) -> None:
        self._keys = {name.lower(): Key(name, value, use) for name, value, use in TABLE}
        for name, value in values.items():
            self[name] = value

    def __getitem__(self, name: str) -> str:
        return self._keys[name.lower()].value

    def __setitem__(self, name: str, value: str) -> None:
        """Also for read-only keys: this is the factory's way, not the central system's."""
        self._keys[name.lower()].value = value

    def flag(self, name: str) -> bool:
        return self[name].lower() == "true"

    def number(self, name: str) -> int:
        return int(self[name])

    def names(self, name: str) -> list[str]:
        return [part.strip() for part in self[name].split(",") if part.strip()]

    def get(self, asked: list[str]) -> dict[str, object]:
        """The payload of GetConfiguration's answer; nothing asked is everything asked."""
        names = asked or [key.name for key in self._keys.values()]
        found: list[dict[str, object]] = []
        unknown: list[str] = []
        for name in names:
            key = self._keys.get(name.lower())
            if key is None:
                unknown.append(name)
            elif key.use == WRITE_ONLY:
                found.append({"key": key.name, "readonly": False})
            else:
                found.append({"key": key.name, "readonly": key.read_only, "value": key.value})
        answer: dict[str, object] = {"configurationKey": found}
        return answer | {"unknownKey": unknown} if unknown else answer

    def change(self, name: str, value: str) -> str:
        """The status of ChangeConfiguration. The kind of value is judged by the one that stands there."""
        key = self._keys.get(name.lower())
        if key is None:
            return "NotSupported"
        if key.read_only or not _same_kind(key.value, value):
            return "Rejected"
        key.value = value
        return "RebootRequired" if key.use == REBOOT else "Accepted"


def _same_kind(old: str, new: str) -> bool:
    if old.lower() in ("true", "false"):
        return new.lower() in ("true", "false")
    if old.isdigit():
        return new.isdigit() and len(new) <= 9
    return True
