"""HTML: one page that prints well and needs nothing from outside."""

from __future__ import annotations

import html
import re

from gatewayd.points.exports.document import Document, codes

STYLE = """<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color-scheme: light dark }
table { border-collapse: collapse; margin: 1em 0 }
th, td { border: 1px solid #8888; padding: .2em .5em; text-align: left }
thead { position: sticky; top: 0; background: Canvas }
</style>"""


def text(document: Document) -> str:
    note = html.escape(document.note.replace("FORMAT=…", "FORMAT=html"), quote=False)
    note = re.sub("`([^`]*)`", r"<code>\1</code>", note)
    title = html.escape(document.title)
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>",
        STYLE,
        f"<h1>{title}</h1><p>{note}</p>",
    ]
    head = "".join(f"<th scope=col>{column}</th>" for column in document.columns)
    for section in document.sections:
        parts.append(f"<h2>{html.escape(section.title)}</h2><table><thead><tr>{head}</tr></thead><tbody>")
        parts += [
            "<tr>" + "".join(f"<td>{html.escape(row[column])}</td>" for column in document.columns) + "</tr>"
            for row in section.rows
        ]
        parts.append("</tbody></table>")
    parts.append("<h2>Codes</h2><dl>")
    parts += [f"<dt><code>{name}</code></dt><dd>{html.escape(listed)}</dd>" for name, listed in codes()]
    return "\n".join([*parts, "</dl></html>"]) + "\n"
