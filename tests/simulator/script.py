"""What a simulated peer does instead of the right thing: answers late, never, with an error, with other words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Payload = dict[str, Any]
ANY_ACTION = "*"


@dataclass(slots=True)
class Rule:
    """One instruction for the answers to (or, for `rewrite`, the Calls of) one action."""

    times: int | None  # None: always
    delay_s: float = 0.0
    drop: bool = False
    acts: bool = True  # of a dropped answer: the work itself was done
    error: tuple[str, str] | None = None
    answer: Payload | Callable[[Payload], Payload] | None = None
    rewrite: Callable[[Payload], Payload] | None = None


class Script:
    """Rules per action; the newest rule that still has turns is taken, `"*"` stands for every action.

    `times` counts how often a rule is used, None is for ever; `forget` ends it.
    """

    def __init__(self) -> None:
        self._answers: dict[str, list[Rule]] = {}
        self._calls: dict[str, list[Rule]] = {}

    def delay(self, action: str, seconds: float, times: int | None = None) -> None:
        """The Call is worked on, and answered, `seconds` later than usual."""
        self._answers.setdefault(action, []).append(Rule(times, delay_s=seconds))

    def drop(self, action: str, times: int | None = None, *, acts: bool = True) -> None:
        """No answer ever; `acts=False`: nothing is done either."""
        self._answers.setdefault(action, []).append(Rule(times, drop=True, acts=acts))

    def error(self, action: str, code: str = "InternalError", description: str = "", times: int | None = None) -> None:
        """CALLERROR with this code; nothing is done."""
        self._answers.setdefault(action, []).append(Rule(times, error=(code, description), acts=False))

    def answer(self, action: str, payload: Payload | Callable[[Payload], Payload], times: int | None = None) -> None:
        """This answer (or what the function makes of the Call's payload); nothing is done."""
        self._answers.setdefault(action, []).append(Rule(times, answer=payload, acts=False))

    def rewrite(self, action: str, change: Callable[[Payload], Payload], times: int | None = None) -> None:
        """Our own Calls of this action go out with the payload that `change` returns."""
        self._calls.setdefault(action, []).append(Rule(times, rewrite=change))

    def forget(self, action: str | None = None) -> None:
        """Behave again: for one action, or for all."""
        for rules in (self._answers, self._calls):
            if action is None:
                rules.clear()
            else:
                rules.pop(action, None)

    def for_answer(self, action: str) -> Rule:
        return _take(self._answers, action) or Rule(None)

    def for_call(self, action: str, payload: Payload) -> Payload:
        rule = _take(self._calls, action)
        return rule.rewrite(payload) if rule and rule.rewrite else payload


def _take(rules: dict[str, list[Rule]], action: str) -> Rule | None:
    for key in (action, ANY_ACTION):
        for rule in reversed(rules.get(key, [])):
            if rule.times is None:
                return rule
            if rule.times > 0:
                rule.times -= 1
                return rule
    return None
