"""What one ampere per phase of a connector means in watts: measured voltage and phases (modbus.md, Limits)."""

from __future__ import annotations

from dataclasses import dataclass

from gatewayd.site.meter import NOMINAL_VOLTAGE_V, Meter

NOMINAL_PHASES = 3
NOMINAL_WATTS_PER_AMPERE = NOMINAL_PHASES * NOMINAL_VOLTAGE_V
PHASE_IN_USE_A = 1.0
"""A phase that carries less is not in use: below is a charger's own consumption and the meter's noise."""
STEADY = 0.01
"""A voltage that moved by less than this part is the same: a limit must not be sent anew for every meter value."""
BELIEVABLE_V = (100.0, 300.0)
"""A phase voltage outside is none: an open relay's 0 V, or a voltage between phases."""


@dataclass(slots=True)
class Supply:
    """What was measured of a connector's supply, as far as limits are converted with it."""

    phases: tuple[int, ...] = ()
    """Those of 1..3 that carried current in this session; empty: not known."""
    volts: tuple[float | None, float | None, float | None] = (None, None, None)

    def learn(self, meter: Meter, *, in_session: bool) -> None:
        """Take over what the meter says now. How many phases a car uses is forgotten when it leaves."""
        if not in_session:
            self.phases = ()
        currents = (meter.current_l1_a, meter.current_l2_a, meter.current_l3_a)
        used = tuple(
            phase for phase, amps in enumerate(currents, 1) if amps is not None and abs(amps) >= PHASE_IN_USE_A
        )
        if used and in_session:
            self.phases = used
        measured = (meter.voltage_l1_v, meter.voltage_l2_v, meter.voltage_l3_v)
        known = tuple(_steady(before, now) for before, now in zip(self.volts, measured, strict=True))
        self.volts = (known[0], known[1], known[2])

    def watts_per_ampere(self, phases_written: int) -> float:
        """W for each A per phase, > 0. `phases_written` 1..3 counts where none were measured, 0 = not written."""
        phases = self.phases or tuple(range(1, (phases_written or NOMINAL_PHASES) + 1))
        some = next((volts for volts in self.volts if volts is not None), NOMINAL_VOLTAGE_V)
        return sum(self.volts[phase - 1] or some for phase in phases)


def _steady(before: float | None, now: float | None) -> float | None:
    if now is None or not BELIEVABLE_V[0] <= now <= BELIEVABLE_V[1]:
        return before
    if before is not None and abs(now - before) <= STEADY * before:
        return before
    return now
