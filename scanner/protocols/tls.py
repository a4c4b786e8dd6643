"""Certificates as devices present them, and TLS contexts for devices of every age. Nothing secret goes through these.

Real parsers refuse the certificates of old devices (negative serial numbers, wrong string types, missing versions), so
names are read by a small reader of DER (X.690) that takes what is there.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import ipaddress
import re
import ssl
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from scanner.model import Recording
from scanner.protocols.base import Field, observed

if TYPE_CHECKING:  # only a simulated device makes certificates; a scan is not kept waiting for what makes them
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

_MAX_VALUE = 256
_MAX_NAMES = 64

_ATTRIBUTES = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.42": "GN",
    "2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym", "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName", "1.2.840.113549.1.9.8": "unstructuredAddress",
}  # fmt: skip
_OIDS = {name.lower(): oid for oid, name in _ATTRIBUTES.items()}
_SEPARATOR = re.compile(r"\s{0,8},\s{0,8}(?=[A-Za-z][A-Za-z0-9.]{0,31}\s{0,4}=)")
_ALTERNATIVE_NAMES = "2.5.29.17"


def certificate_fields(der: bytes) -> list[Field]:
    """`tls.subject`, `tls.issuer`, `tls.san` and `tls.sha256` of a certificate, as far as it can be read.

    Names as RFC 4514 orders them (`CN=…,OU=…,O=…`, the most special first), without its escapes, every kind of blank
    as one blank, control characters left out; alternative names separated by `, `; the hash of the whole certificate in
    lower-case hexadecimal.
    """
    fields: list[Field] = []
    with contextlib.suppress(ValueError, IndexError):  # what cannot be read still has its hash
        fields = [(channel, value) for channel, value in _names(der[:65_536]) if value]
    fields.append(("tls.sha256", hashlib.sha256(der).hexdigest()))
    return fields


def _names(der: bytes) -> Iterator[Field]:
    (_tag, certificate), *_ = _values(der)
    (_tag, to_be_signed), *_ = _values(certificate)
    parts = list(_values(to_be_signed))
    if parts and parts[0][0] == 0xA0:  # the version; certificates of version 1 leave it out
        parts = parts[1:]
    # serial number, signature algorithm, issuer, validity, subject, key (RFC 5280, 4.1)
    if len(parts) > 4:
        yield "tls.subject", _name(parts[4][1])
    if len(parts) > 2:
        yield "tls.issuer", _name(parts[2][1])
    for tag, body in parts[6:]:
        if tag == 0xA3:
            yield "tls.san", ", ".join(dict.fromkeys(_alternatives(body)))


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of the values that follow each other in `data`; stops at the first that is cut off."""
    place = 0
    while place + 2 <= len(data):
        tag, length = data[place], data[place + 1]
        place += 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4 or place + size > len(data):
                return
            length = int.from_bytes(data[place : place + size], "big")
            place += size
        if place + length > len(data):
            return
        yield tag, data[place : place + length]
        place += length


def _name(data: bytes) -> str:
    found: list[str] = []
    for _set, relative in _values(data):
        pair: list[str] = []
        for _sequence, attribute in _values(relative):
            parts = list(_values(attribute))
            if len(parts) >= 2 and parts[0][0] == 0x06:
                kind = _oid(parts[0][1])
                value = _text(*parts[1])
                if value:
                    pair.append(f"{_ATTRIBUTES.get(kind, kind)}={value}")
        if pair:
            found.append("+".join(pair))
        if len(found) == _MAX_NAMES:
            break
    return ",".join(reversed(found))


def _oid(data: bytes) -> str:
    numbers: list[int] = []
    number = 0
    for byte in data[:64]:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    if not numbers:
        return ""
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _text(tag: int, data: bytes) -> str:
    data = data[: 4 * _MAX_VALUE]
    if tag == 0x1E:
        text = data.decode("utf-16-be", "replace")
    elif tag == 0x1C:
        text = data.decode("utf-32-be", "replace")
    else:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    text = "".join(c for c in text if c.isspace() or c.isprintable())
    return " ".join(text.split())[:_MAX_VALUE]


def _alternatives(data: bytes) -> Iterator[str]:
    for _list, extensions in _values(data):
        for _sequence, extension in _values(extensions):
            parts = list(_values(extension))
            if len(parts) >= 2 and _oid(parts[0][1]) == _ALTERNATIVE_NAMES:
                for _sequence_of_names, names in _values(parts[-1][1]):
                    for count, (tag, name) in enumerate(_values(names)):
                        if count == _MAX_NAMES:
                            return
                        if tag in {0x81, 0x82, 0x86}:  # mail address, host name, URL
                            yield _text(0x16, name)
                        elif tag == 0x87 and len(name) in {4, 16}:
                            yield str(ipaddress.ip_address(name))


def client_context() -> ssl.SSLContext:
    """A context that shakes hands with anything: down to TLS 1.0, small keys, SHA-1, old renegotiation; it proves
    nothing about the other side, and must never carry a secret.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _loosen(context)
    return context


def _loosen(context: ssl.SSLContext) -> None:
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)  # named since Python 3.12


def server_context(certificate: bytes, key: bytes, *, oldest: bool = False) -> ssl.SSLContext:
    """The context of a simulated device, of a certificate and its key in PEM; `oldest`: TLS 1.0 and nothing newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _loosen(context)
    if oldest:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # an old version is the point
            context.maximum_version = ssl.TLSVersion.TLSv1
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder) / "both.pem"
        both.touch(mode=0o600)
        both.write_bytes(certificate + key)
        context.load_cert_chain(both)
    return context


def certificate_names(device: Recording, port: int) -> tuple[str, str | None, str | None] | None:
    """(subject, issuer, alternative names) that a device showed on a port; None where it showed none."""
    subject, issuer, san = (
        next((seen.value for seen in observed(device, f"tls.{name}", port=port)), None)
        for name in ("subject", "issuer", "san")
    )
    return (subject or "", issuer, san) if subject or issuer or san else None


def self_signed(subject: str, issuer: str | None = None, san: str | None = None) -> tuple[bytes, bytes]:
    """(certificate, key) in PEM with these names as `certificate_fields` writes them; one key serves the process.

    Hashes of recorded certificates cannot be had again.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = _key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_parsed(subject))
        .issuer_name(_parsed(issuer or subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2015, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
    )
    names = [name for part in (san or "").split(",")[:_MAX_NAMES] if (name := _alternative(part.strip())) is not None]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM), key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _alternative(text: str) -> x509.GeneralName | None:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text) if text and text.isascii() and text.isprintable() else None


def _parsed(text: str) -> x509.Name:
    """The name a text like `CN=…,O=…` stands for, whatever the case of its keys; unknown keys are left out."""
    from cryptography import x509

    pairs: list[x509.NameAttribute[str]] = []
    for part in _SEPARATOR.split(text):
        key, _, value = part.partition("=")
        oid = _OIDS.get(key.strip().lower())
        if oid and value.strip():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # a country of three letters: devices break the rules
                pairs.append(x509.NameAttribute(x509.ObjectIdentifier(oid), value.strip(), _validate=False))
    return x509.Name(reversed(pairs))
