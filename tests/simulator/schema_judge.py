"""A judge of OCPP 1.6J frames: the JSON schemas that come with the installed `ocpp` package, and nobody's opinion.

`judge.trace` fits the `trace` of a simulated peer; afterwards `judge.faults` must be empty.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import ocpp

SCHEMAS = Path(ocpp.__file__).parent / "v16" / "schemas"
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
MESSAGE_ID_LENGTH = 36  # OCPP-J 1.6, 4.1.4


def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or DATE_TIME.fullmatch(value) is not None


FORMATS = jsonschema.FormatChecker(formats=())
FORMATS.checks("date-time")(_is_date_time)


class SchemaJudge:
    """Remembers which id asked what, so that answers are judged as well; `frames` counts what was judged."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.frames = 0
        self.actions: set[str] = set()
        self._asked: dict[tuple[str, str], str] = {}

    def trace(self, direction: str, text: str) -> None:
        self.frames += 1
        # Decimal, because 8.1 is no multiple of 0.1 in binary floating point.
        try:
            frame = json.loads(text, parse_float=Decimal)
        except ValueError:
            self.faults.append(f"{direction}: no JSON: {text}")
            return
        if len(frame[1]) > MESSAGE_ID_LENGTH:
            self.faults.append(f"{direction}: message id too long: {text}")
        other = "received" if direction == "sent" else "sent"
        if frame[0] == 2:
            self._asked[direction, frame[1]] = frame[2]
            self.actions.add(frame[2])
            if (SCHEMAS / f"{frame[2]}.json").exists():
                self._judge(direction, frame[2], frame[3], text)
            else:
                self.faults.append(f"{direction}: {frame[2]} is no operation of OCPP 1.6")
        elif frame[0] == 3:
            action = self._asked.pop((other, frame[1]), None)
            if action is None:
                self.faults.append(f"{direction}: answers nothing that was asked: {text}")
            else:
                self._judge(direction, f"{action}Response", frame[2], text)
        else:
            self._asked.pop((other, frame[1]), None)

    def _judge(self, direction: str, name: str, payload: Any, text: str) -> None:
        for error in _validator(name).iter_errors(payload):
            self.faults.append(f"{direction}: {name} {error.json_path}: {error.message}: {text}")


@cache
def _validator(name: str) -> Any:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8-sig"), parse_float=Decimal)
    return jsonschema.validators.validator_for(schema)(schema, format_checker=FORMATS)
