"""XLSX (ECMA-376): one sheet of points to filter and sort, one of codes."""

from __future__ import annotations

import io
from datetime import datetime

import xlsxwriter

from gatewayd.points.exports.document import Document, codes

NUMBERS = frozenset(
    {"offset", "registers", "minimum", "maximum", "default", "unit_id", "address", "own_unit_id", "own_address",
     "charge_point", "connector"}
)  # fmt: skip
"""Columns to sort and calculate by."""
WIDEST = 60
"""Characters; a longer text is read in its cell."""


UNDATED = datetime(1980, 1, 1)
"""What an archive says that has no date; the time of making would make every file another."""


def data(document: Document) -> bytes:
    """The workbook. The same document gives the same bytes: no date of making is in it."""
    out = io.BytesIO()
    # Texts stay texts: a description that begins with "=" is no formula.
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"title": document.title, "comments": document.note, "created": UNDATED})
    head = book.add_format({"bold": True, "bottom": 1})
    sheet = book.add_worksheet("Registers")
    sheet.freeze_panes(1, 0)
    rows = list(document.rows())
    for k, column in enumerate(document.all_columns):
        cells = [row[column] for row in rows]
        sheet.write_string(0, k, column, head)
        for line, cell in enumerate(cells, start=1):
            if cell and column in NUMBERS:
                sheet.write_number(line, k, int(cell))
            elif cell:
                sheet.write_string(line, k, cell)
        sheet.set_column(k, k, min(WIDEST, max(map(len, [column, *cells])) + 2))
    sheet.autofilter(0, 0, len(rows), len(document.all_columns) - 1)
    listed = book.add_worksheet("Codes")
    listed.set_column(0, 0, 24)
    for k, title in enumerate(("enum", "codes")):
        listed.write_string(0, k, title, head)
    for line, pair in enumerate(codes(), start=1):
        for k, cell in enumerate(pair):
            listed.write_string(line, k, cell)
    book.close()
    return out.getvalue()
