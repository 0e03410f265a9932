"""How OCPP names a certificate: hashes of its issuer and its serial number.

Serves CertificateHashData of the OCPP 1.6 security whitepaper.
"""

from __future__ import annotations

from gatewayd.ocpp.schema_fields import CertificateHashData


class NoCertificate(ValueError):
    """The text holds no readable PEM certificate."""


def hash_data(pem: str) -> CertificateHashData:
    """The name of the first certificate in a PEM text, by SHA-256.

    Its issuer's key is needed for that: the second certificate of the text, or its own where it is a root, which is
    what charge points store. Raises NoCertificate.
    """
    # Imported here: the library takes a while to load, and only three of the operations need it.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509 import ocsp

    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise NoCertificate(str(error)) from None
    certificate, issuer = chain[0], chain[-1] if len(chain) == 1 else chain[1]
    # An OCSP request holds the very same three fields, so its builder does the hashing as RFC 6960 wants it.
    named = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256()).build()
    return CertificateHashData(
        "SHA256", named.issuer_name_hash.hex(), named.issuer_key_hash.hex(), f"{named.serial_number:x}"
    )
