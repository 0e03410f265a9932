"""Which release this is."""

from typing import Final

VERSION: Final = "0.1.0"
"""As in pyproject.toml, which a test compares. Asking the installed package would make every start read parsers of
e-mail and archives, which importlib.metadata needs."""
