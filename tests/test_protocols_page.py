"""docs/protocols.md names every question that is asked; a security team may rely on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.discover.multicast import speakers
from scanner.protocols import protocols
from scanner.protocols.base import Question

ASKED = [(p.name, q) for p in speakers(protocols().values()) for q in p.questions()]


@pytest.mark.parametrize(("name", "question"), ASKED, ids=[f"{n}-{q.request}-{q.port}" for n, q in ASKED])
def test_every_question_has_its_row(root: Path, name: str, question: Question) -> None:
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in (root / "docs" / "protocols.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| {name} | {question.request} |")
    ]
    bare = question.ethertype is not None
    to = f"EtherType {question.ethertype:#06x}" if bare else (
        ", ".join([*question.groups, *(["broadcast"] if question.broadcast else [])]) or "—"
    )
    wanted = ["—" if bare else str(question.port), to, "1", str(len(question.payload)),
              str(question.repeat) if question.together else "—"]  # fmt: skip
    assert wanted in [row[2:7] for row in rows], wanted


def test_every_port_that_is_listened_to_is_named(root: Path) -> None:
    page = (root / "docs" / "protocols.md").read_text(encoding="utf-8")
    listened = {str(port) for _, question in ASKED for port in question.listen}
    assert not [port for port in listened if port not in page]
