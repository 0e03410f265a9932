"""TLS as the OCPP 1.6 security whitepaper has it: versions, cipher suites, and whose certificates are believed.

Certificates and keys come as PEM text. They may stand inline in the configuration, and the ssl module reads files only:
so they pass through a file in memory that no disk ever sees.
"""

from __future__ import annotations

import os
import ssl

CIPHERS = ":".join(
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
    )
)
"""Of TLS 1.2: what the whitepaper requires (A00.FR.318), and ECDHE with RSA, which it does not forbid and clients
prefer. TLS 1.3 brings its own."""


CERTIFICATE, KEY, AUTHORITIES = "certificate", "key", "authorities"
"""What may be unusable."""


class UnusableCertificate(ValueError):
    """A certificate, a key or authorities that TLS cannot use. `part` says which of the three, or in which key of the
    configuration it stands; `why` what is wrong, and nothing secret."""

    def __init__(self, part: str, why: str) -> None:
        super().__init__(f"{part}: {why}")
        self.part, self.why = part, why


def server_context(certificate: str, key: str, client_roots: str = "", *, required: bool = True) -> ssl.SSLContext:
    """For a listener that shows this certificate (PEM, its own first). With `client_roots` (PEM) charge points are
    asked for a certificate of these, and must show one if `required`: security profile 3.

    Raises UnusableCertificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    # One ticket is enough for a charge point that comes back; the default of two is a write more per handshake.
    context.num_tickets = 1
    _show(context, certificate, key)
    if client_roots:
        _believe(context, client_roots)
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


def client_context(roots: str = "", certificate: str = "", key: str = "") -> ssl.SSLContext:
    """For dialling a central system: believes the system's authorities, or only `roots` (PEM) where given; shows
    `certificate` (PEM) where given. The server's name is checked.

    Raises UnusableCertificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if roots:
        _believe(context, roots)
    else:
        context.load_default_certs()
    if certificate:
        _show(context, certificate, key)
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_ciphers(CIPHERS)


def _show(context: ssl.SSLContext, certificate: str, key: str) -> None:
    _check(CERTIFICATE, certificate)
    descriptor = os.memfd_create("certificate")
    try:
        with open(descriptor, "w", encoding="ascii", closefd=False) as file:
            file.write(f"{certificate}\n{key}\n")
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_passphrase)
    except (ssl.SSLError, UnicodeEncodeError) as error:
        reason = str(getattr(error, "reason", ""))
        if reason == "KEY_VALUES_MISMATCH":
            raise UnusableCertificate(KEY, "it does not belong to the certificate") from None
        if reason.startswith(("EE_", "CA_")):  # end entity, or its authority: weaker than this system allows
            raise UnusableCertificate(CERTIFICATE, reason.lower().replace("_", " ")) from None
        raise UnusableCertificate(KEY, "no private key can be read in it") from None
    finally:
        os.close(descriptor)


def _no_passphrase() -> str:
    """Without this, OpenSSL asks on the terminal."""
    raise UnusableCertificate(KEY, "it is encrypted, and nobody is there to type its passphrase")


def _believe(context: ssl.SSLContext, roots: str) -> None:
    _check(AUTHORITIES, roots)
    context.load_verify_locations(cadata=roots)


def _check(part: str, certificates: str) -> None:
    """Whether this holds certificates and nothing that cannot be read."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificates)
    except (ssl.SSLError, ValueError, TypeError):  # in turn: none in it, empty, not ASCII
        raise UnusableCertificate(part, "no certificate can be read in it") from None
