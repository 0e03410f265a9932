"""Whether a charge point does what it accepted (quirk S6): `limit_result` = no_effect after 60 s without effect."""

from __future__ import annotations

from gatewayd.site.codes import LimitResult, QuirkBits
from gatewayd.site.connector import Connector
from gatewayd.site.limit_result import show
from gatewayd.site.meter import Meter

PATIENCE_S = 60.0
"""So long more than the limit may be offered or drawn (modbus.md, Limits)."""
SETTLED_S = 5.0
"""A value measured sooner after the limit was accepted shows the time before: a car has 5 s to follow (IEC 61851-1)."""
TOLERANCE_A, TOLERANCE = 1.0, 0.05
"""More than the limit by this much, or by this part of it, is not the meter's inaccuracy any more."""
OFFERED = frozenset({"Current.Offered", "Power.Offered"})


def observe(connector: Connector, now: float) -> float | None:
    """Compare what the meter says with the limit in force. Returns what is taken, in A, if it has just turned out that
    the limit has no effect."""
    limit, effect = connector.limit, connector.limit.effect
    held = limit.own.held
    if held is None or held.nothing or limit.result not in (LimitResult.accepted, LimitResult.no_effect):
        _forget(connector)
        return None
    if effect.judged != held:
        _forget(connector)
        effect.judged, effect.since = held, now
    since = now if effect.since is None else effect.since
    measured = _measured(connector)
    measured_at = max((at for each in measured if (at := _measured_at(each, now)) is not None), default=None)
    if measured_at is None or measured_at < since + SETTLED_S:
        return None
    allowed_a = held.limit_a + max(TOLERANCE_A, TOLERANCE * held.limit_a)
    taken_a = sum(_taken_a(each, since + SETTLED_S) for each in measured)
    if taken_a <= allowed_a:
        effect.over_since = None
        effect.obeyed = True  # an excess from here on is counted from when it is seen
        if limit.result == LimitResult.no_effect and held == limit.own.wanted:
            _show(connector, LimitResult.accepted)
        return None
    if effect.over_since is None:
        effect.over_since = measured_at if effect.obeyed else since
    if now >= effect.over_since + PATIENCE_S:
        if limit.result == LimitResult.no_effect:
            return None
        connector.charge_point.note_quirk(QuirkBits.profile_without_effect)
        _show(connector, LimitResult.no_effect)
        return taken_a
    if effect.look is None or not effect.look.waiting:
        agenda = connector.charge_point.bank.site.agenda
        effect.look = agenda.at(effect.over_since + PATIENCE_S, lambda _then: connector.touch())
    return None


def _show(connector: Connector, result: LimitResult) -> None:
    connector.limit.own.outcome = result
    show(connector, result)


def _forget(connector: Connector) -> None:
    effect = connector.limit.effect
    if effect.judged is None:
        return
    effect.judged = effect.since = effect.over_since = None
    effect.obeyed = False
    if effect.look is not None:
        effect.look.cancel()
        effect.look = None


def _measured(connector: Connector) -> list[Connector]:
    """Whose meters tell: its own, or all of them where the charge point as a whole is limited."""
    return [connector] if connector.number else connector.charge_point.real_connectors


def _measured_at(connector: Connector, now: float) -> float | None:
    """When its newest value was measured, which is long before it came where an offline queue brings it."""
    came_at, measured_epoch = connector.meter_at, connector.meter.time_epoch
    if came_at is None or measured_epoch is None:
        return came_at
    return min(came_at, now - (connector.charge_point.bank.site.epoch - measured_epoch))


def _taken_a(connector: Connector, earliest: float) -> float:
    """What flows in the phase that carries most, or is offered if that is more; 0 where nobody knows, or charges: the
    last value of a session outlives it."""
    if connector.open_transaction is None and not connector.charging:
        return 0.0
    meter, offered_at = connector.meter, connector.limit.effect.offered_at
    per_ampere = connector.limit.supply.watts_per_ampere(connector.limit.written_phases)
    taken_a = _drawn_a(meter, per_ampere)
    if offered_at is None or offered_at < earliest:
        return taken_a
    if meter.current_offered_a is not None:
        return max(taken_a, meter.current_offered_a)
    return max(taken_a, (meter.power_offered_w or 0.0) / per_ampere)


def _drawn_a(meter: Meter, per_ampere: float) -> float:
    """From the power where no phase is measured; a current without phase may be the sum of them, so it comes last."""
    phases = [a for a in (meter.current_l1_a, meter.current_l2_a, meter.current_l3_a) if a is not None]
    if phases:
        return max(phases)
    if meter.power_active_import_w is not None:
        return meter.power_active_import_w / per_ampere
    return meter.current_import_a or 0.0
