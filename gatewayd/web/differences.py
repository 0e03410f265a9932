"""Two configurations side by side: which keys differ, from what to what. Secrets are never said. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gatewayd.config import describe
from gatewayd.config_tables import Config
from gatewayd.config_values import declared
from gatewayd.web.audit import SECRET

SECRETS = frozenset(row.path for row in describe() if row.secret)


@dataclass(frozen=True, slots=True)
class Difference:
    """One key. None: it is not there on that side."""

    key: str
    old: str | None
    new: str | None


def differences(old: Config, new: Config) -> list[Difference]:
    """All keys that differ, in the order of the file."""
    before, after = dict(_flat(old, "", "")), dict(_flat(new, "", ""))
    keys = [*before, *(key for key in after if key not in before)]
    return [
        Difference(key, *(_said(each) for each in (before.get(key), after.get(key))))
        for key in keys
        if _value(before.get(key)) != _value(after.get(key))
    ]


Told = tuple[Any, bool]
"""A value, and whether it is secret."""


def _value(told: Told | None) -> Any:
    return None if told is None else (told[0],)


def _said(told: Told | None) -> str | None:
    if told is None:
        return None
    value, secret = told
    if secret:
        return SECRET if value else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _flat(record: Any, path: str, shown: str) -> Iterator[tuple[str, Told]]:
    """Every key with its value. An entry of an array is called by its number: `charge_point 3.identity`."""
    for row in declared(record.__class__):
        value = getattr(record, row.field)
        here, key = _join(path, row.toml_name), _join(shown, row.toml_name)
        if dataclasses.is_dataclass(value):
            yield from _flat(value, here, key)
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for entry in value:
                yield from _flat(entry, here, f"{key} {getattr(entry, 'number', '')}".strip())
        elif row.key is not None:
            yield key, (value, here in SECRETS)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
