"""A backup as one file (docs/interfaces.md, The backup file): `container` seals it, `contents` says what is inside."""
