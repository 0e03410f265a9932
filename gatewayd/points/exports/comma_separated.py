"""CSV (RFC 4180, lines ended by LF): the contract's own form, or the points of a site."""

from __future__ import annotations

import csv
import io

from gatewayd.points.exports.document import Document


def text(document: Document) -> str:
    """All rows, with a header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, document.all_columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(document.rows())
    return out.getvalue()
