"""PDF (ISO 32000-1), for the binder in the plant room: A4 across, in Courier, whose characters are all as wide.

So a table needs no measuring of text, and no font has to be shipped: Courier is one of those that every reader has.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator

import pydyf

from gatewayd.points.exports.document import Document, codes

PAGE = (842, 595)
"""A4 across, in points of 1/72 inch."""
MARGIN = 36
SIZE, LEADING, TITLE_SIZE = 7, 9, 12
WIDTH = int((PAGE[0] - 2 * MARGIN) / (0.6 * SIZE))
"""Characters in a line: every one of Courier is 0.6 of its size wide."""
LINES = int((PAGE[1] - 2 * MARGIN - 2 * TITLE_SIZE) / LEADING) - 2
"""Lines of a page, without its head and foot."""
DESCRIPTION_LEAST = 24
"""Characters that are left for a description, however wide the other columns are."""


def data(document: Document) -> bytes:
    """The document. The same document gives the same bytes."""
    pages = list(_pages(document))
    pdf = pydyf.PDF()
    pdf.info["Title"] = pydyf.String(document.title)
    fonts = {name: pydyf.Dictionary({"Type": "/Font", "Subtype": "/Type1", "BaseFont": f"/{base}",
                                     "Encoding": "/WinAnsiEncoding"})
             for name, base in (("F", "Courier"), ("B", "Courier-Bold"))}  # fmt: skip
    for font in fonts.values():
        pdf.add_object(font)
    named = pydyf.Dictionary({name: font.reference for name, font in fonts.items()})
    for number, lines in enumerate(pages, start=1):
        stream = _page(document.title, f"{number} / {len(pages)}", lines)
        pdf.add_object(stream)
        pdf.add_page(
            pydyf.Dictionary(
                {
                    "Type": "/Page",
                    "Parent": pdf.pages.reference,
                    "MediaBox": pydyf.Array([0, 0, *PAGE]),
                    "Contents": stream.reference,
                    "Resources": pydyf.Dictionary({"Font": named}),
                }
            )
        )
    out = io.BytesIO()
    pdf.write(out, compress=True)
    return out.getvalue()


Line = tuple[str, bool]
"""A line, and whether it is bold."""


def _pages(document: Document) -> Iterator[list[Line]]:
    """Lines page by page; a section's head stands again on each page that it goes on to."""
    page: list[Line] = [(line, False) for line in textwrap.wrap(_plain(document.note), WIDTH)]
    for section in document.sections:
        columns = _widths(document, section.rows)
        head = [("", False), (_plain(section.title), True), (_line(columns, {c: c for c in columns}), True)]
        if len(page) + len(head) + 1 > LINES:
            yield page
            page = []
        page += head
        for row in section.rows:
            lines = [(line, False) for line in _wrapped(columns, row)]
            if len(page) + len(lines) > LINES:
                yield page
                page = [(f"{head[1][0]} (continued)", True), head[2]]
            page += lines
    rest: list[Line] = [("", False), ("Codes", True)]
    for name, listed in codes():
        rest += [(line, False) for line in textwrap.wrap(f"{name}: {listed}", WIDTH, subsequent_indent="    ")]
    for line in rest:
        if len(page) + 1 > LINES:
            yield page
            page = []
        page.append(line)
    yield page


def _widths(document: Document, rows: tuple[dict[str, str], ...]) -> dict[str, int]:
    """Every column as wide as its widest cell; the description takes what is left of the line."""
    widths = {c: max(len(c), *(len(row[c]) for row in rows)) for c in document.columns if c != "description"}
    widths = {c: width for c, width in widths.items() if any(row[c] for row in rows)}
    return widths | {"description": max(DESCRIPTION_LEAST, WIDTH - sum(widths.values()) - 2 * len(widths))}


def _line(columns: dict[str, int], row: dict[str, str]) -> str:
    return "  ".join(_plain(row[c]).ljust(width) for c, width in columns.items()).rstrip()


def _wrapped(columns: dict[str, int], row: dict[str, str]) -> Iterator[str]:
    first, *more = textwrap.wrap(_plain(row["description"]), columns["description"]) or [""]
    yield _line(columns, row | {"description": first})
    for text in more:
        yield " " * (sum(columns.values()) - columns["description"] + 2 * (len(columns) - 1)) + text


def _plain(text: str) -> str:
    """What WinAnsi has: the table's only other letters are the true minus sign and the ellipsis of the note."""
    return text.replace("−", "-").encode("cp1252", "replace").decode("cp1252")


def _page(title: str, foot: str, lines: list[Line]) -> pydyf.Stream:
    stream = pydyf.Stream(compress=True)
    top = PAGE[1] - MARGIN - TITLE_SIZE
    _show(stream, "B", TITLE_SIZE, top, title)
    for k, (line, bold) in enumerate(lines):
        if line:
            _show(stream, "B" if bold else "F", SIZE, top - TITLE_SIZE - LEADING * k, line)
    _show(stream, "F", SIZE, MARGIN - LEADING, foot)
    return stream


def _show(stream: pydyf.Stream, font: str, size: int, y: float, text: str) -> None:
    stream.begin_text()
    stream.set_font_size(font, size)
    stream.set_text_matrix(1, 0, 0, 1, MARGIN, y)
    # As bytes of WinAnsi in hexadecimal, so that no bracket of a text needs an escape.
    stream.stream.append(b"<" + _plain(text).encode("cp1252").hex().encode() + b"> Tj")
    stream.end_text()
