"""A charge point whose tags the gateway accepts by itself, so that a test of its habits need not decide."""

from tests.kit import Kit, WireEnd


def booted(toml: str = "") -> tuple[Kit, WireEnd]:
    """It has booted, and both its connectors are available."""
    kit = Kit(toml)
    kit.write(18, 1)  # decision_default: accept
    end = kit.connect()
    end.boot()
    for number in (1, 2):
        end.status(number, "Available")
    return kit, end
