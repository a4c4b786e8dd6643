"""Reads rule files: YAML to typed entries, with errors that name file, entry, key and reason."""

from __future__ import annotations

import contextlib
import datetime
import gc
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from scanner.errors import RulesProblem

T = TypeVar("T")

MAX_FILE = 16 * 1024 * 1024
_PLAIN: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT = "tag:yaml.org,2002:str"
_LIST = "tag:yaml.org,2002:seq"
_MAPPING = "tag:yaml.org,2002:map"
_SCALARS = yaml.constructor.SafeConstructor()
_OPEN = object()  # marks a list or mapping that is still being built


class _Loader(_PLAIN):  # type: ignore[misc]  # chosen at run time: the C one where it is there
    """PyYAML's safe loader with a shorter way to a scalar's type: it is asked for every word of the rules."""

    def descend_resolver(self, current_node: object, current_index: object) -> None:
        """Paths decide no types here."""

    def ascend_resolver(self) -> None:
        """Paths decide no types here."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """The tag of an untagged node."""
        if kind is yaml.ScalarNode:
            if implicit[0]:
                for tag, expression in self.yaml_implicit_resolvers.get(value[:1], ()):
                    if expression.match(value):
                        return str(tag)
            return _TEXT
        return _LIST if kind is yaml.SequenceNode else _MAPPING


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands."""

    file: str
    entry: str | None = None

    def problem(self, key: str, reason: str) -> RulesProblem:
        """The error about one key here."""
        where = f": entry {self.entry!r}" if self.entry else ""
        return RulesProblem(f"{self.file}{where}: {key}: {reason}" if key else f"{self.file}{where}: {reason}")


def files(folder: Path, name: str) -> list[Path]:
    """The rule files `folder/name/*.yaml` in order of name; an empty list where the folder is not there."""
    return sorted((folder / name).glob("*.yaml"))


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Holds the search for cyclic garbage, which would take longer than the reading: rules have none."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def read_yaml(path: Path) -> Any:
    """The document of one file. Raises `RulesProblem`."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise RulesProblem(f"{path}: is larger than {MAX_FILE // 1024 // 1024} MiB")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RulesProblem(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RulesProblem(f"{path}: is not UTF-8 text (byte {error.start})") from error
    try:
        with undisturbed():
            node = yaml.compose(text, Loader=_Loader)
            return None if node is None else _build(node, {})
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise RulesProblem(f"{path}: is not YAML{where}: {getattr(error, 'problem', None) or error}") from error
    except (RecursionError, ValueError) as error:
        raise RulesProblem(f"{path}: is not usable YAML: {error}") from error


def _build(node: yaml.Node, made: dict[int, Any]) -> Any:
    """The plain data of a parsed document.

    Half the time of PyYAML's own construction, and stricter: a key that stands twice, which YAML forbids and PyYAML
    lets win silently, is an error. `made` holds finished lists and mappings, so that an alias costs nothing.
    """
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.tag == _TEXT else _SCALARS.construct_object(node)
    if id(node) in made:
        if made[id(node)] is _OPEN:
            raise yaml.constructor.ConstructorError(None, None, "an alias holds itself", node.start_mark)
        return made[id(node)]
    if node.tag not in {_LIST, _MAPPING}:
        raise yaml.constructor.ConstructorError(None, None, f"the tag {node.tag!r} is not read here", node.start_mark)
    made[id(node)] = _OPEN
    built: Any
    if isinstance(node, yaml.SequenceNode):
        built = [_build(item, made) for item in node.value]
    else:
        built = {}
        for key_node, value_node in node.value:
            key = _build(key_node, made)
            if not isinstance(key, str | int | float | bool | datetime.date | None):
                raise yaml.constructor.ConstructorError(None, None, "a key is no text", key_node.start_mark)
            if key in built:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
            built[key] = _build(value_node, made)
    made[id(node)] = built
    return built


def convert(raw: object, kind: type[T], place: Place) -> T:
    """`raw` as the typed entry `kind`. Raises `RulesProblem` naming the key."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        match = re.match(r"(.*) - at `\$\.?(.*)`$", str(error))
        raise place.problem(match[2] if match else "", match[1] if match else str(error)) from error
