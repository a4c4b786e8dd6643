"""Dahua, its consumer line and the labels it builds for: invented devices in every published shape, and lookalikes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from scanner.identify import identify
from scanner.knowledge import Knowledge, load
from scanner.knowledge.evaluate import evaluate
from scanner.model import Level, Observation, Recording
from scanner.recordings import load as read

MAKER = "dahua"
SURE = {Level.LIKELY, Level.CONFIRMED}
TELLS = ("brand", "kind", "model", "firmware", "serial")


def recordings(name: str) -> list[Recording]:
    """The invented devices of a file beside this one."""
    loaded = read(Path(__file__).parent / f"{MAKER}_{name}.yaml")
    assert not loaded.problems, loaded.problems
    return list(loaded.recordings)


def device(*says: tuple[str, str]) -> Recording:
    """A device that says these values."""
    return Recording(id="x", observations=tuple(Observation(channel=c, value=v) for c, v in says))


DEVICES = recordings("devices")
LOOKALIKES = recordings("lookalikes")


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return load()


@pytest.mark.parametrize("recording", DEVICES, ids=lambda recording: recording.id)
def test_named_with_what_it_tells(recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(recording, knowledge)
    assert (identity.manufacturer, identity.level in SURE) == (MAKER, True), identity.matches
    wanted = {name: getattr(recording.truth, name) for name in TELLS if getattr(recording.truth, name) is not None}
    assert {name: getattr(identity, name) for name in wanted} == wanted


@pytest.mark.parametrize("recording", DEVICES, ids=lambda recording: recording.id)
def test_named_in_lower_case_too(recording: Recording, knowledge: Knowledge) -> None:
    """Rules that people publish are often folded to lower case."""
    lower = tuple(msgspec.structs.replace(o, value=o.value.lower()) for o in recording.observations)
    identity = identify(msgspec.structs.replace(recording, observations=lower), knowledge)
    assert (identity.manufacturer, identity.level in SURE) == (MAKER, True), identity.matches


@pytest.mark.parametrize("recording", LOOKALIKES, ids=lambda recording: recording.id)
def test_a_lookalike_is_never_more_than_possible(recording: Recording, knowledge: Knowledge) -> None:
    identity = identify(recording, knowledge)
    assert identity.manufacturer != MAKER or identity.level not in SURE, identity.matches


@pytest.mark.parametrize("recording", DEVICES, ids=lambda recording: recording.id)
def test_a_piece_in_the_wrong_place_names_nobody(recording: Recording, knowledge: Knowledge) -> None:
    """The same words as text that a user may write say nothing."""
    words = [o.value[:60] for o in recording.observations]
    misplaced = device(*(("dhcp.hostname", word) for word in words), *(("lldp.sysname", word) for word in words))
    identity = identify(misplaced, knowledge)
    assert identity.manufacturer != MAKER or identity.level not in SURE, identity.matches


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


def test_every_recorded_case(corpus: tuple[Recording, ...], knowledge: Knowledge) -> None:
    scores = evaluate(corpus, knowledge)
    right, all_ = scores.by_maker()[MAKER]
    assert right >= 0.98 * all_, [case.line() for case in scores.misses() if case.truth == MAKER]
    assert not [case.line() for case in scores.accusations() if case.identity.manufacturer == MAKER]


@pytest.mark.parametrize("left_out", ["source", "brand"])
def test_no_single_sample_was_learned(left_out: str, corpus: tuple[Recording, ...], knowledge: Knowledge) -> None:
    own = [case for case in corpus if case.truth is not None and case.truth.manufacturer == MAKER]
    with_all, cases = evaluate(own, knowledge).by_maker()[MAKER]
    without, _ = evaluate(own, knowledge, leave_out=left_out).by_maker()[MAKER]
    assert (with_all - without) / cases <= 0.15


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
