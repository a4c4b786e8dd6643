"""The parts of a vendor file refuse what cannot be."""

from __future__ import annotations

import msgspec
import pytest

from scanner.knowledge.companies import Entity, Relation

RELATION = {"type": "parent", "target": "b", "source": "x", "confidence": "high", "verified": True}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "B"}, "not both"),
        ({"target": None}, "not both"),
        ({"since": 2020, "until": 2019}, "lies after"),
        ({"since": "soon"}, "no date"),
        ({"type": "former_parent"}, "needs `until`"),
        ({"type": "cousin"}, "cousin"),
        ({"source": None}, "source"),
    ],
)
def test_relations(change: dict[str, object], reason: str) -> None:
    msgspec.convert(RELATION, Relation)
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert({**RELATION, **change}, Relation)


def test_a_company_needs_an_id_a_label_and_a_name() -> None:
    entity = msgspec.convert({"id": "a-b", "label": "A", "names": ["A Ltd"]}, Entity)
    assert entity.oui_means == "none"
    for broken in ({"id": "A B", "label": "A", "names": []}, {"id": "a", "names": []}, {"id": "a", "label": "A"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(broken, Entity)
