"""webd as it must never be: it escapes nothing and sends no Content-Security-Policy. The twin of the test of R28."""

import sys

from gatewayd.web import guard
from gatewayd.web.__main__ import main
from gatewayd.web.rendering import Rendering


def careless() -> None:
    """Takes both safeguards away."""
    careful = Rendering.__init__

    def made(self: Rendering, *arguments: object) -> None:
        careful(self, *arguments)  # type: ignore[arg-type]
        self.environment.autoescape = False

    Rendering.__init__ = made  # type: ignore[assignment, method-assign]
    guard.HEADERS.pop("content-security-policy")


if __name__ == "__main__":
    careless()
    sys.exit(main())
