"""What kind of charge point this is: its nameplate, its abilities and its bad habits."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ocpp_link import ANSWER_LATENCY_S
from .charging_profiles import Capability
from .configuration import ALL_FEATURES
from .meter import Manner


@dataclass(slots=True)
class Traits:
    """The default is a well-behaved three-phase charge point with everything that OCPP 1.6 knows."""

    vendor: str = "Plant Room Works"
    model: str = "Simulated 22"
    serial: str = "SIM-000001"
    firmware: str = "1.6.0"
    meter_type: str = "Seeded"
    meter_serial: str = "M-000001"

    max_current_a: float = 32.0  # per phase, of the hardware
    phases: int = 3
    features: tuple[str, ...] = (*ALL_FEATURES, "Security")
    profiles: Capability = field(default_factory=Capability)
    ignores_limits: bool = False  # accepts profiles and charges on as before
    manner: Manner = field(default_factory=Manner)
    session_register: bool = False  # the energy register begins at 0 with every transaction

    sends_boot: bool = True
    boots_on_reconnect: bool = False
    repeats_all_status_on_reconnect: bool = False
    sends_security_events: bool = True
    follows_central_time: bool = True
    subprotocols: tuple[str, ...] | None = ("ocpp1.6",)

    step_s: float = 5.0  # how often a running session is looked at
    answer_latency_s: float = ANSWER_LATENCY_S
    call_timeout_s: float = 60.0
    reboot_s: float = 8.0
    dial_timeout_s: float = 30.0
    boot_retry_s: float = 30.0  # when the answer to BootNotification names no interval, or none came
    reconnect_s: float = 5.0
    reconnect_max_s: float = 60.0
    transfer_s: float = 10.0  # each stage of a firmware update or an upload
    transfers_fail: bool = False
