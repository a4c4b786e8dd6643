"""YAML to plain data, strict and bounded: what recordings and rules are both read with.

PyYAML's own construction lets a key that stands twice win silently, follows merge keys that double with every line,
and its C composer recurses on the machine's stack, so that a file of brackets ends the process.
"""

from __future__ import annotations

import datetime
from typing import Any

import yaml

MAX_DEPTH = 100
"""Lists and mappings within each other; neither rules nor recordings have ten."""
MAX_REPEATED = 1_000_000
"""Values that aliases may repeat in one document: a few lines of them can stand for more than a machine holds."""

_PLAIN: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT = "tag:yaml.org,2002:str"
_LIST = "tag:yaml.org,2002:seq"
_MAPPING = "tag:yaml.org,2002:map"
_DATE = "tag:yaml.org,2002:timestamp"
_MERGE = "tag:yaml.org,2002:merge"
_VALUE = "tag:yaml.org,2002:value"  # a plain `=`, which PyYAML resolves and cannot construct
_SCALARS = yaml.constructor.SafeConstructor()
_TOO_DEEP = f"is nested more than {MAX_DEPTH} deep"
_BUILDING = -1  # marks a list or mapping that is still being built


class YamlError(ValueError):
    """A text, or a part of it, that is no usable YAML; says what is wrong and where."""


class _Loader(_PLAIN):  # type: ignore[misc]  # chosen at run time: the C one where it is there
    """PyYAML's safe loader with bounded depth and a shorter way to a scalar's type: it is asked for every word."""

    depth = 0

    def descend_resolver(self, current_node: object, current_index: object) -> None:
        """Called before each node of a list or mapping: paths decide no types here, but depth is counted."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise YamlError(_TOO_DEEP)

    def ascend_resolver(self) -> None:
        """Called after each node."""
        self.depth -= 1

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """The tag of an untagged node."""
        if kind is yaml.ScalarNode:
            if implicit[0]:
                for tag, expression in self.yaml_implicit_resolvers.get(value[:1], ()):
                    if expression.match(value):
                        return str(tag)
            return _TEXT
        return _LIST if kind is yaml.SequenceNode else _MAPPING


def compose(text: str) -> yaml.Node | None:
    """The nodes of one document, None where it is empty. Raises `YamlError`."""
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise YamlError(_sentence(error)) from error
    return node


class Builder:
    """Nodes to plain data: half the time of PyYAML's own construction, and stricter."""

    def __init__(self, *, dates: bool = True) -> None:
        """`dates` False: what looks like a date stays the text it is."""
        self._texts = frozenset({_TEXT, _VALUE} if dates else {_TEXT, _VALUE, _DATE})
        self._made: dict[int, tuple[Any, int]] = {}
        """Lists and mappings by node, with the number of values in them, so that an alias costs nothing."""
        self._values = 0
        self._repeated = 0

    def build(self, node: yaml.Node) -> Any:
        """The data of a node. Raises `YamlError`; what stands beside it can still be built."""
        try:
            return self._build(node)
        except yaml.YAMLError as error:
            self._made = {key: made for key, made in self._made.items() if made[1] != _BUILDING}
            raise YamlError(_sentence(error)) from error

    def _build(self, node: yaml.Node) -> Any:
        self._values += 1
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.tag in self._texts else _scalar(node)
        known = self._made.get(id(node))
        if known is not None:
            return self._again(node, *known)
        if node.tag not in {_LIST, _MAPPING}:
            raise _wrong(f"the tag {node.tag!r} is not read here", node)
        before = self._values
        self._made[id(node)] = (None, _BUILDING)
        built: Any
        if isinstance(node, yaml.SequenceNode):
            built = [self._build(item) for item in node.value]
        else:
            built = {}
            for key_node, value_node in node.value:
                key = self._build(key_node)
                if not isinstance(key, str | int | float | bool | datetime.date | None):
                    raise _wrong("a key is no text", key_node)
                if key in built:
                    raise _wrong(f"{key!r} stands twice", key_node)
                built[key] = self._build(value_node)
        self._made[id(node)] = (built, self._values - before)
        return built

    def _again(self, node: yaml.Node, built: Any, size: int) -> Any:
        if size == _BUILDING:
            raise _wrong("an alias holds itself", node)
        self._values += size
        self._repeated += size
        if self._repeated > MAX_REPEATED:
            raise _wrong(f"aliases repeat more than {MAX_REPEATED} values", node)
        return built


def _scalar(node: yaml.ScalarNode) -> Any:
    if node.tag == _MERGE:
        raise _wrong("merge keys (<<) are not read here: write the keys out", node)
    try:
        return _SCALARS.construct_object(node)
    except (ValueError, OverflowError) as error:  # what looks like a date or a number and is none
        raise _wrong(f"{node.value[:40]!r}: {error}", node) from error


def _wrong(reason: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, reason, node.start_mark)


def _sentence(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # characters that no YAML holds: the message has lines of its own
        return "is not YAML: " + " ".join(str(error).split())
    problem = str(getattr(error, "problem", None) or error)
    if "nesting depth" in problem:  # newer libyaml counts too, and may read ahead of our own count
        return _TOO_DEEP
    before = f"{getattr(error, 'context', None)}, " if problem.startswith("but ") else ""
    return f"is not YAML ({_place(mark)}): {before}{problem}"


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"
