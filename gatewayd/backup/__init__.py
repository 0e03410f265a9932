"""A backup as one file (docs/interfaces.md, The backup file): `container` seals it, `contents` says what is inside."""

from typing import Final

RESTORED: Final = "restored.json"
"""Put into a state that is restored: which backup it comes from, so that page and gatewayd know that it took effect. It
stands here because gatewayd wants the name, and none of what makes archives."""
