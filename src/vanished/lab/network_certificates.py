"""Certificates of the lab: its authority's, the hosts', and wrong ones; made for one run, not kept.

In: names. Out: PEM files in the lab's folder. Elliptic keys (P-256), so that a lab's set takes
milliseconds. Whoever wants to trust the lab trusts `ca.pem`, for as long as the lab is there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_WRONG_NAME = "elsewhere.example"


@dataclass(frozen=True)
class Authority:
    """An issuer: its certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(name, name, key, 0, 7).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        made = made.add_extension(usage, critical=True).add_extension(identifier, critical=False)
        return cls(made.sign(key, hashes.SHA256()), key)

    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, *, from_day: int = -1, to_day: int = 7) -> bytes:
        """Certificate and key for `name` as one PEM; days count from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        builder = _builder(name, str(issuer), key, from_day, to_day)
        signed = _leaf(builder, name, self.key).sign(self.key, hashes.SHA256())
        return _both(signed, key)


def self_signed(name: str) -> bytes:
    """Certificate and key for `name` that no authority signed, as one PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _both(_leaf(_builder(name, name, key, -1, 7), name, key).sign(key, hashes.SHA256()), key)


def write(folder: Path, names: Iterable[str]) -> None:
    """All of one lab: ca.pem, NAME.pem, the three wrong ones of each name, and interceptor.pem."""
    ours, theirs = Authority.make("Vanished network lab"), Authority.make("Ministry of the lab")
    (folder / "ca.pem").write_bytes(ours.pem())
    for name in names:
        (folder / f"{name}.pem").write_bytes(ours.issue(name))
        expired = ours.issue(name, from_day=-60, to_day=-30)
        (folder / f"{name}.certificate_expired.pem").write_bytes(expired)
        (folder / f"{name}.certificate_wrong_host.pem").write_bytes(ours.issue(_WRONG_NAME))
        (folder / f"{name}.certificate_self_signed.pem").write_bytes(self_signed(name))
        (folder / f"{name}.intercepted.pem").write_bytes(theirs.issue(name))


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, from_day: int, to_day: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=from_day, minutes=-5))
        .not_valid_after(now + dt.timedelta(days=to_day))
    )


def _leaf(
    builder: x509.CertificateBuilder, name: str, signer: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(by, critical=False)
    )


def _both(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
