"""One target under atheris: `python -m tests.fuzz.guided TARGET [libFuzzer's options and corpora]`.

A file in place of the options is tried once: so a finding is repeated. Needs atheris (`make fuzz` fetches it).
"""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["gatewayd", "wsproto", "h11"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name, *options = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
