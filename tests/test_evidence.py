"""Evidence bundles: whole ones give the same answer again, changed ones are told, hostile ones do nothing."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner import assess, assets, evidence, knowledge
from scanner.errors import InputProblem
from scanner.judge import waivers
from scanner.knowledge import Knowledge
from scanner.model import Scan
from scanner.recordings import load

Change = Callable[[dict[str, bytes]], None]


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge.load()


@pytest.fixture(scope="module")
def packed(root: Path, known: Knowledge, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A bundle of the demo's devices, with a waiver and columns."""
    folder = tmp_path_factory.mktemp("own")
    waiver, table = folder / "w.yaml", folder / "a.csv"
    waiver.write_text("waivers: [{device: 10.77.0.22, policy: all, reason: moves, who: CISO, expires: 2027-01-01}]\n")
    table.write_text("ip,owner\n10.77.0.22,Ada\n")
    day = datetime.date(2026, 11, 24)
    devices = assess.assess(load(root / "examples" / "demo-fleet.yaml").recordings, known,
                            profiles=["us-federal-contractor"], as_of=day)  # fmt: skip
    scan = Scan(id="s", started="2026-11-24T10:00:00Z", profiles=("us-federal-contractor",), law_as_of="2026-11-24")
    report = assess.report(scan, devices, assess.coverage(devices), known)
    report = waivers.apply(assets.join(report, assets.load(table)), waivers.load([waiver], known))
    return evidence.pack(report, known, waived=[waiver], joined=[table])


def _changed(packed: bytes, change: Change, *, summed: bool = False) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if summed:
        lines = (f"{hashlib.sha256(d).hexdigest()}  {p}\n" for p, d in files.items() if p != evidence.SUMS)
        files[evidence.SUMS] = "".join(lines).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def verified(tmp_path: Path) -> Callable[[bytes], evidence.Verified]:
    def verify(data: bytes) -> evidence.Verified:
        path = tmp_path / "b.zip"
        path.write_bytes(data)
        return evidence.verify(path)

    return verify


def test_a_whole_bundle_gives_the_same_answer(packed: bytes, verified: Callable[[bytes], evidence.Verified]) -> None:
    found = verified(packed)
    assert (found.damaged, found.differences, found.devices) == ((), (), 20)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = set(archive.namelist())
        document = json.loads(archive.read("report.json"))
    assert {"report.json", "report.html", "recordings.jsonl", "exclusions.txt", "bundle.json", "SHA256SUMS",
            "oui/registry.bin", "rules/0/profiles.yaml", "waivers/waivers-0.yaml", "columns/columns-0.csv"} <= names  # fmt: skip
    assert any(d["columns"] == {"owner": "Ada"} and d["action"] == "none" for d in document["devices"])


def _drop_a_device(files: dict[str, bytes]) -> None:
    document = json.loads(files["report.json"])
    del document["devices"][0]
    document["devices"][0]["manufacturer"] = "axis"
    files["report.json"] = json.dumps(document).encode()


def _swap_a_rule(files: dict[str, bytes]) -> None:
    name = "rules/0/policies/us-889-a1b.yaml"
    files[name] = files[name].replace(b"use_banned", b"advisory")


@pytest.mark.parametrize(("change", "said"), [
    (lambda files: files.update({"report.json": files["report.json"].replace(b"remove", b"none")}), "report.json: is not what"),
    (lambda files: files.update({"extra.txt": b"x"}), "extra.txt: is not named"),
    (lambda files: files.pop("exclusions.txt"), "exclusions.txt: is named in SHA256SUMS and missing"),
    (_swap_a_rule, "us-889-a1b.yaml: is not what"),
])  # fmt: skip
def test_a_changed_file_is_named(
    packed: bytes, verified: Callable[[bytes], evidence.Verified], change: Change, said: str
) -> None:
    (problem,) = verified(_changed(packed, change)).damaged
    assert said in problem


@pytest.mark.parametrize(("change", "said"), [
    (_drop_a_device, "has a recording and is not in the report"),
    (_drop_a_device, "manufacturer: axis in the report"),
    (_swap_a_rule, "verdicts: differs"),
])  # fmt: skip
def test_a_change_with_new_sums_is_found_by_judging_again(
    packed: bytes, verified: Callable[[bytes], evidence.Verified], change: Change, said: str
) -> None:
    found = verified(_changed(packed, change, summed=True))
    assert found.damaged == ()
    assert said in "\n".join(found.differences)


def _bad_about(files: dict[str, bytes]) -> None:
    files["bundle.json"] = files["bundle.json"].replace(b'"rules/0"', b'"../../etc"')


@pytest.mark.parametrize(("change", "said"), [
    (lambda files: files.update({"../../evil": b"x"}), "is no name for a file"),
    (lambda files: files.update({"/etc/evil": b"x"}), "is no name for a file"),
    (lambda files: files.update({"a\\..\\b": b"x"}), "is no name for a file"),
    (lambda files: files.update({"REPORT.json": b"x"}), "stands in it twice"),
    (lambda files: files.pop("recordings.jsonl"), "recordings.jsonl is missing"),
    (lambda files: files.update({"SHA256SUMS": b"nonsense\n"}), "is no line of sha256sum"),
    (_bad_about, "is no name for a file"),
    (lambda files: files.update({"recordings.jsonl": b"{\n"}), "cannot be judged again: recordings.jsonl: line 1"),
    (lambda files: files.update({"bundle.json": files["bundle.json"].replace(b'"format": 1', b'"format": 2')}), "format is 2"),
    (lambda files: files.update({"oui/registry.bin": b"x"}), "cannot be judged again"),
])  # fmt: skip
def test_what_is_no_bundle_is_said(
    packed: bytes, verified: Callable[[bytes], evidence.Verified], change: Change, said: str
) -> None:
    with pytest.raises(InputProblem, match=said):
        verified(_changed(packed, change, summed=said != "is no line of sha256sum"))


def test_truncated_foreign_and_swelling_files(
    packed: bytes, verified: Callable[[bytes], evidence.Verified], monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in (packed[: len(packed) // 2], b"", b"PK", b"x" * 100):
        with pytest.raises(InputProblem, match="is damaged"):
            verified(data)
    monkeypatch.setattr(evidence, "MAX_WHOLE", 100_000)
    with pytest.raises(InputProblem, match="holds more than 100,000 bytes"):
        verified(packed)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputProblem, match="cannot be read"):
        evidence.verify(tmp_path / "none.zip")
