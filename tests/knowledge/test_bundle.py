from __future__ import annotations

import datetime
import gzip
import hashlib
import io
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner import knowledge
from scanner.errors import InputProblem, RulesProblem, UsageProblem
from scanner.knowledge import bundle, shelf, version
from scanner.resources import data_dir

SHIPPED = version.dated(data_dir("rules"))
NEWER = SHIPPED + datetime.timedelta(days=60)
BETWEEN = SHIPPED + datetime.timedelta(days=30)
TODAY = SHIPPED + datetime.timedelta(days=90)
FILE = b"as_of: 2027-02-01\n"
SUM = hashlib.sha256(FILE).hexdigest()


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our rules as they may be one day, with one more fingerprint."""
    folder = tmp_path_factory.mktemp("newer") / "rules"
    shutil.copytree(data_dir("rules"), folder)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (folder / "version.yaml").write_text(f"as_of: {NEWER}\n")
    (folder / "fingerprints" / "new.yaml").write_text(
        "maker: dahua\nfingerprints:\n- {id: dahua-of-the-future, match: {channel: http.title, exact: Future Cam},"
        " grade: strong, source: ['https://example.org'], seen: 2026-01-01, examples: [Future Cam],"
        " counter_examples: [Past Cam]}\n"
    )
    return folder


@pytest.fixture(scope="module")
def packed(newer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("packed") / "rules.tar.gz"
    bundle.pack(newer, target)
    return target


def _unchanged(own_data: Path) -> None:
    assert shelf.rules() == data_dir("rules")
    assert not own_data.exists() or not [p for p in own_data.iterdir() if p.name != ".lock"]


@pytest.mark.parametrize("name", ["rules.zip", "rules.tgz"])
def test_packed_rules_become_the_rules_in_use(own_data: Path, tmp_path: Path, newer: Path, name: str) -> None:
    found = bundle.pack(newer, tmp_path / name)
    done = bundle.install(tmp_path / name, TODAY)
    assert done.sha256 == found
    assert done.as_of == NEWER
    assert done.folder.parent == own_data
    known = knowledge.load()
    assert "dahua-of-the-future" in {f.id for f in known.fingerprints}
    assert known.version.rules_as_of == NEWER.isoformat()
    assert {p.relative_to(newer) for p in newer.rglob("*.yaml")} == {
        p.relative_to(done.folder) for p in done.folder.rglob("*") if p.is_file()
    }
    shelf.remove("rules")
    assert "dahua-of-the-future" not in {f.id for f in knowledge.load().fingerprints}


def test_the_same_rules_give_the_same_bytes_and_sha256sum_agrees(tmp_path: Path, newer: Path, packed: Path) -> None:
    found = bundle.pack(newer, tmp_path / "again.tar.gz")
    assert hashlib.sha256(packed.read_bytes()).hexdigest() == found
    assert packed.with_name("rules.tar.gz.sha256").read_text() == f"{found}  rules.tar.gz\n"


def test_every_checksum_given_must_agree(own_data: Path, tmp_path: Path, packed: Path) -> None:
    alone = tmp_path / "rules.tar.gz"
    shutil.copy(packed, alone)
    right = hashlib.sha256(packed.read_bytes()).hexdigest()
    with pytest.raises(InputProblem, match=r"no checksum.*rules\.tar\.gz\.sha256.*--sha256"):
        bundle.install(alone, TODAY)
    with pytest.raises(InputProblem, match=r"not 0{64} as --sha256 says"):
        bundle.install(alone, TODAY, sha256="0" * 64)
    with pytest.raises(UsageProblem, match="no SHA-256"):
        bundle.install(alone, TODAY, sha256="abc")
    beside = tmp_path / "rules.tar.gz.sha256"
    beside.write_text("1" * 64 + "  rules.tar.gz\n")
    with pytest.raises(InputProblem, match=r"as .*\.sha256 says"):
        bundle.install(alone, TODAY, sha256=right)
    beside.write_text("nonsense\n")
    with pytest.raises(InputProblem, match="does not begin with"):
        bundle.install(alone, TODAY)
    _unchanged(own_data)
    beside.unlink()
    assert bundle.install(alone, TODAY, sha256=right.upper()).files > 100


def test_one_changed_byte_is_found(own_data: Path, tmp_path: Path, packed: Path) -> None:
    broken = bytearray(packed.read_bytes())
    broken[len(broken) // 2] ^= 1
    path = tmp_path / "rules.tar.gz"
    path.write_bytes(broken)
    with pytest.raises(InputProblem, match="rules.tar.gz: "):
        bundle.install(path, TODAY, sha256=hashlib.sha256(broken).hexdigest())
    _unchanged(own_data)


def _installs(newer: Path, tmp_path: Path, change: Callable[[Path], object]) -> None:
    """Install the rules after a change that the packer would have refused."""
    folder = tmp_path / "changed"
    shutil.copytree(newer, folder)
    change(folder)
    files = {f"rules/{p.relative_to(folder).as_posix()}": p.read_bytes() for p in folder.rglob("*.yaml")}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in files.items())
    data = _tar({"SHA256SUMS": sums.encode(), **files})
    path = tmp_path / "rules.tar.gz"
    path.write_bytes(data)
    bundle.install(path, TODAY, sha256=hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "version.yaml").write_text("as_of: 2020-01-01\n"), "that came with lanveto.*stay in use"),
        (lambda f: (f / "version.yaml").write_text("as_of: 2999-01-01\n"), "lies ahead"),
        (lambda f: (f / "version.yaml").unlink(), r"version\.yaml"),
        (lambda f: (f / "fingerprints" / "dahua.yaml").write_text("maker: dahua\nfingerprints: [{}]\n"), "dahua.yaml"),
        (lambda f: (f / "vendors" / "dahua.yaml").unlink(), "no entity is called 'dahua'"),
        (lambda f: shutil.rmtree(f / "policies"), "not all the rules"),
        (
            lambda f: (f / "fingerprints" / "bad.yaml").write_text(
                "maker: dahua\nfingerprints:\n- {id: a, match: {channel: http.title, exact: A}, grade: strong,"
                " source: [x], seen: 2026-01-01, examples: [B]}\n"
            ),
            "does not match its own fingerprint",
        ),
    ],
)
def test_rules_that_are_not_valid_are_not_used(
    own_data: Path, tmp_path: Path, newer: Path, change: Callable[[Path], object], words: str
) -> None:
    with pytest.raises(InputProblem, match=words) as caught:
        _installs(newer, tmp_path, change)
    assert str(own_data) not in str(caught.value), "names the place in the file, not that of a folder that is gone"
    _unchanged(own_data)


def test_rules_do_not_go_back_by_themselves(own_data: Path, tmp_path: Path, newer: Path, packed: Path) -> None:
    bundle.install(packed, TODAY)
    with pytest.raises(InputProblem, match=f"older than the rules in use .{NEWER}.*--reset"):
        _installs(newer, tmp_path, lambda f: (f / "version.yaml").write_text(f"as_of: {BETWEEN}\n"))
    assert shelf.rules().parent == own_data


def test_only_valid_rules_are_packed(tmp_path: Path, newer: Path) -> None:
    with pytest.raises(RulesProblem, match=r"version\.yaml"):
        bundle.pack(newer / "vendors", tmp_path / "rules.zip")
    with pytest.raises(UsageProblem, match=r"\.zip or \.tar\.gz"):
        bundle.pack(newer, tmp_path / "rules.rar")
    assert not list(tmp_path.iterdir())


def _tar(files: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for entry in more:
            archive.addfile(entry)
    return out.getvalue()


def _zip(files: dict[str, bytes], mode: int = stat.S_IFREG) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (mode | 0o644) << 16
            archive.writestr(entry, content)
    return out.getvalue()


GOOD = {"rules/SHA256SUMS": f"{SUM}  version.yaml\n".encode(), "rules/version.yaml": FILE}


@pytest.mark.parametrize("form", [_tar, _zip])
def test_the_smallest_file_unpacks(form: Callable[[dict[str, bytes]], bytes]) -> None:
    assert bundle.unpack(form(GOOD), "x") == {"version.yaml": FILE}
    top = {"SHA256SUMS": f"{SUM} *rules/version.yaml\n".encode(), "rules/version.yaml": FILE}
    assert bundle.unpack(form(top), "x") == {"version.yaml": FILE}


@pytest.mark.parametrize("form", [_tar, _zip])
@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd.yaml",
        "../x.yaml",
        "rules/../../x.yaml",
        "rules/./x.yaml",
        "rules//x.yaml",
        "rules/a\\..\\x.yaml",
        "rules/C:x.yaml",
        "rules/x.sh",
        "rules/.hidden.yaml",
        "other/x.yaml",
        "rules/a/b/c/d.yaml",
        "rules/" + "x" * 250 + ".yaml",
    ],
)
def test_no_path_leads_out(form: Callable[[dict[str, bytes]], bytes], path: str) -> None:
    with pytest.raises(InputProblem, match="may not be in it|no rule file"):
        bundle.unpack(form({**GOOD, path: b"x"}), "x")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_no_links_and_no_devices_in_tar(kind: bytes) -> None:
    entry = tarfile.TarInfo("rules/x.yaml")
    entry.type, entry.linkname = kind, "/etc/passwd"
    with pytest.raises(InputProblem, match="link or a device"):
        bundle.unpack(_tar(GOOD, entry), "x")


def test_no_links_in_zip() -> None:
    with pytest.raises(InputProblem, match="link or a device"):
        bundle.unpack(_zip(GOOD, stat.S_IFLNK), "x")


@pytest.mark.parametrize("form", [_tar, _zip])
def test_sizes_and_counts_are_bounded(
    form: Callable[[dict[str, bytes]], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputProblem, match="larger than"):
        bundle.unpack(form({**GOOD, "rules/big.yaml": b"0" * (bundle.MAX_FILE + 1)}), "x")
    monkeypatch.setattr(bundle, "MAX_WHOLE", 100_000)
    with pytest.raises(InputProblem, match="100,000 bytes"):
        bundle.unpack(form({**GOOD, "rules/a.yaml": b"0" * 60_000, "rules/b.yaml": b"0" * 60_000}), "x")
    monkeypatch.setattr(bundle, "MAX_FILES", 3)
    with pytest.raises(InputProblem, match="3 files"):
        bundle.unpack(form({**GOOD, **{f"rules/{n}.yaml": b"" for n in range(4)}}), "x")


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_WHOLE", 1_000_000)
    with pytest.raises(InputProblem, match="1,000,000 bytes"):
        bundle.unpack(gzip.compress(b"\0" * 5_000_000), "x")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "rules.zip"
    with path.open("wb") as file:
        file.truncate(bundle.MAX_ARCHIVE + 1)
    with pytest.raises(InputProblem, match="larger than"):
        bundle.install(path, TODAY)


@pytest.mark.parametrize("form", [_tar, _zip])
@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"rules/version.yaml": FILE}, "SHA256SUMS is missing"),
        ({**GOOD, "rules/more.yaml": b"x"}, "not named in"),
        ({**GOOD, "rules/version.yaml": b"other"}, "not what rules/SHA256SUMS says"),
        (
            {"rules/SHA256SUMS": f"{SUM}  version.yaml\n{SUM}  gone.yaml\n".encode(), "rules/version.yaml": FILE},
            "missing",
        ),
        ({"rules/SHA256SUMS": b"what is this\n", "rules/version.yaml": FILE}, "no line of sha256sum"),
        ({**GOOD, "rules/VERSION.yaml": FILE}, "twice"),
    ],
)
def test_the_checksums_inside_name_every_file(
    form: Callable[[dict[str, bytes]], bytes], files: dict[str, bytes], words: str
) -> None:
    with pytest.raises(InputProblem, match=words):
        bundle.unpack(form(files), "x")


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"PK\x03\x04garbage", b"\x1f\x8b\x08garbage", _tar(GOOD)[:-30], _zip(GOOD)[:-30]]
)
def test_damaged_archives_are_said_so(data: bytes) -> None:
    with pytest.raises(InputProblem, match="x: "):
        bundle.unpack(data, "x")
