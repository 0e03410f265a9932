"""Certificates are named as OCPP wants it: checked against hashes computed step by step from the certificate."""

from __future__ import annotations

import hashlib

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gatewayd.ocpp.certificate_hash import NoCertificate, hash_data


def by_hand(certificate: x509.Certificate, issuer: x509.Certificate) -> tuple[str, str, str]:
    # PKCS#1 for RSA and the plain point for EC are what the BIT STRING of the key holds, without its tag.
    key = issuer.public_key()
    der = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    name = certificate.issuer.public_bytes()
    return hashlib.sha256(name).hexdigest(), hashlib.sha256(der).hexdigest(), f"{certificate.serial_number:x}"


def test_a_root_names_itself() -> None:
    pem = trustme.CA().cert_pem.bytes()
    root = x509.load_pem_x509_certificate(pem)
    named = hash_data(pem.decode())
    assert (named.issuerNameHash, named.issuerKeyHash, named.serialNumber) == by_hand(root, root)
    assert named.hashAlgorithm == "SHA256"


def test_a_chain_names_its_first_by_the_second() -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("charge-point.example")
    pem = leaf.cert_chain_pems[0].bytes() + authority.cert_pem.bytes()
    certificate, issuer = x509.load_pem_x509_certificates(pem)[:2]
    named = hash_data(pem.decode())
    assert (named.issuerNameHash, named.issuerKeyHash, named.serialNumber) == by_hand(certificate, issuer)


@pytest.mark.parametrize("text", ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_said(text: str) -> None:
    with pytest.raises(NoCertificate):
        hash_data(text)
