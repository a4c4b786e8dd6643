from __future__ import annotations

from typing import Any

import pytest

from scanner import knowledge
from scanner.knowledge import Knowledge, evaluate
from scanner.knowledge.evaluate import Case, Evaluation
from scanner.model import Identity, Level, Observation, Recording, Source, Truth
from scanner.protocols import protocols
from scanner.recordings import only


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge.load()


def _recording(id_: str = "r", *, mac: str | None = None, channel: str = "http.title", **truth: Any) -> Recording:
    return Recording(
        id=id_,
        mac=mac,
        observations=(Observation(channel=channel, value=truth.pop("value", "x")),),
        source=Source(url=truth.pop("url", f"https://{id_}.example/")),
        truth=Truth(**{"manufacturer": "dahua", **truth}),
    )


def _case(maker: str | None, level: Level, confidence: float, *, counted: bool = True, **truth: Any) -> Case:
    answer = {name: truth.pop(f"said_{name}", None) for name in ("brand", "model")}
    id_ = str(truth.pop("id", "r"))
    identity = Identity(manufacturer=maker, level=level, confidence=confidence, **answer)
    return Case(_recording(id_, **truth), identity, counted)


RIGHT = _case(
    "dahua", Level.CONFIRMED, 0.99, brand="lorex", said_brand="lorex", value="Lorex NR900", model="nr 900 (x)"
)
WRONG = _case("hikvision", Level.LIKELY, 0.9, manufacturer="axis", brand="axis")
UNSURE = _case("dahua", Level.POSSIBLE, 0.7)
HONEST = _case(None, Level.UNKNOWN, 0.2, manufacturer="software")
UNCOUNTED = _case("dahua", Level.LIKELY, 0.9, counted=False, manufacturer="unknown")
SUSPECT = _case("dahua", Level.POSSIBLE, 0.6, manufacturer="axis")
MADE = Evaluation(cases=(RIGHT, WRONG, UNSURE, HONEST, UNCOUNTED, SUSPECT), title="t", restricted=frozenset({"dahua"}))


def test_only_likely_and_better_is_an_answer() -> None:
    assert MADE.recall() == (1, 4)
    assert MADE.by_maker() == {"axis": (0, 2), "dahua": (1, 2)}
    assert MADE.misses() == (WRONG, UNSURE, SUSPECT)
    assert MADE.white_labels() == (1, 1)
    assert MADE.honest_unknowns() == (1, 1)


def test_accusations_include_what_does_not_count() -> None:
    assert MADE.accusations() == (WRONG, UNCOUNTED)


def test_an_innocent_under_suspicion_is_shown() -> None:
    assert MADE.suspicions() == (UNCOUNTED, SUSPECT)


def test_brand_and_model_are_asked_where_the_device_tells_them() -> None:
    assert MADE.told("brand") == (1, 1)
    assert MADE.told("model") == (0, 1)


@pytest.mark.parametrize(
    ("truth", "answer", "agree"),
    [("DS-7608NI (v2)", "ds-7608ni", True), ("NR 900", "NR900", True), ("NR900", "NR901", False), (None, "", True)],
)
def test_models_fold_case_blanks_and_brackets(truth: str | None, answer: str, agree: bool) -> None:
    assert evaluate.same(truth, answer) is agree


def test_calibration_is_the_gap_between_stated_and_true() -> None:
    overconfident = [
        _case("dahua", Level.LIKELY, 0.9, id=n, manufacturer="axis" if n < 5 else "dahua") for n in range(10)
    ]
    scored = Evaluation(cases=tuple(overconfident), title="t")
    assert scored.calibration_error() == pytest.approx(0.4)
    low, high = scored.calibration_interval()
    assert low < 0.4 < high
    assert scored.calibration_interval() == (low, high)
    assert Evaluation(cases=(), title="t").calibration_interval() == (0.0, 0.0)


@pytest.mark.parametrize(
    ("recording", "counted"),
    [
        (_recording(), True),
        (_recording(channel="tcp.open"), False),
        (_recording(channel="nmap.service"), False),
        (_recording(channel="tcp.open", mac="3c:ef:8c:00:00:01"), True),
        (_recording(certain=False), False),
        (_recording(expert=False), False),
    ],
)
def test_which_cases_count(recording: Recording, counted: bool) -> None:
    assert evaluate.counts(recording) is counted


def test_what_a_default_scan_hears(known: Knowledge) -> None:
    pool = [_recording("a", channel="dhcp.hostname"), _recording("b"), _recording("c", channel="snmp.sysdescr")]
    scored = evaluate.evaluate(pool, known, heard_by="default")
    assert [case.recording.id for case in scored.cases] == ["b"]
    assert scored.dropped == 2


def test_whatever_a_scan_asks_for_counts_as_heard_and_nothing_that_it_does_not() -> None:
    every = protocols().values()
    asked = {question.channel for p in every if p.tier <= 2 for question in p.questions()}
    streams = {"http.response", "rtsp.response", "onvif.response", "tcp.banner", "ssh.banner", "upnp.description"}
    unasked = {
        "snmp.walk", "snmp.sysdescr", "snmp.sysobjectid", "sip.gb28181.manufacturer", "lldp.frame", "cdp.frame",
        "dhcp.packet", "dhcp.hostname", "smtp.banner", "modbus.device_id", "nmap.service", "udp.payload",
    }  # fmt: skip
    wanted = asked | streams | {"mac", "tcp.open", "tls.subject"}
    told = [Observation(channel=channel, value="x") for channel in sorted(wanted | unasked)]
    (heard,) = only([Recording(id="d", observations=tuple(told))], evaluate.DEFAULT_HEARD)
    assert {seen.channel for seen in heard.observations} == wanted


def test_leaving_a_source_out_drops_what_was_learned_from_it_alone(known: Knowledge) -> None:
    learned = next(f for f in known.fingerprints if len({evaluate.source_key(s) for s in f.source}) == 1 and f.patterns)
    case = _recording(manufacturer=learned.manufacturer or "dahua", url=learned.source[0])
    kept = evaluate._without(known, case, "source")
    assert learned.id not in {f.id for f in kept.fingerprints}
    assert 0 < len(kept.fingerprints) < len(known.fingerprints)
    assert evaluate._without(known, _recording(url="https://nowhere.example/"), "source") is known


def test_leaving_a_brand_out_drops_what_names_it(known: Knowledge) -> None:
    kept = evaluate._without(known, _recording(brand="lorex"), "brand")
    assert not [f.id for f in kept.fingerprints if f.says.brand == "lorex"]
    assert len(kept.fingerprints) < len(known.fingerprints)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://github.com/a/b/blob/main/x", "github.com/a/b"),
        ("http://www.example.org/x/y", "example.org"),
        ("example.org/x", "example.org"),
        ("", ""),
    ],
)
def test_what_counts_as_one_source(url: str, key: str) -> None:
    assert evaluate.source_key(url) == key


def test_the_restricted_are_those_that_a_policy_names(known: Knowledge) -> None:
    named = evaluate.restricted(known)
    assert {"hikvision", "dahua", "huawei", "zte", "hytera"} <= named
    assert not {"axis", "bosch", "hanwha", "shanghai-dahua-scale"} & named


def test_the_text_lists_every_miss_with_its_evidence() -> None:
    text = MADE.render()
    for words in (
        "maker recall        1/4",
        "false accusations   2, innocents under suspicion 2",
        "http.title=x",
        "Missed:",
    ):
        assert words in text


def test_the_corpus_is_answered_as_the_project_promises(known: Knowledge, corpus: tuple[Recording, ...]) -> None:
    scored = evaluate.evaluate(corpus, known)
    assert scored.accusations() == ()
    assert scored.suspicions() == ()
    promised = {"hikvision": 0.98, "dahua": 0.98, "huawei": 0.95, "zte": 0.95, "tp-link": 0.95, "uniview": 0.95}
    for maker, (right, all_) in scored.by_maker().items():
        if maker in promised:
            assert right >= promised[maker] * all_, maker
    for share, (right, all_) in (
        (0.95, scored.white_labels()),
        (1.0, scored.honest_unknowns()),
        (0.95, scored.told("brand")),
        (0.95, scored.told("model")),
    ):
        assert right >= share * all_ > 0


def test_the_rules_hold_where_their_own_source_is_left_out(known: Knowledge, corpus: tuple[Recording, ...]) -> None:
    scored = evaluate.evaluate(corpus, known, leave_out="source")
    assert scored.accusations() == ()
    assert scored.suspicions() == ()
    assert scored.calibration_error() <= 0.08
    for maker in ("hikvision", "dahua"):
        right, all_ = scored.by_maker()[maker]
        assert right >= 0.85 * all_
