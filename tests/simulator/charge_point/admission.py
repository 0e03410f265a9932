"""Whom this charge point lets charge: its list, its cache, or the central system (OCPP 1.6, 3.4 and 3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ocpp_link import CallFailed, NoAnswer
from ..script import Payload
from .local_list import standing
from .outbox import Offline

if TYPE_CHECKING:
    from .charge_point import ChargePoint


class Admission:
    def __init__(self, charge_point: ChargePoint) -> None:
        self.cache: dict[str, Payload] = {}
        self._cp = charge_point

    async def decide(self, id_tag: str) -> tuple[str, str | None]:
        """(status, parent) of a tag, as the configuration says; Invalid when nobody who knows can be asked."""
        settings, offline = self._cp.configuration, not self._cp.outbox.online
        if settings.flag("LocalAuthorizeOffline" if offline else "LocalPreAuthorize"):
            known = self._cp.local_list.entries.get(id_tag) if settings.flag("LocalAuthListEnabled") else None
            if known is None and settings.flag("AuthorizationCacheEnabled"):
                known = self.cache.get(id_tag)
            found = standing(known, self._cp.clock.now())
            # A local "no" is asked about when there is somebody to ask (OCPP 1.6, 3.5.2).
            if found and (found[0] == "Accepted" or offline):
                return found
        try:
            info = (await self._cp.ask("Authorize", {"idTag": id_tag}))["idTagInfo"]
        except Offline:
            return ("Accepted" if settings.flag("AllowOfflineTxForUnknownId") else "Invalid"), None
        except (NoAnswer, CallFailed) as error:
            self._cp.say(f"Authorize failed: {error!r}")
            return "Invalid", None
        self.cache[id_tag] = info
        return info["status"], info.get("parentIdTag")
