from __future__ import annotations

from pathlib import Path

import pytest

from scanner.errors import UsageProblem
from scanner.model import Observation, Recording
from scanner.recorded import prepare, redacted, write_recordings
from scanner.recordings import load, to_json


def test_recordings_are_for_their_owners_eyes(tmp_path: Path) -> None:
    some = Recording(id="ip-10-0-0-1", ip="10.0.0.1", observations=(Observation(channel="http.title", value="\x1bé"),))

    assert write_recordings(tmp_path, [some]) == []
    path = tmp_path / "ip-10-0-0-1.yaml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert load(path).recordings == (some,)
    assert [file.name for file in tmp_path.iterdir()] == ["ip-10-0-0-1.yaml"]


def test_a_folder_that_went_away_is_told(tmp_path: Path) -> None:
    problems = write_recordings(tmp_path / "gone", [Recording(id="a"), Recording(id="b")])

    (only,) = problems  # a full disk has the same to say of each
    assert only.endswith("gone: several files: No such file or directory")
    assert write_recordings(tmp_path / "gone", [Recording(id="a")])[0].endswith("gone/a.yaml: No such file or directory")


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


def test_the_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    prepare(tmp_path / "new" / "records")
    assert (tmp_path / "new" / "records").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageProblem, match="--record"):
        prepare(tmp_path / "file")
