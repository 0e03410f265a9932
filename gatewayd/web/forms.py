"""Forms out of request bodies, whatever a body holds. Pure.

Bounded by the body's own limit, which the guard keeps, and by a number of fields: each costs more than its bytes.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

FIELDS_MOST: Final = 2000
"""All keys of a configuration with forty charge points are fewer."""
HEADER_MOST: Final = 1024

Parsed = tuple[dict[str, list[str]], dict[str, bytes]]
"""Fields with all their values, and files."""


def parsed(content_type: str, body: bytes) -> Parsed:
    """What stands in the body; nothing for what is no form."""
    kind, options = parse_options_header(content_type)
    if kind == b"application/x-www-form-urlencoded":
        return _urlencoded(body), {}
    if kind == b"multipart/form-data" and options.get(b"boundary"):
        try:
            return _Multipart(options[b"boundary"], body).result
        except (FormParserError, ValueError):
            return {}, {}
    return {}, {}


def _urlencoded(body: bytes) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=FIELDS_MOST)
    except ValueError:
        return {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


class _Multipart:
    """Gathers the parts of one body."""

    def __init__(self, boundary: bytes, body: bytes) -> None:
        self._fields: dict[str, list[str]] = {}
        self._files: dict[str, bytes] = {}
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._data = bytearray()
        self._parts = 0
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._grow(self._header, data[start:end]),
                "on_header_value": lambda data, start, end: self._grow(self._value, data[start:end]),
                "on_header_end": self._header_end,
                "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
                "on_part_end": self._end,
            },
        )
        parser.write(body)
        parser.finalize()

    @property
    def result(self) -> Parsed:
        return self._fields, self._files

    def _grow(self, what: bytearray, data: bytes) -> None:
        what += data
        if len(what) > HEADER_MOST:
            raise ValueError("a header without an end")

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > FIELDS_MOST:
            raise ValueError("too many parts")
        self._disposition = b""
        self._data = bytearray()

    def _header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options:
            self._files.setdefault(name, bytes(self._data))
        else:
            self._fields.setdefault(name, []).append(self._data.decode("utf-8", "replace"))
