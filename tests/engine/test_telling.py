from __future__ import annotations

from pathlib import Path

import pytest

from scanner import knowledge
from scanner.config import Plan
from scanner.discover.book import Entry, Sighting
from scanner.engine.stages import Stages
from scanner.engine.telling import redacted, report, unanswered, write_recordings
from scanner.model import Level, Observation, Recording, Via
from scanner.protocols.base import Question
from scanner.recordings import load, to_json

SADP = Question("sadp.response", "inquiry", b"a", 37020, groups=("239.255.255.250",))
SADP_2 = Question("sadp.response", "inquiry_v32", b"b", 37020, groups=("239.255.255.250",))
DHIP = Question("dhip.response", "DHDiscover.search", b"c", 37810)


def test_one_silence_for_every_protocol_that_was_asked() -> None:
    found = unanswered(Entry("10.0.0.1", link="eth0"), [SADP, SADP_2, DHIP], [SADP])

    assert [(o.channel, o.port, o.via, o.silent, o.value) for o in found] == [
        ("sadp.response", 37020, Via.UNICAST, True, ""), ("dhip.response", 37810, Via.UNICAST, True, "")
    ]  # fmt: skip


def test_an_answer_is_no_silence_and_multicast_does_not_reach_routed_hosts() -> None:
    heard = Entry("10.0.0.1", link="eth0", observations=[Observation(channel="sadp.response", value="<ProbeMatch/>")])

    assert unanswered(heard, [], [SADP]) == []
    assert [o.via for o in unanswered(Entry("10.0.0.1", link="eth0"), [], [SADP])] == [Via.MULTICAST]
    assert unanswered(Entry("10.9.0.1"), [], [SADP]) == []


def test_a_device_that_cannot_be_assessed_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr("scanner.assess.device", broken)
    stages = Stages(Plan(targets=("127.0.0.1",)), knowledge.load(()), None)
    stages.book.sighted(Sighting("127.0.0.1", None, "connect"))
    told = report(stages, interrupted=False)

    assert [(d.key, d.identity.level) for d in told.devices] == [("ip-127-0-0-1", Level.UNKNOWN)]
    assert "internal error while assessing 127.0.0.1: ValueError: a defect" in told.scan.failures[0]


def test_one_mac_with_several_addresses_is_told() -> None:
    stages = Stages(Plan(targets=("127.0.0.0/29",)), knowledge.load(()), None)
    for n in (1, 2):
        stages.book.sighted(Sighting(f"127.0.0.{n}", "3c:ef:8c:00:00:01", "arp"))
    stages.book.sighted(Sighting("127.0.0.2", "3c:ef:8c:00:00:02", "arp"))
    told = report(stages, interrupted=True)

    assert told.scan.interrupted
    assert len(told.devices) == 3
    assert any("answers for 2 addresses" in warning for warning in told.coverage.warnings)
    assert any("127.0.0.2 is claimed by several" in warning for warning in told.coverage.warnings)
    assert set(told.coverage.silent) == {"127.0.0.1", "127.0.0.2"}


def test_recordings_are_for_their_owners_eyes(tmp_path: Path) -> None:
    some = Recording(id="ip-10-0-0-1", ip="10.0.0.1", observations=(Observation(channel="http.title", value="\x1bé"),))

    assert write_recordings(tmp_path, [some]) == []
    path = tmp_path / "ip-10-0-0-1.yaml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert load(path).recordings == (some,)
    assert [file.name for file in tmp_path.iterdir()] == ["ip-10-0-0-1.yaml"]


def test_a_folder_that_went_away_is_told(tmp_path: Path) -> None:
    problems = write_recordings(tmp_path / "gone", [Recording(id="a"), Recording(id="b")])

    assert len(problems) == 2
    assert "No such file" in problems[0]


def test_a_redacted_recording_tells_the_maker_and_nothing_else() -> None:
    said = '{"mac":"3c:ef:8c:11:22:33","SerialNo":"6C01E93PAA","IPAddress":"10.1.2.3"}'
    some = Recording(
        id="3cef8c112233", ip="10.1.2.3", mac="3c:ef:8c:11:22:33",
        observations=(Observation(channel="dhip.response", value=said),),
    )  # fmt: skip

    kept = redacted(some, 7)

    assert kept.id == "device-7"
    text = to_json(kept).decode()
    assert "3c:ef:8c:00:00:00" in text
    assert not [word for word in ("112233", "11:22:33", "6C01E93PAA", "10.1.2.3") if word in text]


def test_an_audit_log_that_ends_early_leaves_the_scan_incomplete() -> None:
    stages = Stages(Plan(targets=("127.0.0.1",), audit_log=Path("/dev/full")), knowledge.load(()), None)
    stages.ledger.write("tcp", "127.0.0.1", 0, "connect", port=80)
    told = report(stages, interrupted=False)

    assert [text for text in told.scan.failures if "the audit log ends early" in text]
