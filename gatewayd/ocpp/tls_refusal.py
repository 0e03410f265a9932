"""What OpenSSL calls a failed handshake with a charge point, in the words of a `Cause`. Pure: names and numbers in.

Serves "why does it not connect?" and quirk H8. `TLSV1_ALERT_…` and `SSLV3_ALERT_…` are what the charge point said.
"""

from __future__ import annotations

from gatewayd.site.refusal import Cause

NOT_YET_VALID, EXPIRED = 9, 10
"""X509_V_ERR_… of OpenSSL."""

_SAID: dict[str, tuple[Cause, str]] = {
    "UNKNOWN_CA": (Cause.authority_unknown, "it does not know the authority of the gateway's certificate"),
    "BAD_CERTIFICATE": (
        Cause.our_certificate_refused,
        "it finds the gateway's certificate wrong: its name, its dates or its authority",
    ),
    "CERTIFICATE_UNKNOWN": (Cause.our_certificate_refused, "it does not accept the gateway's certificate"),
    "UNSUPPORTED_CERTIFICATE": (Cause.our_certificate_refused, "it cannot use the gateway's kind of certificate"),
    "CERTIFICATE_REVOKED": (Cause.our_certificate_refused, "it holds the gateway's certificate for revoked"),
    "CERTIFICATE_EXPIRED": (Cause.our_certificate_expired, "it holds the gateway's certificate for expired"),
    "PROTOCOL_VERSION": (Cause.tls_too_old, "it does not speak the gateway's versions of TLS"),
    "HANDSHAKE_FAILURE": (Cause.no_shared_cipher, "it has no cipher suite in common with the gateway"),
    "INSUFFICIENT_SECURITY": (Cause.no_shared_cipher, "it wants other cipher suites than the gateway's"),
}
"""What a charge point says in an alert."""

_OURS: dict[str, tuple[Cause, str]] = {
    "UNSUPPORTED_PROTOCOL": (Cause.tls_too_old, "it speaks no TLS newer than 1.1"),
    "VERSION_TOO_LOW": (Cause.tls_too_old, "it speaks no TLS newer than 1.1"),
    "NO_SHARED_CIPHER": (Cause.no_shared_cipher, "it offers no cipher suite that the gateway takes"),
    "NO_SUITABLE_SIGNATURE_ALGORITHM": (
        Cause.no_shared_cipher,
        "it cannot check signatures of the gateway's kind of key",
    ),
    "NO_SUITABLE_KEY_SHARE": (Cause.no_shared_cipher, "it offers no group for the key exchange that the gateway takes"),
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (Cause.certificate_missing, "it shows no certificate"),
}
"""What the gateway itself found."""


def explain(reason: str, verify_code: int = 0) -> tuple[Cause, str]:
    """The cause of a failed handshake, and one sentence. `reason` as in `SSLError.reason`, `verify_code` as in
    `SSLCertVerificationError`."""
    _, alert, said = reason.partition("_ALERT_")
    if alert:
        return _SAID.get(said, (Cause.tls_failed, f"it gave up TLS: {_plain(said)}"))
    if reason == "CERTIFICATE_VERIFY_FAILED":
        if verify_code == EXPIRED:
            return Cause.certificate_expired, "its certificate has expired"
        if verify_code == NOT_YET_VALID:
            return Cause.certificate_not_yet_valid, "its certificate is not valid yet"
        return Cause.certificate_foreign, "its certificate is of no authority that the gateway believes"
    return _OURS.get(reason, (Cause.tls_failed, f"its TLS makes no sense: {_plain(reason) or 'no reason given'}"))


def _plain(reason: str) -> str:
    return reason.lower().replace("_", " ")
