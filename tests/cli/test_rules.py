from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import pytest

from scanner.cli import main
from scanner.knowledge import bundle, shelf
from scanner.resources import data_dir


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


def test_rules_are_packed_carried_used_and_put_back(
    root: Path, own_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    newer, ours = tmp_path / "newer", tmp_path / "ours"
    today = datetime.datetime.now(tz=datetime.UTC).date()
    for folder, day in ((newer, today), (ours, today - datetime.timedelta(days=1))):
        shutil.copytree(root / "rules", folder)
        (folder / "version.yaml").write_text(f"as_of: {day}\n")
    (newer / "brands" / "mine.yaml").write_text("brands: [{id: mine-of-today, names: [Mine Of Today]}]\n")
    for room in (shelf, bundle):
        monkeypatch.setattr(room, "data_dir", lambda name: ours if name == "rules" else data_dir(name))
    archive = str(tmp_path / "rules.zip")
    assert main.run(["rules", "pack", str(newer), archive]) == 0
    assert main.run(["rules", "update", "--from", archive]) == 0
    assert f"as of {today}" in capsys.readouterr().out
    assert main.run(["rules", "show", "mine-of-today"]) == 0
    assert main.run(["rules", "update", "--reset"]) == 0
    assert main.run(["rules", "show", "mine-of-today"]) == 2
    assert not list(own_data.glob(".rules-*"))


def test_an_update_that_cannot_be_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "rules.zip"
    broken.write_bytes(b"PK")
    for arguments in (
        [],
        ["--from", str(tmp_path / "nowhere.zip")],
        ["--from", str(broken)],
        ["--from", str(broken), "--sha256", "0" * 64],
        ["--reset", "--sha256", "0" * 64],
    ):
        assert main.run(["rules", "update", *arguments]) == 2
        assert capsys.readouterr().err.startswith("lanveto: ")
