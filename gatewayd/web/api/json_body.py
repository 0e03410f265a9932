"""JSON in and out: typed, so that what a view gets is what its description says."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.web.refusals import Refused

Taken = TypeVar("Taken")


def taken(request: Request, kind: type[Taken]) -> Taken:
    """The body as this type. Raises Refused: 415 for what is not called JSON, 400 for what is none, 422 for another
    shape; the text says where."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != "application/json":
        raise Refused(415, "the body is not JSON", "Send it as Content-Type: application/json.")
    try:
        return msgspec.json.decode(request.state.body, type=kind)
    except msgspec.ValidationError as error:
        raise Refused(422, "the body has another shape", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, "the body is no JSON", str(error)) from None
    except RecursionError:
        raise Refused(400, "the body is no JSON", "It is nested too deeply.") from None


def said(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def nothing() -> Response:
    """Done, and nothing to say."""
    return Response(status_code=204)
