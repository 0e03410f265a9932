"""What a BMS may ask of a charge point that a central system upstream controls (modbus.md, Bridge role)."""

from __future__ import annotations

from gatewayd.site.charging_profile import ClearProfiles, GetSchedule, SetProfile
from gatewayd.site.codes import CommandCode
from gatewayd.site.command import Command

CODES = frozenset(
    {
        CommandCode.RemoteStartTransaction,
        CommandCode.RemoteStopTransaction,
        CommandCode.ChangeAvailability,
        CommandCode.TriggerMessage,
        CommandCode.ExtendedTriggerMessage,
        CommandCode.ReserveNow,
        CommandCode.CancelReservation,
        CommandCode.ClearChargingProfile,
    }
)
WISHES = (SetProfile, ClearProfiles, GetSchedule)
"""Limits and profiles come as these."""


def permitted(command: Command) -> bool:
    """Whether `local_control` covers it: limits and profiles, remote start and stop, reservation, availability,
    trigger. Everything else stays with the central system."""
    if command.payload is not None:
        return isinstance(command.payload, WISHES)
    return command.code in CODES
