"""Fixtures every test may use; test files never import each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.model import Recording
from scanner.recordings import load

CORPUS = Path(__file__).parent / "corpus"


@pytest.fixture(scope="session")
def corpus() -> tuple[Recording, ...]:
    """Every case of the evidence corpus, each with its truth."""
    cases: list[Recording] = []
    for file in sorted(CORPUS.glob("*.yaml")):
        loaded = load(file)
        assert not loaded.problems, loaded.problems
        cases.extend(loaded.recordings)
    return tuple(cases)
