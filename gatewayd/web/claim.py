"""When a gateway without a password may be given one: whoever stands before it may, nobody far away. Pure."""

from __future__ import annotations

from typing import Final

WINDOW_S: Final = 15 * 60.0
"""From power-on, and from whenever the button was held: who can switch it off and on, or reach its button, can claim
it (experience.md, claim it)."""


def refusal(left_s: float, *, button: bool | None, appliance: bool) -> str:
    """Why this gateway cannot be claimed now; empty when it can. `button`: it is held; None: nobody can tell."""
    if left_s > 0 or button:
        return ""
    minutes = int(WINDOW_S // 60)
    again = "Switch it off and on again" if appliance else "Stop it and start it again"
    why = f"it has been on for more than {minutes} minutes, and nobody holds its button. {again}"
    if button is None:
        return f"it has been on for more than {minutes} minutes, and its button cannot be seen now. {again}"
    return f"{why}, or hold its button while you open this page: either gives you {minutes} minutes"


def remaining_s(since_s: float) -> float:
    """How long it may still be claimed. `since_s`: since power-on, or since the button was last seen held."""
    return max(0.0, WINDOW_S - since_s)
