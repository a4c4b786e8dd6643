"""What must hold for any recording whatever: nothing raises, and no weak evidence ever asks for a strong measure."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from scanner import assess, knowledge, report
from scanner.channels import CHANNELS
from scanner.cli.explain import story
from scanner.judge import judge
from scanner.knowledge import Knowledge
from scanner.model import (
    ACTION_ORDER,
    Action,
    Device,
    Effect,
    Identity,
    Level,
    Observation,
    Recording,
    Report,
    Scan,
    Transport,
    Via,
)
from scanner.recordings import load, parse, to_json, to_yaml

ROOT = Path(__file__).resolve().parent.parent
DAY = datetime.date(2026, 11, 24)
BANS = {Effect.USE_BANNED, Effect.REMOVAL_ORDERED}
PURCHASES = {Effect.PROCUREMENT_BANNED, Effect.AUTHORISATION_BANNED, Effect.IMPORT_MARKETING_BANNED}
SURE = {Level.LIKELY, Level.CONFIRMED}
HOSTILE = set("\x1b\x07\x9b\u202e\u200b\r")

bounded = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def known() -> Knowledge:
    """The rules that ship."""
    return knowledge.load()


@pytest.fixture(scope="module")
def schema() -> Mapping[str, Any]:
    """The published schema."""
    found: dict[str, Any] = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    return found


def _heard() -> tuple[Observation, ...]:
    """Everything that the devices of the corpus say: arbitrary recordings are made of it, whole and cut and mixed."""
    files = sorted((ROOT / "tests" / "corpus").glob("*.yaml"))
    return tuple(seen for file in files for recording in load(file).recordings for seen in recording.observations)


HEARD = _heard()
PROFILES = tuple(knowledge.load().profiles)

real = st.sampled_from(HEARD).map(lambda seen: seen.value)
cut = st.builds(lambda text, end: text[:end], real, st.integers(0, 400))
mixed = st.builds(lambda a, b, c: a + b + c, cut, st.text(max_size=20), cut)
raw = st.binary(max_size=60).map(lambda data: "hex:" + data.hex())
values = st.one_of(real, real, cut, mixed, raw, st.text(max_size=80))
names = st.sampled_from(sorted(CHANNELS)).map(lambda name: name.replace("*", "server")) | st.sampled_from(
    ["http.header.www-authenticate", "rtsp.header.server", "sadp.devicedescription", "dhip.devicetype", "x-a.b"]
)
macs = st.sampled_from(["3c:ef:8c:11:22:33", "4419b6112233", "02-00-00-00-00-01", "ffff.ffff.ffff", "ac:cc:8e:00:00:01"])
observations = st.sampled_from(HEARD) | st.builds(
    Observation, channel=names, value=values, port=st.none() | st.integers(0, 65535), tls=st.booleans(),
    transport=st.none() | st.sampled_from(Transport), via=st.none() | st.sampled_from(Via),
    request=st.none() | st.sampled_from(["GET /", "OPTIONS", "\x1b[2J"]), silent=st.booleans(),
)  # fmt: skip
recordings = st.builds(
    Recording, id=st.text(min_size=1, max_size=12), mac=st.none() | macs,
    ip=st.none() | st.sampled_from(["192.0.2.1", "2001:db8::1", "fe80::1%eth0"]),
    observations=st.lists(observations, max_size=6).map(tuple),
)  # fmt: skip
profiles = st.lists(st.sampled_from(PROFILES), max_size=2, unique=True)


def _rank(action: Action) -> int:
    return ACTION_ORDER.index(action)


def _allowed(device: Device, profiles: list[str]) -> None:
    identity = device.identity
    assert 0.0 <= identity.confidence <= 1.0
    if identity.level is Level.UNKNOWN:
        assert identity.manufacturer is None
        assert device.verdicts == ()
    if identity.manufacturer is not None:
        assert identity.matches, "nobody is named without evidence"
    for verdict in device.verdicts:
        if not profiles:
            assert verdict.binds_you is None
            assert verdict.action in {Action.NONE, Action.NOTE}
        if verdict.action is Action.REMOVE:
            assert (identity.level, verdict.effect in BANS, verdict.binds_you) == (Level.CONFIRMED, True, True)
        if verdict.action is Action.DO_NOT_BUY:
            assert verdict.effect in PURCHASES
            assert verdict.binds_you is True
            assert identity.level in SURE
        if verdict.effect not in BANS | PURCHASES:
            assert verdict.action in {Action.NONE, Action.NOTE}
            assert not [word for word in ("banned", "illegal", "violation", "compliant") if word in verdict.because]
        if verdict.binds_you is not True:
            assert verdict.action not in {Action.REMOVE, Action.DO_NOT_BUY, Action.PLAN}
        assert verdict.because
        assert verdict.path


@bounded
@given(recording=recordings, mine=profiles)
def test_any_recording_is_identified_judged_and_reported(
    recording: Recording, mine: list[str], known: Knowledge, schema: Mapping[str, Any]
) -> None:
    devices = assess.assess([recording], known, profiles=mine, as_of=DAY)
    _allowed(devices[0], mine)

    scan = Scan(id="x", started="2026-11-24T00:00:00Z", profiles=tuple(mine), law_as_of=DAY.isoformat())
    whole: Report = assess.report(scan, devices, assess.coverage(devices), known)
    jsonschema.validate(json.loads(report.get("json").render(whole)), schema)
    json.loads(report.get("jsonl").render(whole))
    told = [report.get(name).render(whole) for name in ("table", "markdown", "csv")]
    shown = "".join([*map(str, told), *story(devices[0], known, mine)])
    assert not set(shown) & HOSTILE


@bounded
@given(recording=recordings)
def test_any_recording_comes_back_from_a_file(recording: Recording) -> None:
    assert parse(to_json(recording).decode(), "x", json_lines=True).recordings == (recording,)
    assert parse(to_yaml([recording]), "x").recordings == (recording,)


@bounded
@given(recording=recordings, more=observations)
def test_the_order_and_a_repetition_change_nothing(recording: Recording, more: Observation, known: Knowledge) -> None:
    seen = (*recording.observations, more)
    one, other = (
        assess.assess([replace(recording, observations=o)], known, profiles=["us-federal-contractor"], as_of=DAY)[0]
        for o in (seen, (*reversed(seen), more))
    )
    assert one.identity.manufacturer == other.identity.manufacturer
    assert one.identity.level == other.identity.level
    assert one.action == other.action


@pytest.mark.parametrize("mine", [(), ("us-federal-contractor",), PROFILES])
@pytest.mark.parametrize("day", [datetime.date.min, datetime.date(2019, 8, 13), DAY, datetime.date.max])
def test_a_weaker_level_never_asks_for_more(mine: tuple[str, ...], day: datetime.date, known: Knowledge) -> None:
    for group in known.vendors.groups.values():
        strictest: dict[Level, dict[str, int]] = {}
        for level in Level:
            who = None if level is Level.UNKNOWN else group.group
            identity = Identity(manufacturer=who, kind="camera", level=level, confidence=0.9)
            verdicts = judge(identity, known, profiles=mine, as_of=day)
            strictest[level] = {verdict.policy: _rank(verdict.action) for verdict in verdicts}
        assert strictest[Level.UNKNOWN] == {}
        for policy, rank in strictest[Level.LIKELY].items():
            assert rank <= strictest[Level.CONFIRMED].get(policy, 0), (group.group, policy)
        for policy, rank in strictest[Level.POSSIBLE].items():
            # A suspicion asks to look closer, never to act; a list that names no such maker says nothing.
            assert rank <= _rank(Action.INVESTIGATE if mine else Action.NOTE), (group.group, policy)
            assert policy in strictest[Level.CONFIRMED], (group.group, policy)
