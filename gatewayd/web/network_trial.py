"""Network settings on trial, for page and API: tried for 60 s, kept only by whoever still reaches the gateway.

stewardd has the privilege and the clock of the trial; here is remembered what is on trial, so that confirming saves
exactly that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import trio

from gatewayd.config_tables import Network
from gatewayd.web.editor import Author, Fault
from gatewayd.web.steward import NotGranted, wish

if TYPE_CHECKING:
    from gatewayd.web.app import Webd

TRIAL_S: Final = 60.0
"""How long stewardd keeps settings that nobody confirms."""


@dataclass(slots=True)
class Trial:
    """What is being tried, by key of the configuration, and until when (monotonic seconds)."""

    settings: dict[str, Any]
    until: float

    @property
    def left_s(self) -> int:
        return max(0, round(self.until - trio.current_time()))


_TRIALS: Final[dict[int, Trial]] = {}
"""By webd: at most one trial each, and one webd in a program."""


def trial(of: Webd) -> Trial | None:
    """What is on trial now."""
    found = _TRIALS.get(id(of))
    return found if found is not None and found.left_s > 0 else None


async def begin(of: Webd, author: Author, settings: dict[str, Any]) -> list[Fault]:
    """Puts `network.*` on trial. What is wrong with the settings; raises NotGranted."""
    faults = of.editor.judged(settings)
    if faults:
        return faults
    await wish(of.settings.steward, "apply_network", network=_as_wish(settings))
    _TRIALS[id(of)] = Trial(settings, trio.current_time() + TRIAL_S)
    of.audit.note(*author, "network settings on trial", "", str(settings["network.mode"]))
    return []


def _as_wish(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As stewardd takes it: static settings only where they are static."""
    plain = {key.removeprefix("network."): value for key, value in settings.items()}
    return plain if plain["mode"] == "static" else {"mode": plain["mode"], "ntp": plain["ntp"]}


def settings_of(network: Network) -> dict[str, Any]:
    """By key of the configuration, as `begin` takes them."""
    plain = {f"network.{key}": value for key, value in asdict(network).items()}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def differ(one: Network, other: Network) -> bool:
    """Whether one applied in place of the other changes anything."""
    return _as_wish(settings_of(one)) != _as_wish(settings_of(other))


async def confirm(of: Webd, author: Author) -> list[Fault]:
    """Keeps what is on trial: first in the configuration, then in force for good. Raises NotGranted."""
    tried = trial(of)
    if tried is None:
        raise NotGranted("no settings are on trial any more: those before are in force again")
    faults = await of.editor.set(author, tried.settings)
    if faults:
        return faults
    await wish(of.settings.steward, "confirm_network")
    _TRIALS.pop(id(of), None)
    return []


async def revert(of: Webd) -> None:
    """Back now. Raises NotGranted."""
    _TRIALS.pop(id(of), None)
    await wish(of.settings.steward, "revert_network")
