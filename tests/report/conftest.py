"""Reports in which somebody else has written every text: a device, a file, a rule set, a waiver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from msgspec import inspect

from scanner.model import Report

NASTY = (
    "<script>document.title='owned'</script>", "</script><!--", "</title></style></textarea>", "]]>", "<![CDATA[",
    "\"><img src=x onerror=alert(1)>", "javascript:alert(1)", "https://evil.example/\"onclick=x", "{{7*7}}{% raw %}",
    "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\uff1d1", "'=1", "%0A=1", "<r><f>1+1</f></r>", "_x003D_1",
    "| a | b |", "|---|", "[l](javascript:x)", "![i](http://evil.example)", "`c`", "# h", "\\", "\\|", "\n\n- x", "&amp;",
    "\x1b[2J\x1b]0;owned\x07", "\x9b31m", "\x00", "\x08", "\x7f", "\r", "\r\n", "\v", "\x85", "\u2028", "\u202e", "\u2066",
    "\u200b", "\ufeff", "\ufffe", "\uffff", "\ud800", "\udfff", "\udcff", "\ue000", "\U0001f1e6", "\U000e0041", "\u0301" * 40,
    "hex:1b5b324a", "hex:ff", "hex:zz", '"', "'", ",", ";", "\t", " ", "x" * 10_000, "A\u0300", "192.0.2.1", "fe80::1%eth0",
    "3c:ef:8c:00:00:01", "none", "null", "2026-11-28", "2026-11-28T00:00:00Z", "9999999999-99-99",
)  # fmt: skip
"""What a device would say to get out of the place where it is shown."""

texts = st.one_of(
    st.sampled_from(NASTY),
    st.lists(st.sampled_from(NASTY), min_size=1, max_size=3).map("".join),
    st.text(st.characters(codec=None), max_size=12),
)


def _whole(kind: inspect.Type, text: str, turn: int) -> Any:
    """A value of a type of the model in which every text is `text`; `turn` decides what else could be so or so."""
    match kind:
        case inspect.StructType():
            return kind.cls(**{f.name: _whole(f.type, text, turn) for f in kind.fields})
        case inspect.UnionType():
            some = [k for k in kind.types if not isinstance(k, inspect.NoneType)]
            return None if turn % 5 == 4 else _whole(some[turn % len(some)], text, turn)
        case inspect.VarTupleType():
            return tuple(_whole(kind.item_type, text, turn + n) for n in range((1, 2, 0)[turn % 7 // 3]))
        case inspect.TupleType():
            return tuple(_whole(item, text, turn) for item in kind.item_types)
        case inspect.EnumType():
            return list(kind.cls)[-1 - turn % len(kind.cls)]
        case inspect.LiteralType():
            return kind.values[turn % len(kind.values)]
        case inspect.BoolType():
            return turn % 2 == 1
        case inspect.StrType():
            return text
    return 1


@pytest.fixture(scope="session")
def whole_report() -> Callable[..., Report]:
    """A report with one text in every field there is: found by the types of the model, so that none is forgotten."""

    def make(text: str, turn: int = 0) -> Report:
        found: Report = _whole(inspect.type_info(Report), text, turn)
        return found

    return make


@pytest.fixture(scope="session")
def hostile_texts() -> st.SearchStrategy[str]:
    """What a device would say to get out of the place where it is shown."""
    return texts
