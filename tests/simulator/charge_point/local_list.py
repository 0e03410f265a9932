"""Whom a charge point lets charge without asking: the local list and the authorization cache (OCPP 1.6, 3.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..clock import parse_stamp

NOT_SUPPORTED = -1  # list version of a charge point without a list
NO_LIST = 0


@dataclass(slots=True)
class LocalList:
    """Version and entries; `entries` maps idTag to its idTagInfo."""

    version: int = NO_LIST
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)

    def update(self, payload: dict[str, Any], send_limit: int, total_limit: int) -> str:
        """Take a SendLocalList; the status it is answered with. All or nothing."""
        received = payload.get("localAuthorizationList", [])
        full = payload["updateType"] == "Full"
        if payload["listVersion"] <= NO_LIST or len(received) > send_limit:
            return "Failed"
        if not full and payload["listVersion"] <= self.version:
            return "VersionMismatch"
        if full and any("idTagInfo" not in entry for entry in received):
            return "Failed"
        entries = {} if full else dict(self.entries)
        for entry in received:
            if "idTagInfo" in entry:
                entries[entry["idTag"]] = entry["idTagInfo"]
            else:
                entries.pop(entry["idTag"], None)
        if len(entries) > total_limit:
            return "Failed"
        self.entries, self.version = entries, payload["listVersion"]
        return "Accepted"


def standing(info: dict[str, Any] | None, now: float) -> tuple[str, str | None] | None:
    """(status, parent) that an entry says now, an Accepted one past its date being Expired; None: no entry."""
    if info is None:
        return None
    status = info["status"]
    if status == "Accepted" and "expiryDate" in info and parse_stamp(info["expiryDate"]) <= now:
        status = "Expired"
    return status, info.get("parentIdTag")
