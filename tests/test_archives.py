from __future__ import annotations

import io
import stat
import zipfile

import pytest

from scanner.archives import Bounds, members
from scanner.errors import InputProblem

BOUNDS = Bounds(files=3, file=1000, why="that is no x")


def _zip(*entries: tuple[str, bytes], mode: int = stat.S_IFREG) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return out


def test_files_are_read_and_folders_are_not() -> None:
    assert dict(members(_zip(("a", b"1"), ("b/", b""), ("b/c", b"2")), "x", BOUNDS, str)) == {"a": b"1", "b/c": b"2"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (_zip(*((f"f{n}", b"") for n in range(4))), "more than 3 files: that is no x"),
        (_zip(("bomb", b"0" * 2000)), "larger than 1,000 bytes"),
        (_zip(("link", b"/etc/passwd"), mode=stat.S_IFLNK), "is a link"),
        (io.BytesIO(b"PK\x03\x04nothing"), "is damaged"),
        (io.BytesIO(b""), "is damaged"),
    ],
)
def test_what_is_refused(source: io.BytesIO, said: str) -> None:
    with pytest.raises(InputProblem, match=said):
        list(members(source, "x", BOUNDS, str))
