"""The documents that are printed from the code: written by `make docs`, kept fresh by test_docs.py.

Run as a program it writes them into the project's `docs/`.
"""

import json
import re
from collections.abc import Iterator
from itertools import groupby

from gatewayd.config import Described, Quirks, describe
from gatewayd.config_values import declared
from gatewayd.points.export import as_markdown
from gatewayd.quirk_profiles import model, written
from gatewayd.quirks import names
from tests.house.sources import PROJECT

QUIRKS_NOTE = "<!-- Printed from gatewayd/quirks/*.toml by `make docs`; change it there. -->"
NOTE = "<!-- Printed from gatewayd/config_tables.py by `make docs`; change it there. -->"

ARRAYS = ("charge_point", "slot")


def configuration() -> str:
    """docs/configuration.md: every key of the configuration, table by table."""
    return "\n".join(_configuration())


def _configuration() -> Iterator[str]:
    yield f"""{NOTE}
# Configuration

One TOML file, given to the gateway as `--config FILE`. Every key has a default, so the smallest useful file is

```toml
[[charge_point]]
number = 1
identity = "CP001"
```

[gatewayd/example.toml](../gatewayd/example.toml) holds every key with its default, to copy from. With `--check` the
gateway only says what is wrong with a file, one line a fault: `FILE: key.path: what is wrong`.

`[network]` is followed by the appliance alone: on a PC the machine's own network stays as it is.
"""
    for table, keys in groupby(describe(), lambda key: key.path.rpartition(".")[0]):
        heading = f"[[{table}]]" if table in ARRAYS else f"[{table}]"
        yield f"## {heading}\n\n| key | default | may be | what it does |\n|---|---|---|---|"
        yield from map(_row, keys)
        yield ""


def _row(key: Described) -> str:
    name = key.path.rpartition(".")[2]
    default = key.default if key.default in ("must be written", "absent") else f"`{key.default}`"
    allowed = f"{key.type}: {key.allowed}" if key.allowed else key.type
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{name}`", default, allowed, key.comment)) + " |"


def charge_points() -> str:
    """docs/manual/charge-points.md: every quirk profile, and every switch."""
    return "\n".join(_charge_points()) + "\n"


def _charge_points() -> Iterator[str]:
    yield f"""{QUIRKS_NOTE}
# Charge points and their habits

OCPP 1.6 leaves room, and firmware takes more of it than there is. The gateway reads tolerantly and writes strictly, so
most charge points need nothing of this page: leave `profile` at `standard`. Where a model is listed here, name its
profile in its `[[charge_point]]`:

```toml
[[charge_point]]
number = 1
identity = "CP001"
profile = "wallbox-pulsar"
```

A profile that does not exist is refused with the names of those that do. Each is one small file in
[gatewayd/quirks](../../gatewayd/quirks), with the public threads in which the habit was seen; none of these models was
tried here by ourselves. What the gateway tolerated of a charge point, with or without a profile, stands in its register
`quirks` ([offset 44 of block 0](../registers.md)).

One charge point may differ from its model: `[charge_point.quirks]` sets single switches, over those of its profile.

```toml
[charge_point.quirks]            # belongs to the [[charge_point]] above it
ping = false
```

## The profiles

| profile | for |
|---|---|"""
    listed = [name for name in sorted(names()) if name != "standard"]
    for name in listed:
        known = model(name)
        of = f" (firmware {known.firmware})" if known.firmware else ""
        yield f"| [{name}](#{name}) | {', '.join(known.models)}{of} |"
    for name in listed:
        yield from _habits(name)
    yield "\n## The switches\n\n| switch | what it does | why there is one |\n|---|---|---|"
    for row in declared(Quirks):
        assert row.key is not None
        allowed = "true or false" if row.kind is bool else row.key.allowed()
        yield f"| `{row.field}`: {allowed} | {row.key.comment} | {row.key.why} |"
    yield """
A letter and a number, as H1, is a row of the list of habits that the tests go through, one by one."""


def _habits(name: str) -> Iterator[str]:
    known = model(name)
    yield f"\n### {name}\n"
    for habit in known.habits:
        threads = ", ".join(f"[{_short(url)}]({url})" for url in habit.threads)
        switches = ", ".join(f"`{switch} = {_as_toml(value)}`" for switch, value in written(habit.switches).items())
        rows = ", ".join(habit.rows)
        seen = habit.seen[0].upper() + habit.seen[1:]
        yield f"- {seen} ({rows}; {threads}). {switches + '.' if switches else 'Needs no switch.'}"
    if known.note:
        yield f"\n{known.note}"


def _short(url: str) -> str:
    """`lbbrhzn/ocpp 442` for the thread of that number."""
    found = re.fullmatch(r"https://github\.com/([^/]+/[^/]+)/(?:issues|pull)/(\d+)", url)
    return f"{found[1]} {found[2]}" if found else url.rpartition("/")[2]


def _as_toml(value: object) -> str:
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


DOCUMENTS = {
    "configuration.md": configuration,
    "registers.md": as_markdown,
    "manual/charge-points.md": charge_points,
}


def main() -> None:
    for name, text in DOCUMENTS.items():
        (PROJECT / "docs" / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
