"""The documents that are printed from the code: written by `make docs`, kept fresh by test_docs.py.

Run as a program it writes them into the project's `docs/`.
"""

from collections.abc import Iterator
from itertools import groupby

from gatewayd.config import INACTIVE, Described, describe
from gatewayd.points.export import as_markdown
from tests.house.sources import PROJECT

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

Keys marked *later* are accepted, checked and reported, but their feature is not there yet.
"""
    for table, keys in groupby(describe(), lambda key: key.path.rpartition(".")[0]):
        heading = f"[[{table}]]" if table in ARRAYS else f"[{table}]"
        yield f"## {heading}\n\n| key | default | may be | what it does |\n|---|---|---|---|"
        yield from map(_row, keys)
        yield ""


def _row(key: Described) -> str:
    name = key.path.rpartition(".")[2]
    later = any(f"{key.path}.".startswith(f"{path}.") for path in INACTIVE)
    default = key.default if key.default in ("must be written", "absent") else f"`{key.default}`"
    allowed = f"{key.type}: {key.allowed}" if key.allowed else key.type
    does = key.comment + (" *(later)*" if later else "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{name}`", default, allowed, does)) + " |"


DOCUMENTS = {"configuration.md": configuration, "registers.md": as_markdown}


def main() -> None:
    for name, text in DOCUMENTS.items():
        (PROJECT / "docs" / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
