from __future__ import annotations

from pathlib import Path

import pytest

from scanner.errors import InputProblem
from scanner.model import Observation, Recording
from scanner.recordings import Loaded, load, only, parse, redact, to_json, to_yaml

GOOD = """\
- id: a
  mac: "3C-EF-8C-11-22-33"
  observations:
    - {channel: http.title, value: WEB SERVICE, port: 80}
"""


def _reasons(loaded: Loaded) -> str:
    return "\n".join(str(problem) for problem in loaded.problems)


def test_yaml_json_lines_and_the_mapping_form_are_one(tmp_path: Path) -> None:
    recordings = parse(GOOD, "x").recordings
    assert recordings[0].observations == (Observation(channel="http.title", value="WEB SERVICE", port=80),)
    lines = tmp_path / "x.jsonl"
    lines.write_bytes(to_json(recordings[0]) + b"\n\n")
    assert load(lines).recordings == recordings
    assert parse("{format: 1, recordings: [{id: a}]}", "x").recordings == (Recording(id="a"),)
    assert parse(to_yaml(recordings), "x").recordings == recordings


def test_the_corpus_round_trips(corpus: tuple[Recording, ...]) -> None:
    assert len(corpus) > 400
    by_file = corpus[:60]
    assert parse(to_yaml(by_file), "x", json_lines=False).recordings == by_file


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("- {id: a, colour: red}", "entry 'a'", "colour"),
        ("- {id: a, observations: [{channel: nonsense, value: x}]}", "entry 'a'", "observations[0].channel"),
        ("- {id: a, observations: [{channel: http.title, value: 7}]}", "entry 'a'", "observations[0].value"),
        ("- {id: a, observations: [{channel: http.title, value: x, port: 70000}]}", "entry 'a'", "port"),
        ("- {id: a, mac: banana}", "entry 'a'", "mac"),
        ("- {id: a, ip: 999.1.1.1}", "entry 'a'", "ip"),
        ("- {id: a, behaviour: dances}", "entry 'a'", "behaviour"),
        ("- {mac: 3c:ef:8c:11:22:33}", "entry 1", "id"),
        ("- just text", "entry 1", "object"),
        ("- !!python/object/apply:os.system [true]", "entry 1", "os.system"),
        ("- {id: a, mac: 44:19:46:11:22:33}", "entry 'a'", "quotes"),
        ("- {id: a, mac: '3c:ef:8c:11:22:33', mac: '44:19:b6:11:22:33'}", "entry 1", "'mac' stands twice"),
        ('- {id: a, mac: "3c:ef:8c:11:22:33\\n"}', "entry 'a'", "mac"),
        ('- {id: a, ip: "fe80::1%\\e[31m"}', "entry 'a'", "ip"),
        ("- {id: a, note: 0o9, port: 0x}", "entry 'a'", "port"),
        ("- {id: a, observations: [{channel: http.title, value: x, colour: 1}]}", "entry 'a'", "; there are channel"),
    ],
)
def test_a_broken_entry_is_named_and_does_not_stop_the_others(text: str, place: str, reason: str) -> None:
    loaded = parse(text + "\n- {id: good}\n", "cases.yaml")
    assert [r.id for r in loaded.recordings] == ["good"]
    assert "cases.yaml" in _reasons(loaded)
    assert place in _reasons(loaded)
    assert reason in _reasons(loaded)


def test_a_repeated_id_is_a_problem() -> None:
    loaded = parse("- {id: a}\n- {id: a}\n", "x")
    assert len(loaded.recordings) == 1
    assert "twice" in _reasons(loaded)


def test_json_lines_name_the_line() -> None:
    loaded = parse('{"id":"a"}\n{"id":\n', "x.jsonl", json_lines=True)
    assert [r.id for r in loaded.recordings] == ["a"]
    assert "line 2" in _reasons(loaded)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe\x00", "UTF-8"),
        (b"- id: [", "not YAML"),
        (b"just text", "neither a list"),
        (b"{format: 2, recordings: []}", "format"),
        (b"{recordings: [], extra: 1}", "extra"),
        (b"- id: a\n  note: " + b"[" * 50_000, "nested more than"),
        (b"- id: a\x00b", "not YAML"),
    ],
)
def test_an_unusable_file_is_one_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(InputProblem, match=reason):
        load(path)


def test_missing_files_and_folders_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputProblem, match="cannot be read"):
        load(tmp_path / "none.yaml")
    with pytest.raises(InputProblem, match="is a folder"):
        load(tmp_path)


def test_redaction_keeps_the_maker_and_hides_the_rest() -> None:
    secret = Recording(
        id="a",
        ip="10.1.2.3",
        mac="3c:ef:8c:11:22:33",
        observations=(
            Observation(channel="sadp.response", value="<DeviceSN>DS-2CD0011223344</DeviceSN><IPv4Address>10.1.2.3"),
            Observation(channel="dhip.response", value='{"mac":"3c:ef:8c:11:22:33","SerialNo":"6C01E93PAA"}'),
        ),
    )
    text = to_json(redact(secret)).decode()
    assert "3c:ef:8c:00:00:00" in text
    for hidden in ("11:22:33", "6C01E93PAA", "DS-2CD0011223344", "10.1.2.3"):
        assert hidden not in text


def test_only_keeps_what_one_way_of_listening_hears() -> None:
    recordings = parse(GOOD + "    - {channel: mac, value: '3c:ef:8c:11:22:33'}\n", "x").recordings
    assert [o.channel for o in only(recordings, ["http.*"])[0].observations] == ["http.title"]


def test_a_text_is_read_in_the_form_it_is_in() -> None:
    ids = ["a", "b"]
    for text in (
        '{"id":"a"}\n{"id":"b"}\n',
        '[{"id":"a"},\n\t{"id":"b","note":"\\ud83d\\ude00"}]',
        '{"format": 1, "recordings": [{"id":"a"}, {"id":"b"}]}',
        "- {id: a, note: 2026-13-45}\n- {id: b, note: =}\n",
        "format: 1\nrecordings:\n- &x {id: a}\n- {id: b, observations: []}\n",
    ):
        loaded = parse(text, "-")
        assert [r.id for r in loaded.recordings] == ids, text
        assert not loaded.problems
    assert parse('{"id":"a",\n "note":"x"}', "-").recordings == (Recording(id="a", note="x"),)
    broken = parse('{"id":\n{"id":"b"}\n', "-")
    assert [r.id for r in broken.recordings] == ["b"]
    assert "line 1" in _reasons(broken)


def test_a_time_needs_no_quotes() -> None:
    seen = parse("- {id: a, observations: [{channel: mac, value: x, at: 2026-11-24T00:00:00Z}]}", "x").recordings[0]
    assert seen.observations[0].at == "2026-11-24T00:00:00Z"


def test_files_made_to_exhaust_a_reader() -> None:
    with pytest.raises(InputProblem, match="nested more than"):
        parse("- id: a\n  note: " + "{a: " * 50_000, "x")
    assert "nested too deeply" in _reasons(parse('{"id":"a","note":' + "[" * 50_000, "x", json_lines=True))
    merges = "- &a0 {x: 1}\n" + "".join(f"- &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))
    assert "merge keys" in _reasons(parse(merges, "x"))
    seen = "{channel: http.title, value: x}"
    many = f"- &l [{', '.join([seen] * 300)}]\n" + "".join(f"- {{id: r{n}, observations: *l}}\n" for n in range(3000))
    assert "aliases repeat more than" in _reasons(parse(many, "x"))
