"""Where the central system of a bridged charge point is dialled, and with which credentials, pure (interface.md)."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from gatewayd.config import OcppUpstream
from gatewayd.ocpp import handshake
from gatewayd.ocpp.handshake import Upgrade


@dataclass(frozen=True, slots=True)
class Place:
    """Where the central system of one charge point is, and as whom it is dialled."""

    url: str
    identity: str
    password: str = ""
    """Empty: what the charge point brought is passed on."""
    papers: OcppUpstream = field(default_factory=OcppUpstream)
    """What the configuration says about wss: whose authority is believed, and which certificate is shown."""

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def resource(self) -> str:
        """The path with the identity appended (interface.md, [ocpp.upstream])."""
        parts = urlsplit(self.url)
        return f"{parts.path.rstrip('/')}/{quote(self.identity, safe='')}" + (f"?{parts.query}" if parts.query else "")

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if self.encrypted else 80)

    @property
    def encrypted(self) -> bool:
        return urlsplit(self.url).scheme == "wss"

    def headers(self, upgrade: Upgrade) -> list[tuple[bytes, bytes]]:
        """The credentials: the charge point's own, under the name that it has upstream."""
        given = handshake.credentials(upgrade.authorization)
        if self.password:
            secret = self.password.encode()
        elif given is not None and self.identity != upgrade.identity:
            secret = given[1]
        else:
            return [(b"Authorization", upgrade.authorization)] if upgrade.authorization else []
        return [(b"Authorization", b"Basic " + b64encode(self.identity.encode() + b":" + secret))]
