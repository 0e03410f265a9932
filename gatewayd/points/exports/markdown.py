"""Markdown tables (GitHub Flavored Markdown, 4.10)."""

from __future__ import annotations

from gatewayd.points.exports.document import Document, Section, codes


def text(document: Document) -> str:
    """A page for people, with the enumerations."""
    note = document.note.replace("FORMAT=…", "FORMAT=md")
    parts = [f"# {document.title}\n", f"{note}\n"]
    for section in document.sections:
        parts += [f"## {section.title}\n", _table(document.columns, section)]
    parts.append("## Codes\n")
    parts += [f"- `{name}`: {listed}" for name, listed in codes()]
    return "\n".join(parts) + "\n"


def _table(columns: tuple[str, ...], section: Section) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(row[c].replace("|", "\\|") for c in columns) + " |" for row in section.rows]
    return "\n".join(lines) + "\n"
