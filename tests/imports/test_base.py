from __future__ import annotations

import io
from pathlib import Path

import pytest

from scanner import imports
from scanner.errors import InputProblem, UsageProblem
from scanner.imports.base import MAX_LINE, Head, Importer, Input, encoding

ROOT = Path(__file__).resolve().parents[2]


def _input(data: bytes) -> Input:
    return Input("x", io.BytesIO(data), Head(data[:65536], data[:65536].decode("latin-1"), "x"))


def test_every_file_is_an_importer_of_its_name() -> None:
    for name in imports.names():
        importer = imports.get(name)
        assert isinstance(importer, Importer)
        assert importer.summary
        assert (ROOT / "scanner" / "imports" / f"{name.replace('-', '_')}.py").exists()


def test_an_unknown_name() -> None:
    with pytest.raises(UsageProblem, match="there are arp"):
        imports.get("tarot")


@pytest.mark.parametrize("data", [b"", b"\0" * 4096, b"Lorem ipsum dolor\n" * 50, bytes(range(256)) * 20, b"{}", b"<a/>", b"a,b\n1,2\n"])
def test_what_nobody_knows(data: bytes) -> None:
    with pytest.raises(InputProblem, match="--from"):
        imports.recognise(Head(data, data.decode("latin-1"), "x"), "x")


def test_lines_have_numbers_and_no_ends() -> None:
    assert list(_input(b"a\r\nb\n\nc").lines()) == [(1, "a"), (2, "b"), (3, ""), (4, "c")]


def test_a_line_without_end_is_an_error_and_what_stands_before_is_kept() -> None:
    lines = _input(b"a\n" + b"x" * (3 * MAX_LINE)).lines()

    assert next(lines) == (1, "a")
    with pytest.raises(InputProblem, match="line 2 is longer"):
        next(lines)


@pytest.mark.parametrize(
    ("text", "name"), [("a\u00e4", "utf-8"), ("a\u00e4", "utf-16"), ("abcdefgh", "utf-16-le"), ("abcdefgh", "utf-16-be"), ("\u00e4bc", "cp1252"), ("x", "utf-8-sig")]
)
def test_encodings(text: str, name: str) -> None:
    data = text.encode(name)

    assert data.decode(encoding(data)).lstrip("\ufeff") == text
    assert [line for _n, line in _input(data).lines()] == [text]
