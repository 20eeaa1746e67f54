"""A certificate authority for one test, and servers' certificates that it signs."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates; whoever should trust it takes its own by `trusting`."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate

    def trusting(self) -> ssl.SSLContext:
        """Return what a careful client uses that knows this authority."""
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=_pem(self.certificate).decode())
        return context

    def server(self, folder: Path, name: str, *, days_left: int = 1) -> ssl.SSLContext:
        """Return what a server uses that says to be `name`; no days left is an expired one."""
        key = generate_private_key(SECP256R1())
        until = datetime.now(UTC) + timedelta(days=days_left)
        signed = _certificate(name, key, self.key, self.certificate.subject, until)
        return _server_context(folder, key, signed)


def new_authority() -> Authority:
    """Return an authority that nobody knows yet."""
    key = generate_private_key(SECP256R1())
    name = _named("an authority of tests")
    until = datetime.now(UTC) + timedelta(days=1)
    return Authority(key, _certificate("", key, key, name, until))


def self_signed_server(folder: Path, name: str) -> ssl.SSLContext:
    """Return what a server uses that vouches for itself."""
    key = generate_private_key(SECP256R1())
    until = datetime.now(UTC) + timedelta(days=1)
    return _server_context(folder, key, _certificate(name, key, key, _named(name), until))


def _certificate(
    name: str,
    key: EllipticCurvePrivateKey,
    signer: EllipticCurvePrivateKey,
    issuer: x509.Name,
    until: datetime,
) -> x509.Certificate:
    """Sign a server's certificate, an authority's where `name` is empty."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name) if name else issuer)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=10))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=not name, path_length=None), critical=True)
    )
    if name:
        known = x509.IPAddress(ip_address(name)) if name == LOOPBACK else x509.DNSName(name)
        builder = builder.add_extension(x509.SubjectAlternativeName([known]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _server_context(
    folder: Path, key: EllipticCurvePrivateKey, certificate: x509.Certificate
) -> ssl.SSLContext:
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + _pem(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
