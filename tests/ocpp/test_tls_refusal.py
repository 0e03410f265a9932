"""OpenSSL's reasons in plain words; that OpenSSL gives them is shown over real TLS in tests/services."""

from __future__ import annotations

import pytest

from gatewayd.ocpp.tls_refusal import EXPIRED, NOT_YET_VALID, explain
from gatewayd.site.refusal import Cause


@pytest.mark.parametrize(
    ("reason", "verify_code", "cause"),
    [
        ("TLSV1_ALERT_UNKNOWN_CA", 0, Cause.authority_unknown),
        ("SSLV3_ALERT_BAD_CERTIFICATE", 0, Cause.our_certificate_refused),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", 0, Cause.our_certificate_refused),
        ("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", 0, Cause.our_certificate_refused),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", 0, Cause.our_certificate_expired),
        ("TLSV1_ALERT_PROTOCOL_VERSION", 0, Cause.tls_too_old),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", 0, Cause.no_shared_cipher),
        ("TLSV1_ALERT_INSUFFICIENT_SECURITY", 0, Cause.no_shared_cipher),
        ("UNSUPPORTED_PROTOCOL", 0, Cause.tls_too_old),
        ("VERSION_TOO_LOW", 0, Cause.tls_too_old),
        ("NO_SHARED_CIPHER", 0, Cause.no_shared_cipher),
        ("NO_SUITABLE_SIGNATURE_ALGORITHM", 0, Cause.no_shared_cipher),
        ("NO_SUITABLE_KEY_SHARE", 0, Cause.no_shared_cipher),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", 0, Cause.certificate_missing),
        ("CERTIFICATE_VERIFY_FAILED", EXPIRED, Cause.certificate_expired),
        ("CERTIFICATE_VERIFY_FAILED", NOT_YET_VALID, Cause.certificate_not_yet_valid),
        ("CERTIFICATE_VERIFY_FAILED", 18, Cause.certificate_foreign),
        ("CERTIFICATE_VERIFY_FAILED", 20, Cause.certificate_foreign),
        ("SSLV3_ALERT_UNEXPECTED_MESSAGE", 0, Cause.tls_failed),
        ("BAD_EXTENSION", 0, Cause.tls_failed),
        ("", 0, Cause.tls_failed),
    ],
)
def test_every_reason_has_a_cause(reason: str, verify_code: int, cause: Cause) -> None:
    assert explain(reason, verify_code)[0] is cause


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("SSLV3_ALERT_UNEXPECTED_MESSAGE", "it gave up TLS: unexpected message"),
        ("BAD_EXTENSION", "its TLS makes no sense: bad extension"),
        ("", "its TLS makes no sense: no reason given"),
    ],
)
def test_what_is_not_listed_is_repeated(reason: str, why: str) -> None:
    assert explain(reason) == (Cause.tls_failed, why)
