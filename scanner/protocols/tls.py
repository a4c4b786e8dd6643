"""TLS: what a certificate says of its owner, and the settings with which devices of every age can be heard.

Nothing secret is sent over these connections, so old versions and short keys are accepted; the certificate is read,
never trusted.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import ssl
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Field, Protocol, Service, observed

if TYPE_CHECKING:
    from cryptography import x509

MAX_NAMES = 50
MAX_TEXT = 2_000
CIPHERS = "ALL:COMPLEMENTOFDEFAULT:@SECLEVEL=0"

_SHORT = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "countryName": "C",
    "emailAddress": "emailAddress",
    "serialNumber": "SERIALNUMBER",
}


class Tls(Protocol):
    """Has no questions of its own: a certificate comes with every connection that speaks TLS."""

    name = "tls"
    order = 90
    channels: ClassVar[tuple[str, ...]] = ()

    def services(self, device: Recording) -> Sequence[Service]:
        """Ports on which a certificate was seen."""
        ports = {seen.port or 443 for seen in observed(device, "tls.*")}
        return tuple(Service(Transport.TCP, port, tls=True) for port in sorted(ports))


def certificate_fields(der: bytes) -> list[Field]:
    """`tls.sha256`, and `tls.subject`, `tls.issuer`, `tls.san` where the certificate can be read (RFC 5280)."""
    fields: list[Field] = [("tls.sha256", hashlib.sha256(der).hexdigest())]
    with contextlib.suppress(Exception):  # devices send broken certificates of every kind; the digest still counts
        fields += _names(der)
    return fields


def observations(der: bytes, port: int) -> list[Observation]:
    """The same as observations of one port."""
    return [
        Observation(channel=channel, value=value, port=port, tls=True) for channel, value in certificate_fields(der)
    ]


def _names(der: bytes) -> Iterator[Field]:
    from cryptography import x509

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd about a device's certificate is evidence, not our problem
        certificate = x509.load_der_x509_certificate(der)
        yield "tls.subject", _text(certificate.subject)
        yield "tls.issuer", _text(certificate.issuer)
        try:
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (x509.ExtensionNotFound, ValueError):
            return
        names = [str(name.value) for name in list(extension.value)[:MAX_NAMES]]
        if names:
            yield "tls.san", ", ".join(names)[:MAX_TEXT]


def _text(name: x509.Name) -> str:
    """`CN=…, O=…` in the order of the certificate; every kind of blank becomes a blank."""
    parts = []
    for attribute in name:
        value = attribute.value
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        clean = " ".join("".join(c if c.isprintable() else " " for c in text.replace("\u00a0", " ")).split())
        oid = attribute.oid
        parts.append(f"{_SHORT.get(oid._name, oid.dotted_string)}={clean}")
    return ", ".join(parts)[:MAX_TEXT]


def client_context() -> ssl.SSLContext:
    """A context that speaks with devices of every age: TLS 1.0, short keys, SHA-1, legacy renegotiation."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _loosen(context)
    return context


def _loosen(context: ssl.SSLContext) -> None:
    context.set_ciphers(CIPHERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are the point
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)


@functools.cache
def _key() -> object:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def self_signed(subject: str, issuer: str | None = None, san: str | None = None) -> tuple[bytes, bytes]:
    """A certificate with these names and its key, both PEM; one key serves the whole process."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = _key()
    assert isinstance(key, rsa.RSAPrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_parse(subject))
        .issuer_name(_parse(issuer or subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2015, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2040, 1, 1, tzinfo=datetime.UTC))
    )
    names = [x509.DNSName(n.strip()) for n in (san or "").split(",") if n.strip() and n.strip().isascii()]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _parse(text: str) -> x509.Name:
    """The name of a text like `CN=…, O=…`; commas inside values are kept where no `KEY=` follows them."""
    import re

    from cryptography import x509
    from cryptography.x509.oid import NameOID

    oids = {
        "CN": NameOID.COMMON_NAME,
        "O": NameOID.ORGANIZATION_NAME,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
        "L": NameOID.LOCALITY_NAME,
        "ST": NameOID.STATE_OR_PROVINCE_NAME,
        "C": NameOID.COUNTRY_NAME,
        "EMAILADDRESS": NameOID.EMAIL_ADDRESS,
        "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    }
    attributes = []
    for part in re.split(r",\s*(?=[A-Za-z.0-9]{1,30}\s*=)", text):
        key, equals, value = part.partition("=")
        oid = oids.get(key.strip().upper())
        value = value.strip()
        if not equals or oid is None or not value:
            continue
        if oid == NameOID.COUNTRY_NAME and len(value) != 2:
            continue
        attributes.append(x509.NameAttribute(oid, value[:64]))
    return x509.Name(attributes or [x509.NameAttribute(NameOID.COMMON_NAME, "device")])


def server_context(certificate: bytes, key: bytes, *, oldest: bool = False) -> ssl.SSLContext:
    """A context for a simulated device; `oldest`: it speaks TLS 1.0 and nothing newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _loosen(context)
    if oldest:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.maximum_version = ssl.TLSVersion.TLSv1
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder) / "both.pem"
        both.touch(mode=0o600)
        both.write_bytes(certificate + key)
        context.load_cert_chain(both)
    return context


def certificate_names(device: Recording, port: int) -> tuple[str, str | None, str | None] | None:
    """(subject, issuer, alternative names) recorded for a port; None where no certificate was seen there."""
    said = {
        name: next((o.value for o in observed(device, f"tls.{name}", port=port)), None)
        for name in ("subject", "issuer", "san")
    }
    if not any(said.values()):
        return None
    return said["subject"] or "CN=device", said["issuer"], said["san"]


PROTOCOL = Tls()
