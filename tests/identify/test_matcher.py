from __future__ import annotations

import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from scanner import knowledge, recordings
from scanner.identify import Mind, identify
from scanner.identify.matcher import Matcher, Matching, index_of, matches
from scanner.knowledge import Knowledge
from scanner.knowledge.fingerprints import Hit, Index, Test
from scanner.model import Level, Observation, Recording
from scanner.protocols import read_all


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge.load()


def device(mac: str | None = None, **said: str) -> Recording:
    return Recording(
        id="d",
        mac=mac,
        observations=tuple(
            Observation(channel=c.replace("__", "-").replace("_", "."), value=v) for c, v in said.items()
        ),
    )


def test_a_prefix_of_whole_devices_is_likely_and_one_of_parts_possible(known: Knowledge) -> None:
    whole = identify(device("3c:ef:8c:11:22:33"), known)
    part = identify(device("00:18:82:11:22:33"), known)
    assert (whole.manufacturer, whole.level) == ("dahua", Level.LIKELY)
    assert (part.manufacturer, part.level) == ("huawei", Level.POSSIBLE)


@pytest.mark.parametrize("mac", ["b8:27:eb:11:22:33", "00:0c:29:11:22:33", "bc:24:11:11:22:33"])
def test_a_general_computer_may_relay_what_another_device_says(mac: str, known: Knowledge) -> None:
    realm = {"rtsp_header_www__authenticate": 'Digest realm="Login to 4K02A29PAA00001", nonce="0123456789abcdef"'}
    assert identify(device(**realm), known).manufacturer == "dahua"
    behind = identify(device(mac, **realm), known)
    assert behind.manufacturer in {None, "raspberry-pi"}
    assert behind.level in {Level.UNKNOWN, Level.POSSIBLE}


def test_a_randomised_address_says_nothing(known: Knowledge) -> None:
    found = identify(device("3e:ef:8c:11:22:33"), known)
    assert found.manufacturer is None
    assert any("locally administered" in note for note in found.notes)


def test_a_mac_in_a_name_must_belong_to_the_maker(known: Knowledge) -> None:
    realm = "rtsp_header_www__authenticate"
    real = identify(device(**{realm: 'Digest realm="AXIS_00408CEF081C"'}), known)
    fake = identify(device(**{realm: 'Digest realm="AXIS_3CEF8C112233"'}), known)
    assert real.manufacturer == "axis"
    assert fake.manufacturer is None


def test_suspects_open_the_door_to_specific_questions(known: Knowledge) -> None:
    readings = read_all(device(http_header_server="App-webs/"))
    assert "hikvision" in Mind(known).consider(readings)[1]
    assert not Mind(known).consider(read_all(device(tcp_open="37777")))[1]


def test_the_registered_seller_is_not_the_maker(known: Knowledge) -> None:
    found = identify(device("00:1f:54:11:22:33"), known)
    assert found.manufacturer is None
    assert found.brand == "lorex"


def test_macs_alone_are_thought_of_once_a_prefix_and_answered_as_if_each_were_the_first(known: Knowledge) -> None:
    here = Path(__file__).parents[1]
    macs = {str(r.mac) for file in (here / "corpus").glob("*.yaml") for r in recordings.load(file).recordings if r.mac}
    macs |= {mac[:-2] + end for mac in macs for end in ("00", "fe")}
    macs |= {"02:00:00:00:00:01", "06:00:00:00:00:01", "00:40:7f:00:00:01", "00:1f:54:00:00:02", "33:33:00:00:00:01"}
    assert len(macs) > 100
    remembered = dict(known.by_owner)
    known.by_block.clear()
    macs |= {"00:00:00:00:00:00", "00:00:00:00:00:01"}
    try:
        for mac in [*sorted(macs), *sorted(macs, reverse=True)]:
            recording = Recording(id="x", mac=mac)
            readings = read_all(recording)
            assert identify(recording, known) == Mind(known).consider(readings)[0], mac
        assert len(known.by_owner) < len(macs) / 2
    finally:
        known.by_owner.clear()
        known.by_owner.update(remembered)


def looks(recording: Recording, others: list[Recording], chance: random.Random) -> list[Recording]:
    """One device as it is heard of more and more: in pieces and out of order, ports that open, a MAC that is learned late
    or was another's, answers of somebody else between its own, and things that are no longer said.
    """
    said = [*recording.observations, *chance.choice(others).observations[:3]]
    found = []
    for number in range(6):
        if chance.random() < 0.3:
            chance.shuffle(said)
        some = said[: max(1, len(said) * (number + 1) // 6)] if chance.random() < 0.8 else chance.sample(said, len(said) // 2)
        opened = ",".join(str(port) for port in sorted(chance.sample([22, 80, 443, 554, 8000], number % 5)))
        mac = chance.choice([recording.mac, recording.mac, None, chance.choice(others).mac])
        found.append(replace(recording, mac=mac, observations=(*some, Observation(channel="tcp.open", value=opened))))
    return found


def test_a_device_that_says_more_and_more_is_thought_of_as_if_it_had_said_all_at_once(known: Knowledge) -> None:
    chance = random.Random(4)
    corpus = [r for file in (Path(__file__).parents[1] / "corpus").glob("*.yaml") for r in recordings.load(file).recordings]
    sure = 0
    for recording in chance.sample(corpus, 150):
        mind, matching = Mind(known), Matching(known)
        for look in looks(recording, corpus, chance):
            readings = read_all(look)
            assert matching.matches(readings) == matches(readings, known)  # in the same order, too
            assert mind.consider(readings) == Mind(known).consider(readings)
            assert identify(look, known, mind) == identify(look, known)
            sure += mind.consider(readings)[0].level in {Level.LIKELY, Level.CONFIRMED}
    assert sure > 200


def test_devices_that_say_the_same_are_tried_once_and_each_keeps_its_own_words(known: Knowledge) -> None:
    here = Path(__file__).parents[1]
    corpus = [r for file in (here / "corpus").glob("*.yaml") for r in recordings.load(file).recordings]
    fresh = Matcher(known.fingerprints)
    fitted = 0
    for recording in random.Random(5).sample(corpus, 60):
        for day in ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"):
            said = tuple(replace(seen, at=day) for seen in recording.observations)
            index = index_of(read_all(replace(recording, observations=said)))
            alone = fresh.listening().fitting(index)
            assert known.matcher.listening().fitting(index) == alone
            for fingerprint, hit in alone:
                assert hit == fingerprint.test(index)
                assert all(r.observation.at == day for r in hit.readings if r.channel != "mac")
                fitted += 1
    assert fitted > 200


def test_what_was_not_said_anew_is_not_looked_at_again(known: Knowledge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 30 looks at a device that says the same and one thing more, the later ones cost next to nothing."""
    tried = 0

    def counted(test: Test) -> Test:
        def told(index: Index) -> Hit | None:
            nonlocal tried
            tried += 1
            return test(index)

        return told

    for fingerprint in known.fingerprints:
        monkeypatch.setitem(fingerprint.__dict__, "test", counted(fingerprint.test))
    page = "HTTP/1.1 200 OK\r\nServer: App-webs/\r\n\r\n<title>index</title><script src='doc/script/lib'></script>"
    said = Observation(channel="http.response", port=80, request="GET /", value=page)
    mind = Mind(known)
    mind.consider(read_all(Recording(id="x", observations=(said,))))
    first = tried
    assert first > 5
    for number in range(30):
        more = Observation(channel="telnet.banner", port=23, value=f"login {number}")
        mind.consider(read_all(Recording(id="x", observations=(said, more))))
    assert tried - first < 30 * first / 2
    mind.consider(read_all(Recording(id="x", observations=(said, more))))
    again = tried
    mind.consider(read_all(Recording(id="x", observations=(said, more))))
    assert tried == again
