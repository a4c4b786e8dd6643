from __future__ import annotations

import datetime
import time
from typing import Any

import pytest
import yaml

from scanner.documents import MAX_DEPTH, MAX_REPEATED, Builder, YamlError, compose


def _read(text: str, *, dates: bool = True) -> Any:
    node = compose(text)
    return None if node is None else Builder(dates=dates).build(node)


def test_data_is_what_any_yaml_reader_gives() -> None:
    text = "a: &x [1, 1.5, true, null, 2026-01-02, '2', text, 0x1f, .inf]\nb: *x\nc: {}\nd:\n"
    assert _read(text) == yaml.safe_load(text)
    assert _read("") is None


def test_a_date_may_stay_text() -> None:
    assert _read("[2026-01-02, 2026-13-45]", dates=False) == ["2026-01-02", "2026-13-45"]
    assert _read("[2026-01-02]") == [datetime.date(2026, 1, 2)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3\n", r"line 3, column 1.*'a' stands twice"),
        ("a: &x {b: *x}\n", "holds itself"),
        ("[a]: 1\n", "key is no text"),
        ("a:\n\tb: 1\n", "line 2.*(tab|token)"),
        ("a: !!python/object:os.system {}\n", "tag .*os.system"),
        ("a: !!python/name:os.system x\n", "could not determine a constructor"),
        ("a: 2026-13-45\n", "line 1, column 4.*2026-13-45.*month"),
        ("<<: {a: 1}\n", "merge keys"),
        ("a: \x00\n", "is not YAML: .*control characters"),
        ("a: 1\n---\nb: 1\n", "single document"),
    ],
)
def test_what_is_wrong_and_where(text: str, reason: str) -> None:
    with pytest.raises(YamlError, match=reason) as caught:
        _read(text)
    assert "\n" not in str(caught.value)


def test_depth_is_bounded_before_it_costs_the_stack() -> None:
    assert _read("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
    for opening in ("[", "{a: ", "- ", "? "):
        with pytest.raises(YamlError, match="nested more than"):
            _read(opening * 100_000)


def test_aliases_cannot_stand_for_more_than_a_machine_holds() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    began = time.thread_time()
    with pytest.raises(YamlError, match=f"more than {MAX_REPEATED}"):
        _read(bomb)
    assert time.thread_time() - began < 5
    assert _read("a: &x [1, 2]\nb: [*x, *x]\n")["b"] == [[1, 2], [1, 2]]


def test_what_stands_beside_a_broken_part_can_still_be_built() -> None:
    node = compose("- &x {a: 1}\n- {b: 1, b: 2, c: *x}\n- {d: *x}\n")
    assert isinstance(node, yaml.SequenceNode)
    builder = Builder()
    assert builder.build(node.value[0]) == {"a": 1}
    with pytest.raises(YamlError, match="'b' stands twice"):
        builder.build(node.value[1])
    assert builder.build(node.value[2]) == {"d": {"a": 1}}
