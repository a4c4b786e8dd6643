from __future__ import annotations

from pathlib import Path

import pytest

from scanner.cli import main


def test_a_bundle_is_packed_checked_and_judged_again(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "evidence.zip"
    fleet = str(root / "examples" / "demo-fleet.yaml")
    words = ["identify", fleet, "--profile", "us-federal-contractor", "--bundle", str(target)]
    assert main.run([*words, "--output", str(tmp_path / "x.txt")]) == 0
    assert main.run(["verify", str(target)]) == 0
    assert "20 device(s) judged again for us-federal-contractor" in capsys.readouterr().out
    data = bytearray(target.read_bytes())
    target.write_bytes(data[:-200])
    assert main.run(["verify", str(target)]) == 2
    assert "is damaged" in capsys.readouterr().err
    data[1000] ^= 1
    target.write_bytes(data)
    assert main.run(["verify", str(target)]) in {1, 2}


def test_a_bundle_that_cannot_be_written_loses_no_report(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["identify", str(root / "examples" / "demo-fleet.yaml"), "--format", "csv", "--bundle"]
    assert main.run([*words, str(tmp_path / "no" / "x.zip")]) == 2
    assert "--bundle" in capsys.readouterr().err
    assert main.run([*words, "/dev/full"]) == 3
    out, err = capsys.readouterr()
    assert out.startswith("key,ip,")
    assert "--bundle /dev/full: cannot be written" in err
