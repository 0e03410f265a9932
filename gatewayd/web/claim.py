"""When a gateway without a password may be given one: whoever stands before it may, nobody far away. Pure."""

from __future__ import annotations

from typing import Final

WINDOW_S: Final = 15 * 60.0
"""From power-on: who can switch it off and on can claim it (experience.md, claim it)."""


def refusal(uptime_s: float, *, button_held: bool) -> str:
    """Why this gateway cannot be claimed now; empty when it can. `uptime_s`: since power-on."""
    if uptime_s <= WINDOW_S or button_held:
        return ""
    minutes = int(WINDOW_S // 60)
    return (
        f"it has been on for more than {minutes} minutes. Switch it off and on again, or hold its button, "
        "and open this page once more"
    )


def remaining_s(uptime_s: float) -> float:
    """How long it may still be claimed without holding the button."""
    return max(0.0, WINDOW_S - uptime_s)
