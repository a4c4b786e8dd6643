from __future__ import annotations

from pathlib import Path

import pytest

from scanner.cli import main


def test_everything_that_ships_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["rules", "check"]) == 0, capsys.readouterr().out
    assert "all good" in capsys.readouterr().out


def test_a_broken_overlay_names_file_entry_key_and_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "fingerprints"
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        "maker: dahua\nfingerprints:\n- {id: mine-x, match: {channel: http.title, regex: '('}, grade: strong,"
        " source: [x], seen: 2026-01-01, examples: [a]}\n"
    )
    code = main.run(["rules", "check", "--rules", str(tmp_path)])
    said = capsys.readouterr()
    text = said.out + said.err
    assert code in {1, 2}
    for part in ("mine.yaml", "mine-x", "regex"):
        assert part in text


def test_an_unknown_vendor_id_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "fingerprints"
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        "maker: nosuchmaker\nfingerprints:\n- {id: mine-x, match: {channel: http.title, exact: abcdef}, grade: strong,"
        " source: ['https://example.org'], seen: 2026-01-01, examples: [abcdef], counter_examples: [b]}\n"
    )
    assert main.run(["rules", "check", "--rules", str(tmp_path)]) in {1, 2}
    said = capsys.readouterr()
    assert "nosuchmaker" in said.out + said.err


@pytest.mark.parametrize("name", ["dahua", "大华", "lorex", "us-889-a1b", "us-federal-contractor"])
def test_show_takes_any_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["rules", "show", name]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 2


def test_show_unknown_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["rules", "show", "no such thing at all"]) == 2


@pytest.mark.parametrize("what", ["vendors", "brands", "fingerprints", "policies", "profiles"])
def test_lists(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["rules", "list", what]) == 0
    assert capsys.readouterr().out.strip()


def test_eval_scores_a_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["rules", "eval", str(root / "tests" / "corpus" / "dahua.yaml")]) == 0
    assert "recall" in capsys.readouterr().out.lower()
