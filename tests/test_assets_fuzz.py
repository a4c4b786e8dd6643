"""Any bytes as a file of assets or of waivers: read, or refused with a sentence."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner import assets, knowledge
from scanner.errors import InputProblem
from scanner.judge import waivers

_TABLE = st.text(alphabet="mac,ip;\t|\"'\n\r\x00:0af.é\u2028", max_size=200).map(lambda t: f"mac,owner\n{t}".encode())
_WAIVERS = st.text(alphabet="- {}[]:&*!|>#'\"\n\t0a", max_size=120).map(lambda t: f"waivers:\n{t}".encode())


@pytest.fixture(scope="module")
def known() -> knowledge.Knowledge:
    return knowledge.load()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "hostile"


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=300) | _TABLE)
def test_assets(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with contextlib.suppress(InputProblem):
        assets.load(file)


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=300) | _WAIVERS)
def test_waivers(content: bytes, file: Path, known: knowledge.Knowledge) -> None:
    file.write_bytes(content)
    with contextlib.suppress(InputProblem):
        waivers.load([file], known)
