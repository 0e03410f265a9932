"""A bounded number of those who are not known yet."""

from __future__ import annotations

import trio


class Crowd:
    """At most so many; of more the one that is there for longest has to go. A real charge point is through in a few
    milliseconds, so a flood cannot keep it out."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._scopes: dict[trio.CancelScope, None] = {}

    def enter(self, scope: trio.CancelScope) -> None:
        """`scope` is cancelled if this one has to go."""
        if len(self._scopes) >= self._most:
            oldest = next(iter(self._scopes))
            del self._scopes[oldest]
            oldest.cancel()
        self._scopes[scope] = None

    def leave(self, scope: trio.CancelScope) -> None:
        """It is known now, or gone; nothing if it left already."""
        self._scopes.pop(scope, None)
