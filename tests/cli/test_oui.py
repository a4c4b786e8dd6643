from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scanner import knowledge
from scanner.cli import main
from scanner.knowledge import refresh, shelf
from scanner.resources import data_dir


def test_lookup_knows_long_prefixes_vendors_and_random_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["oui", "lookup", "3c:ef:8c:11:22:33", "40-2c-76-1f-00-01", "3eef.8c11.2233"]) == 0
    dahua, scale, local = capsys.readouterr().out.splitlines()
    assert "Zhejiang Dahua Technology" in dahua
    assert "vendor dahua" in dahua
    assert "Shanghai Dahua Scale" in scale
    assert "vendor dahua" not in scale.replace("shanghai-dahua", "")
    assert "/28" in scale
    assert "3e:ef:8c:11:22:33" in local
    assert "Dahua" not in local


def test_nonsense_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["oui", "lookup", "banana"]) == 2
    assert "banana" in capsys.readouterr().err


def test_an_update_is_used_until_it_is_reset(
    own_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own registry with one owner changed, as a file from elsewhere."""
    ours = tmp_path / "ours"
    shutil.copytree(data_dir("oui"), ours)
    said = json.loads((ours / "registry.json").read_text())
    (ours / "registry.json").write_text(json.dumps({**said, "as_of": "2020-01-01"}))
    for room in (shelf, refresh):
        monkeypatch.setattr(room, "data_dir", lambda name: ours if name == "oui" else data_dir(name))
    blocks = {prefix.lower(): owner for prefix, owner in knowledge.load().registry.blocks()}
    blocks["3cef8c"] = "Renamed Corp\x1b[2J"
    (tmp_path / "index.json").write_text(json.dumps(blocks))
    update = ["oui", "update", "--from", str(tmp_path)]
    assert main.run(update) == 0
    printed = capsys.readouterr().out
    assert "28 bits" in printed
    assert "before: 2020-01-01" in printed
    assert main.run(["oui", "lookup", "3c:ef:8c:00:00:01"]) == 0
    found = capsys.readouterr().out
    assert "Renamed Corp" in found
    assert "\x1b" not in found
    assert main.run(update) == 0
    assert "nothing new" in capsys.readouterr().out
    assert main.run([*update, "--reset"]) == 2
    assert main.run(["oui", "update", "--reset"]) == 0
    assert main.run(["oui", "update", "--reset"]) == 0
    assert "already" in capsys.readouterr().out
    assert main.run(["oui", "lookup", "3c:ef:8c:00:00:01"]) == 0
    assert "Dahua" in capsys.readouterr().out
    assert own_data.exists()


def test_an_update_that_cannot_be_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "oui.csv").write_text("<html>")
    for arguments in (
        ["--from", str(tmp_path / "oui.csv")],
        ["--from", str(tmp_path / "nowhere.csv")],
        ["--from", "http://example.org/oui.csv"],
        ["--from", "http://127.0.0.1:1/oui.csv"],
        ["--as-of", "yesterday"],
    ):
        assert main.run(["oui", "update", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("lanveto: ")
        assert len(error.splitlines()) == 1
