"""The switches of a quirk profile, typed and explained: the table behind gatewayd/quirks/*.toml and
`[charge_point.quirks]` (charge_point_quirks.md; interface.md, `profile`).

A switch is one line: what it does, what it may be, and why it is there, with the row of that document. Absent means
as in the profile, and in a profile as in the standard.
"""

from dataclasses import dataclass

from gatewayd.config_values import setting

PURPOSES = ("TxDefaultProfile", "TxProfile", "ChargePointMaxProfile")
HIGHEST_STACK_LEVEL = -1
"""As `limit_stack_level`: the charge point's own ChargeProfileMaxStackLevel."""


@dataclass(frozen=True, slots=True)
class Quirks:
    assume_subprotocol: bool | None = setting(
        "a handshake that offers no subprotocol means ocpp1.6; else it is refused",
        None,
        why="H1: some firmware leaves Sec-WebSocket-Protocol out",
    )
    ping: bool | None = setting(
        "false: never pinged; three heartbeat intervals of silence end the link",
        None,
        why="C4: some never answer a ping, some close for one",
    )
    call_timeout_s: float | None = setting(
        "instead of [ocpp] call_timeout_s", None, low=1, high=600, why="C6: some answer after more than a minute"
    )
    heartbeat_interval_s: int | None = setting(
        "instead of [ocpp] heartbeat_interval_s", None, low=10, high=86400, why="B5: long intervals are refused by some"
    )
    repair_json: bool | None = setting(
        "messages that are no JSON are mended where the fault is a known one",
        None,
        why="M1: a field without its value, a comma too many",
    )
    time_fraction: bool | None = setting(
        "times are sent as 2026-01-01T00:00:00.000Z, else without the fraction", None, why="B6: some insist on it"
    )
    own_questions: bool | None = setting(
        "false: the gateway asks nothing by itself, so features, rate_units and others stay unknown",
        None,
        why="B3: some restart when they are asked, some never answer",
    )
    own_triggers: bool | None = setting(
        "false: no TriggerMessage by the gateway itself", None, why="C7: some stop answering after one"
    )
    availability_on_connect: bool | None = setting(
        "true: ChangeAvailability of the whole, as `operative` says, whenever it has connected",
        None,
        why="S10: some need it to become available, others are upset by it",
    )
    energy_register: str | None = setting(
        "what Energy.Active.Import.Register counts: all, since the session began, or that with a transaction only",
        None,
        choices=("total", "session", "session_in_transaction"),
        why="M9: some begin at 0 with every session",
    )
    start_may_mean_end: bool | None = setting(
        "a StartTransaction while a car charges already, or has finished, is the end of that session",
        None,
        why="T9: old firmware sends it in place of StopTransaction",
    )
    start_pause_s: float | None = setting(
        "RemoteStartTransaction waits so long after a StopTransaction of its connector",
        None,
        low=0,
        high=600,
        why="T10: some fall off the network when they are started too soon",
    )
    hex_id_tags: bool | None = setting(
        "tags of other characters than 0-9 and A-F are refused before they are sent",
        None,
        why="T12: some take only what an RFID card could hold",
    )
    limit_purposes: tuple[str, ...] = setting(
        "as what limits are sent: tried in this order until one is accepted; empty: all three",
        (),
        most=3,
        choices=PURPOSES,
        why="S1: some know only one, some accept one and ignore it",
    )
    limit_kind: str | None = setting(
        "the chargingProfileKind of limits", None, choices=("Absolute", "Relative"), why="S1: some know only one"
    )
    limit_stack_level: int | None = setting(
        "the only stack level of limits; -1: the highest that it names; 0 leaves no room for a fallback",
        None,
        low=HIGHEST_STACK_LEVEL,
        high=100,
        why="S2: some take 0 only, some obey their highest only",
    )
    limit_unit: str | None = setting(
        "the only unit of limits", None, choices=("A", "W"), why="S4: some take W only, and say so unclearly or never"
    )
    limit_clearing: str | None = setting(
        "how a limit is taken away: ClearChargingProfile by_id or by_purpose, or the ceiling is sent as limit",
        None,
        choices=("by_id", "by_purpose", "ceiling"),
        why="S1: some do not find what they are to clear",
    )
    when_zero_refused: str | None = setting(
        "where a limit of 0 is refused or not obeyed: nothing, 6 A, 6 A and stop, 6 A and inoperative",
        None,
        choices=("nothing", "minimum", "stop", "inoperative"),
        why="S3: many take 6 A and no less",
    )
