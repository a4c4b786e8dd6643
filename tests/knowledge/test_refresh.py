from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
import random
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scanner import assess, knowledge
from scanner.errors import InputProblem, LanvetoError, RulesProblem, UsageProblem
from scanner.knowledge import refresh, shelf
from scanner.knowledge.registry import digest, pack
from scanner.knowledge.registry_files import About, about
from scanner.resources import data_dir

SHIPPED = about(data_dir("oui")).as_of
TODAY = SHIPPED + datetime.timedelta(days=90)
RECENT = TODAY - datetime.timedelta(days=4)
DAHUA = "3CEF8C"


def invented_blocks(scale: float = 1.0) -> dict[str, str]:
    """As many invented prefixes of each length as ours has (times `scale`), and one real one."""
    chance = random.Random(7)
    counts = about(data_dir("oui")).blocks
    made = {DAHUA: "Zhejiang Dahua Technology Co., Ltd."}
    for bits, count in counts.items():
        digits = int(bits) // 4
        made |= {f"{chance.getrandbits(int(bits)):0{digits}X}": f"Org {bits}" for _ in range(int(count * scale))}
    return made


def _dated(path: Path, day: datetime.date) -> Path:
    moment = datetime.datetime.combine(day, datetime.time(12), datetime.UTC).timestamp()
    os.utime(path, (moment, moment))
    return path


def as_csvs(folder: Path, blocks: dict[str, str], day: datetime.date = TODAY) -> list[str]:
    """The blocks as the IEEE's files: what `curl` would have left in a folder."""
    folder.mkdir(exist_ok=True)
    files = []
    for name, registry, digits in (("oui", "MA-L", 6), ("mam", "MA-M", 7), ("oui36", "MA-S", 9)):
        rows = [f'{registry},{p},"{owner}",Street\r\n' for p, owner in blocks.items() if len(p) == digits]
        path = folder / f"{name}.csv"
        path.write_text("Registry,Assignment,Organization Name,Organization Address\r\n" + "".join(rows), newline="")
        files.append(str(_dated(path, day)))
    return files


@pytest.fixture(scope="module")
def blocks() -> dict[str, str]:
    return invented_blocks()


def test_the_ieees_files_become_the_registry_in_use(own_data: Path, tmp_path: Path, blocks: dict[str, str]) -> None:
    done = refresh.update(as_csvs(tmp_path / "in", blocks), TODAY)
    assert done.folder is not None
    assert done.folder.parent == own_data
    assert (own_data / "oui" / "registry.bin").is_file()
    said = about(own_data / "oui")
    assert said == done.now
    assert said.as_of == TODAY
    assert said.sha256 == digest(own_data / "oui" / "registry.bin")
    assert [source["blocks"] for source in said.sources] == list(said.blocks.values())
    assert all(len(source["sha256"]) == 64 for source in said.sources)
    known = knowledge.load()
    assert len(known.registry) == len(blocks)
    hit = known.registry.lookup("3c:ef:8c:00:00:01")
    assert hit is not None
    assert hit.organisation == "Zhejiang Dahua Technology Co., Ltd."
    assert known.registry.lookup("00:12:31:08:bb:97") is not None, "our overrides hold for the user's registry too"
    assert known.version.registry_sha256 == said.sha256
    assert known.version.registry_as_of == TODAY.isoformat()
    assert not assess.age_warnings(known, TODAY)
    assert digest(data_dir("oui") / "registry.bin") == about(data_dir("oui")).sha256, "ours stays as it was"


@pytest.mark.usefixtures("own_data")
def test_every_form_gives_the_same_registry(tmp_path: Path, blocks: dict[str, str]) -> None:
    as_csvs(tmp_path / "csv", blocks)
    npm, ours, twins = tmp_path / "npm", tmp_path / "packed", tmp_path / "txt"
    for folder in (npm, ours, twins):
        folder.mkdir()
    (npm / "index.json").write_text(json.dumps({p.lower(): f"{owner}\nStreet\nCN" for p, owner in blocks.items()}))
    for name, digits in (("oui", 6), ("mam", 7), ("oui36", 9)):
        lines = []
        for prefix, owner in blocks.items():
            if len(prefix) == digits:
                start = prefix[6:].ljust(6, "0")
                given = prefix if digits == 6 else f"{start}-{prefix[6:].ljust(6, 'F')}"
                oui = f"{prefix[:2]}-{prefix[2:4]}-{prefix[4:6]}"
                lines.append(f"{oui}   (hex)\t\t{owner}\n{given}     (base 16)\t\t{owner}\n\t\t\t\tStreet\n\n")
        (twins / f"{name}.txt").write_text("".join(lines))
    packed = pack(blocks)
    (ours / "registry.bin").write_bytes(packed)
    said = about(refresh.update([str(tmp_path / "csv")], TODAY, as_of=TODAY).folder or Path())
    (ours / "registry.json").write_text(
        json.dumps({"as_of": TODAY.isoformat(), "sha256": said.sha256, "blocks": said.blocks, "sources": []})
    )
    for folder in (npm, npm / "index.json", twins, ours, ours / "registry.bin"):
        shelf.remove("oui")
        done = refresh.update([str(folder)], TODAY, as_of=TODAY)
        assert done.now.sha256 == said.sha256, folder
        assert done.now.blocks == said.blocks


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("own_data")
def test_addresses_are_fetched_and_dated_by_their_server(
    served: str, tmp_path: Path, blocks: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_csvs(tmp_path / "served", blocks, RECENT)
    urls = tuple(f"{served}/{name}.csv" for name in ("oui", "mam", "oui36"))
    done = refresh.update(urls, TODAY)
    assert done.now.as_of == RECENT
    assert [source["name"] for source in done.now.sources] == list(urls)
    # Without a source it is the IEEE's own files: all of them, and all over https.
    assert all(url.startswith("https://standards-oui.ieee.org/") for url in refresh.IEEE)
    shelf.remove("oui")
    monkeypatch.setattr(refresh, "IEEE", urls)
    assert refresh.update((), TODAY).now == done.now


def _unchanged(own_data: Path) -> None:
    assert shelf.registry() == data_dir("oui")
    assert not own_data.exists() or not [p for p in own_data.iterdir() if p.name != ".lock"]


@pytest.mark.parametrize("bits", [24, 28, 36])
def test_a_registry_that_lost_half_of_a_length_is_refused(
    own_data: Path, tmp_path: Path, blocks: dict[str, str], bits: int
) -> None:
    known = [p for p in blocks if 4 * len(p) == bits]
    gone = set(known[: len(known) * 6 // 10])
    lost = {p: owner for p, owner in blocks.items() if p not in gone}
    files = as_csvs(tmp_path / "in", lost)
    with pytest.raises(InputProblem, match=rf"prefixes of {bits} bits .*--force"):
        refresh.update(files, TODAY)
    _unchanged(own_data)
    assert refresh.update(files, TODAY, force=True).folder is not None
    assert len(knowledge.load().registry) == len(lost)


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 + 3])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(5000))


def _gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [_cut, _emptied, _garbage, _gone])
def test_a_damaged_file_changes_nothing(own_data: Path, tmp_path: Path, blocks: dict[str, str], harm: object) -> None:
    files = as_csvs(tmp_path / "in", blocks)
    assert callable(harm)
    harm(Path(files[0]))
    with pytest.raises(InputProblem, match=r"oui\.csv: "):
        refresh.update(files, TODAY)
    _unchanged(own_data)


def test_a_packed_registry_is_what_its_description_says(own_data: Path, tmp_path: Path, blocks: dict[str, str]) -> None:
    packed = bytearray(pack(blocks))
    said = {"as_of": TODAY.isoformat(), "sha256": "0" * 64, "blocks": {}, "sources": []}
    (tmp_path / "registry.bin").write_bytes(packed)
    (tmp_path / "registry.json").write_text(json.dumps(said))
    with pytest.raises(RulesProblem, match="one of them is damaged"):
        refresh.update([str(tmp_path)], TODAY)
    (tmp_path / "registry.bin").write_bytes(packed[:-7])
    with pytest.raises(RulesProblem, match="damaged"):
        refresh.update([str(tmp_path)], TODAY)
    (tmp_path / "registry.json").unlink()
    with pytest.raises(RulesProblem, match=r"registry\.json"):
        refresh.update([str(tmp_path)], TODAY)
    _unchanged(own_data)


def test_prefixes_that_are_none_are_refused(own_data: Path, tmp_path: Path) -> None:
    import hashlib
    import struct

    from scanner.knowledge.registry import MAGIC

    packed = MAGIC + struct.pack("<4I", 1, 0, 0, 2) + struct.pack("<II", 0xFFFFFFFF, 0) + b"x\n"
    (tmp_path / "registry.bin").write_bytes(packed)
    said = {"as_of": TODAY.isoformat(), "sha256": hashlib.sha256(packed).hexdigest(), "blocks": {}, "sources": []}
    (tmp_path / "registry.json").write_text(json.dumps(said))
    with pytest.raises(RulesProblem, match="prefixes that are none"):
        refresh.update([str(tmp_path)], TODAY, force=True)
    _unchanged(own_data)


def test_what_is_no_newer_than_ours_is_not_used(own_data: Path, tmp_path: Path, blocks: dict[str, str]) -> None:
    files = as_csvs(tmp_path / "in", blocks, SHIPPED)
    with pytest.raises(InputProblem, match=f"as of {SHIPPED}.*stays in use"):
        refresh.update(files, TODAY)
    _unchanged(own_data)
    assert refresh.update(files, TODAY, as_of=RECENT).now.as_of == RECENT
    with pytest.raises(InputProblem, match="older than the registry in use"):
        refresh.update(as_csvs(tmp_path / "in", invented_blocks(0.9)), TODAY, as_of=SHIPPED + datetime.timedelta(days=1))


@pytest.mark.usefixtures("own_data")
def test_the_same_again_is_nothing_new(tmp_path: Path, blocks: dict[str, str]) -> None:
    files = as_csvs(tmp_path / "in", blocks)
    first = refresh.update(files, TODAY)
    second = refresh.update(files, TODAY)
    assert first.folder is not None
    assert second.folder is None
    assert second.now == first.now


def test_dates_are_stated_or_known(own_data: Path, tmp_path: Path, blocks: dict[str, str]) -> None:
    files = as_csvs(tmp_path / "in", blocks, datetime.date(1985, 10, 26))  # what packers write who know none
    with pytest.raises(InputProblem, match="--as-of"):
        refresh.update(files, TODAY)
    with pytest.raises(UsageProblem, match="lies ahead"):
        refresh.update(files, TODAY, as_of=TODAY + datetime.timedelta(days=1))
    _unchanged(own_data)


@pytest.mark.usefixtures("own_data")
def test_of_several_sources_the_first_counts_and_the_oldest_dates(tmp_path: Path) -> None:
    sources = [
        refresh.Source("new", "0" * 64, {DAHUA: "New Name", "AAAAAA": "Only Here"}, TODAY),
        refresh.Source("old", "1" * 64, {DAHUA: "Old Name", "BBBBBB": "Only There"}, RECENT),
    ]
    packed, said = refresh.build(sources, TODAY)
    assert said.as_of == RECENT
    assert said.blocks == {"24": 3, "28": 0, "36": 0}
    assert [source["taken"] for source in said.sources] == [2, 1]
    assert packed == pack({DAHUA: "New Name", "AAAAAA": "Only Here", "BBBBBB": "Only There"})


def test_a_newer_registry_of_ours_is_used_again(
    own_data: Path, tmp_path: Path, blocks: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh.update(as_csvs(tmp_path / "in", blocks), TODAY)
    assert shelf.registry() != data_dir("oui")
    newer = tmp_path / "shipped" / "oui"
    newer.mkdir(parents=True)
    made = About(as_of=TODAY + datetime.timedelta(days=1), sha256="0" * 64, blocks={}, sources=[])
    (newer / "registry.json").write_text(
        json.dumps({"as_of": made.as_of.isoformat(), "sha256": made.sha256, "blocks": {}, "sources": []})
    )
    monkeypatch.setattr(shelf, "data_dir", lambda name: newer)
    assert shelf.registry() == newer
    assert own_data.exists()


@pytest.mark.parametrize("name", ["empty", "nowhere", "notes.txt"])
def test_what_holds_no_registry_is_said_so(own_data: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("nothing\n")
    with pytest.raises(LanvetoError, match=name):
        refresh.update([str(tmp_path / name)], TODAY)
    with contextlib.suppress(FileNotFoundError):
        _unchanged(own_data)
