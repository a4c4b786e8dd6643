from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.model import Observation, Recording
from scanner.protocols import tls

HIKVISION = "CN=www.hikvision.com,OU=DVRNVR,O=HIKVISION,L=HangZhou,ST=ZheJiang,C=CN"


def der(subject: str, issuer: str | None = None, san: str | None = None) -> bytes:
    certificate, _key = tls.self_signed(subject, issuer, san)
    return x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)


def named(data: bytes) -> dict[str, str]:
    return dict(tls.certificate_fields(data))


def test_names_and_hash_of_a_certificate() -> None:
    data = der(HIKVISION, "CN=root.home,emailAddress=mobile@huawei.com", "mediarouter.home, 192.0.2.1, fe80::1")
    assert named(data) == {
        "tls.subject": HIKVISION,
        "tls.issuer": "CN=root.home,emailAddress=mobile@huawei.com",
        "tls.san": "mediarouter.home, 192.0.2.1, fe80::1",
        "tls.sha256": hashlib.sha256(data).hexdigest(),
    }


def test_names_are_those_another_reader_finds() -> None:
    certificate = x509.load_der_x509_certificate(der(HIKVISION))
    assert certificate.subject.rfc4514_string() == HIKVISION


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("o=hikvision, ou=ipcamera", "O=hikvision,OU=ipcamera"),
        ("O=ZheJiang Dahua Technology CO.,LTD., OU=NVR, CN=NVR", "O=ZheJiang Dahua Technology CO.,LTD.,OU=NVR,CN=NVR"),
        ("O=Zhejiang\u00a0Dahua\u00a0Technology", "O=Zhejiang Dahua Technology"),
        ("CN=a\x00b\x1b[31m", "CN=ab[31m"),
        ("C=CHN", "C=CHN"),
        ("SERIALNUMBER=PID:CP-8851 SN:FCH1920AAAA,CN=CP-8851", "SERIALNUMBER=PID:CP-8851 SN:FCH1920AAAA,CN=CP-8851"),
        ("nonsense", ""),
    ],
)
def test_names_of_every_kind_are_shown_and_read(written: str, read: str) -> None:
    assert named(der(written)).get("tls.subject", "") == read


def test_all_recorded_names_come_back(corpus: Iterable[Recording]) -> None:
    """What a simulated device shows reads as what was recorded, up to blanks and the case of keys."""
    count = 0
    for case in corpus:
        for seen in case.observations:
            if seen.channel in {"tls.subject", "tls.issuer"}:
                count += 1
                assert named(der(seen.value))["tls.subject"].lower() == seen.value.lower().replace(" = ", "=").replace(
                    ", ", ","
                ), case.id
    assert count > 10


def sequence(*parts: bytes, tag: int = 0x30) -> bytes:
    body = b"".join(parts)
    length = bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes([tag]) + length + body


def name(text: bytes, tag: int) -> bytes:
    return sequence(sequence(sequence(b"\x06\x03\x55\x04\x03", bytes([tag, len(text)]) + text), tag=0x31))


@pytest.mark.parametrize(
    ("text", "tag", "read"),
    [
        (b"caf\xe9", 0x14, "CN=café"),
        ("Kamera".encode("utf-16-be"), 0x1E, "CN=Kamera"),
        (b"bad\xff\xfe", 0x0C, "CN=badÿþ"),
        (b"two  \t blanks", 0x13, "CN=two blanks"),
    ],
)
def test_certificates_that_real_parsers_refuse(text: bytes, tag: int, read: str) -> None:
    """No version, a negative serial number, no key, strings of odd types."""
    broken = sequence(
        sequence(b"\x02\x01\xff", sequence(), name(b"issuer", 0x0C), sequence(), name(text, tag)),
        sequence(),
        b"\x03\x01\0",
    )
    with pytest.raises(ValueError):
        x509.load_der_x509_certificate(broken)
    assert named(broken) == {
        "tls.subject": read,
        "tls.issuer": "CN=issuer",
        "tls.sha256": hashlib.sha256(broken).hexdigest(),
    }


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), cut=st.integers(0, 400), flip=st.integers(0, 399))
def test_of_whatever_bytes_there_is_a_hash(data: bytes, cut: int, flip: int) -> None:
    whole = bytearray(der(HIKVISION))
    whole[flip % len(whole)] ^= 0xFF
    for broken in (data, bytes(whole[:cut]), bytes(whole)):
        assert named(broken)["tls.sha256"] == hashlib.sha256(broken).hexdigest()


def shake(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """A handshake through memory; the client's side of it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = server.wrap_bio(to_server, to_client, server_side=True)
    here = client.wrap_bio(to_client, to_server, server_hostname="192.0.2.1")
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for side in (here, there):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass
    assert done == {here, there}
    return here


@pytest.mark.parametrize(("oldest", "version"), [(True, "TLSv1"), (False, "TLSv1.3")])
def test_devices_of_every_age_are_heard(oldest: bool, version: str) -> None:
    server = tls.server_context(*tls.self_signed("CN=old"), oldest=oldest)
    here = shake(server, tls.client_context())
    assert here.version() == version
    data = here.getpeercert(binary_form=True)
    assert data is not None
    assert named(data)["tls.subject"] == "CN=old"


def test_our_own_settings_are_what_makes_old_ones_heard() -> None:
    server = tls.server_context(*tls.self_signed("CN=old"), oldest=True)
    usual = ssl.create_default_context()
    usual.check_hostname, usual.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(ssl.SSLError):
        shake(server, usual)


def test_the_names_of_a_simulated_device() -> None:
    device = Recording(
        id="d",
        observations=(
            Observation(channel="tls.subject", port=443, value="CN=a"),
            Observation(channel="tls.issuer", port=443, value="CN=b"),
            Observation(channel="tls.san", port=8443, value="c"),
        ),
    )
    assert tls.certificate_names(device, 443) == ("CN=a", "CN=b", None)
    assert tls.certificate_names(device, 8443) == ("", None, "c")
    assert tls.certificate_names(device, 80) is None


def test_many_devices_share_one_key() -> None:
    assert tls.self_signed("CN=a")[1] == tls.self_signed("CN=b")[1]
