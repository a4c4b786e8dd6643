"""What only Dahua, its consumer line and its labels do; what holds for every maker is in `test_makers.py`."""

from __future__ import annotations

import pytest

from scanner.identify import identify
from scanner.knowledge import Knowledge
from scanner.model import Level
from tests.rules.devices import SURE, device

MAKER = "dahua"


@pytest.mark.parametrize(
    ("names", "maker"),
    [
        ("CONNECTION, Date, Last-Modified, Etag, CONTENT-LENGTH, CACHE-CONTROL, P3P, X-Frame-Options", MAKER),
        ("CONNECTION,Date,Last-Modified,Etag,CONTENT-LENGTH,CACHE-CONTROL,CONTENT-TYPE", MAKER),
        ("Connection,Date,Last-Modified,Etag,Content-Length,Cache-Control,P3P,X-Frame-Options", None),
        ("Server,CONNECTION,Date,Last-Modified,Etag,CONTENT-LENGTH,CACHE-CONTROL,CONTENT-TYPE", None),
    ],
)
def test_names_of_headers_tell_by_their_case(names: str, maker: str | None, knowledge: Knowledge) -> None:
    assert identify(device(("http.headers", names)), knowledge).manufacturer == maker


def test_header_spelling_is_a_signal_only_as_sent(knowledge: Knowledge) -> None:
    shouted = (
        'CONNECTION: keep-alive\r\nDate: Thu, 20 Aug 2026 19:53:42 GMT\r\nEtag: "1780651407:298f"\r\n'
        "CONTENT-LENGTH: 9\r\nCONTENT-TYPE: text/html\r\n"
    )
    loud = identify(device(("http.response", f"HTTP/1.1 200 OK\r\n{shouted}\r\n")), knowledge)
    quiet = identify(device(("http.response", f"HTTP/1.1 200 OK\r\n{shouted.title()}\r\n")), knowledge)
    assert (loud.manufacturer, loud.level in SURE) == (MAKER, True)
    assert quiet.level not in SURE


@pytest.mark.parametrize("vendor", ["General", "Private"])
def test_a_neutral_build_is_no_label(vendor: str, knowledge: Knowledge) -> None:
    said = device(("dhip.devicetype", "IPC"), ("dhip.deviceclass", "IPC"), ("dhip.vendor", vendor))
    assert identify(said, knowledge).manufacturer == MAKER
    assert identify(said, knowledge).brand is None


@pytest.mark.parametrize("label", ["lorex", "honeywell", "intelbras", "amcrest", "cp-plus"])
def test_a_label_alone_is_no_maker(label: str, knowledge: Knowledge) -> None:
    said = device(
        ("http.title", label), ("upnp.manufacturer", label), ("onvif.scopes", f"onvif://www.onvif.org/name/{label}")
    )
    assert identify(said, knowledge).level not in SURE


def test_two_kinds_of_evidence_confirm(knowledge: Knowledge) -> None:
    realm = ("rtsp.header.www-authenticate", 'Digest realm="Login to 0123456789abcdef0123456789abcdef", nonce="1"')
    assert identify(device(realm), knowledge).level is Level.LIKELY
    assert identify(device(realm, ("http.favicon.mmh3", "833190513")), knowledge).level is Level.CONFIRMED
