"""A simulated BMS on Modbus TCP; `python -m tests.simulator.bms --help` for the command."""

from . import codes
from .bms import Bms, Outcome, Request
from .client import BadAnswer, ConnectionLost, ModbusClient, ModbusError
from .demo import Demo
from .points import POINTS, Point, PointMap
from .values import Coding, Value

__all__ = [
    "POINTS",
    "BadAnswer",
    "Bms",
    "Coding",
    "ConnectionLost",
    "Demo",
    "ModbusClient",
    "ModbusError",
    "Outcome",
    "Point",
    "PointMap",
    "Request",
    "Value",
    "codes",
]
