"""The table for people, programs and tools: `make map FORMAT=…`; never a second source of truth.

Without a configuration: the contract, offsets in blocks; for a tool, a small example site. With one: the points of its
charge points at their addresses (experience.md, exports).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from gatewayd import config as configuration
from gatewayd.config_tables import Config
from gatewayd.points.exports import comma_separated, document, markdown, web_page
from gatewayd.points.exports.document import Document
from gatewayd.points.exports.listing import ExportRefused, Listing, listing

EXAMPLE = """
[gateway]
name = "example-site"
[[charge_point]]
number = 1
identity = "CP001"
connectors = 2
"""
"""What an import for a tool is made from when no configuration is named."""


# What only one form needs is imported with that form: a page that offers them all need not hold them all in memory.
def _xlsx(content: Document) -> bytes:
    from gatewayd.points.exports import spreadsheet

    return spreadsheet.data(content)


def _pdf(content: Document) -> bytes:
    from gatewayd.points.exports import paper

    return paper.data(content)


def _home_assistant(site: Listing) -> str:
    from gatewayd.points.exports import home_assistant

    return home_assistant.text(site)


def _ignition(site: Listing) -> str:
    from gatewayd.points.exports import ignition

    return ignition.text(site)


def _node_red(site: Listing) -> str:
    from gatewayd.points.exports import node_red

    return node_red.text(site)


def _telegraf(site: Listing) -> str:
    from gatewayd.points.exports import telegraf

    return telegraf.text(site)


DOCUMENTS: dict[str, Callable[[Document], str | bytes]] = {
    "csv": comma_separated.text,
    "html": web_page.text,
    "md": markdown.text,
    "pdf": _pdf,
    "xlsx": _xlsx,
}
"""The forms of a document."""
TOOLS: dict[str, Callable[[Listing], str]] = {
    "home-assistant": _home_assistant,
    "ignition": _ignition,
    "node-red": _node_red,
    "telegraf": _telegraf,
}
"""The tools whose format is cited in their module. No others: a guess would be found out at somebody's site."""
BINARY = frozenset({"pdf", "xlsx"})
"""Not for a terminal."""


def exported(form: str, config: Config | None = None, host: str = "") -> bytes:
    """One export. `host`: where clients dial, if not as configured. Raises ExportRefused."""
    if form in TOOLS:
        text: str | bytes = TOOLS[form](listing(config or configuration.parse(EXAMPLE, "example"), host))
    else:
        content = document.contract() if config is None else document.site(listing(config, host))
        text = DOCUMENTS[form](content)
    return text.encode() if isinstance(text, str) else text


def as_csv() -> str:
    """The contract's own form."""
    return comma_separated.text(document.contract())


def as_markdown() -> str:
    """The contract as a page for people, with the enumerations."""
    return markdown.text(document.contract())


def main() -> int:
    """Exit code 2 with a line on stderr where the configuration or the export is refused."""
    parser = argparse.ArgumentParser(prog="make map", description=__doc__)
    parser.add_argument("--format", default="csv", choices=sorted([*DOCUMENTS, *TOOLS]))
    parser.add_argument("--config", type=Path, help="only what this site has, at its addresses")
    parser.add_argument("--host", default="", help="where clients reach the gateway, for imports that hold it")
    options = parser.parse_args()
    if options.format in BINARY and sys.stdout.isatty():
        sys.stderr.write(f"this is no text: make map FORMAT={options.format} > registers.{options.format}\n")
        return 2
    try:
        config = None
        if options.config is not None:
            config = configuration.parse(options.config.read_bytes(), options.config.name)
        data = exported(options.format, config, options.host)
    except (ExportRefused, configuration.ConfigError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.buffer.write(data)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
