"""A charge point that dials as its own configuration key SecurityProfile says (OCPP 1.6 security whitepaper, 2)."""

from __future__ import annotations

import ssl
import tempfile
from typing import TYPE_CHECKING

import trio

from .session import tcp, tls

if TYPE_CHECKING:
    from .charge_point import ChargePoint

CENTRAL_SYSTEM = "CentralSystemRootCertificate"


class Dialler:
    """Give it to a ChargePoint as `open_stream`, then tell it which one it is: `dialler.charge_point = it`.

    Profiles 0 and 1 go to the plain port; 2 and 3 to the TLS port, believing the roots that were installed as central
    system's; 3 shows the certificate that was signed. `dials` remembers the profile of each.
    """

    def __init__(self, host: str, plain_port: int, tls_port: int) -> None:
        self.charge_point: ChargePoint | None = None
        self.dials: list[int] = []
        self._host, self._plain_port, self._tls_port = host, plain_port, tls_port

    async def __call__(self) -> trio.abc.Stream:
        assert self.charge_point is not None, "nobody told this dialler whose it is"
        profile = self.charge_point.configuration.number("SecurityProfile")
        self.dials.append(profile)
        if profile < 2:
            return await tcp(self._host, self._plain_port)()
        return await tls(self._host, self._tls_port, self._context(self.charge_point, profile))()

    def _context(self, charge_point: ChargePoint, profile: int) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        roots = charge_point.certificates.trusted(CENTRAL_SYSTEM)
        if roots:
            context.load_verify_locations(cadata=roots)
        if profile == 3 and charge_point.certificate_chain:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(charge_point.certificate_chain + charge_point.key.private())
                file.flush()
                context.load_cert_chain(file.name)
        return context
