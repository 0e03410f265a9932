"""A simulated OCPP 1.6J charge point; `python -m tests.simulator.charge_point --help` for the command."""

from .books import Transaction
from .charge_point import ChargePoint
from .charging_profiles import Capability
from .meter import ALL_MEASURANDS, Manner
from .outbox import Offline
from .session import OpenStream, read_url, tcp, tls
from .traits import Traits
from .vehicle import Vehicle

__all__ = [
    "ALL_MEASURANDS",
    "Capability",
    "ChargePoint",
    "Manner",
    "Offline",
    "OpenStream",
    "Traits",
    "Transaction",
    "Vehicle",
    "read_url",
    "tcp",
    "tls",
]
