"""Validates everything in `rules/` beyond what loading it already does (`lanveto rules check`).

Every fingerprint is tried on its own examples and counter-examples and on everybody else's; every id is one of the
closed lists; every regular expression is tried on texts that make careless ones run away.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from scanner import channels
from scanner.identify.matcher import matches
from scanner.knowledge import expressions, references
from scanner.knowledge.fingerprints import FILLED, Fingerprint
from scanner.knowledge.loader import Place, convert, read_yaml
from scanner.model import Grade, Match, Observation, Reading, Recording
from scanner.protocols import read_all

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge

KINDS = frozenset({
    "camera", "nvr", "dvr", "intercom", "doorbell", "access-control", "router", "switch", "ap", "server", "printer",
    "phone", "radio", "drone", "recorder", "alarm", "other",
})  # fmt: skip
"""What a device can be."""
SURE = frozenset({Grade.EXCLUSIVE, Grade.STRONG})
NOBODY = frozenset({"unknown", "software"})
SAID = (*FILLED, "mac")
"""Named groups that mean something by themselves."""

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Ids(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """rules/ids.yaml: the closed lists of maker and brand ids."""

    makers: list[str]
    brands: list[str]
    synonyms: dict[str, str] = {}


def ids(knowledge: Knowledge) -> Ids:
    """The closed lists; an overlay's `ids.yaml` adds to ours. Raises `RulesProblem`."""
    makers: list[str] = []
    brands: list[str] = []
    for folder in knowledge.folders:
        path = folder / "ids.yaml"
        if path.is_file():
            listed = convert(read_yaml(path), Ids, Place(str(path)))
            makers += listed.makers
            brands += listed.brands
    return Ids(makers=makers, brands=brands)


def check(knowledge: Knowledge) -> list[Finding]:
    """Everything that is wrong; empty where all is well. Loading errors are raised as `RulesProblem`."""
    found = list(_vocabulary(knowledge))
    found += _examples(knowledge)
    found += _expressions(knowledge.fingerprints)
    found += _references(knowledge)
    return found


def _vocabulary(knowledge: Knowledge) -> Iterator[Finding]:
    listed = ids(knowledge)
    makers, brands = set(listed.makers), set(listed.brands) | set(listed.makers)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    for fingerprint in knowledge.fingerprints:
        place = f"{fingerprint.file}: entry {fingerprint.id!r}"
        if fingerprint.manufacturer is not None and fingerprint.manufacturer not in makers - NOBODY:
            yield Finding(place, f"says.manufacturer: {fingerprint.manufacturer!r} is not in rules/ids.yaml")
        for other in fingerprint.shared_with:
            if other not in makers:
                yield Finding(place, f"shared_with: {other!r} is not in rules/ids.yaml")
        brand = fingerprint.says.brand
        if brand is not None and "{" not in brand and brand not in brands:
            yield Finding(place, f"says.brand: {brand!r} is not in rules/ids.yaml")
        kind = fingerprint.says.kind
        if kind is not None and "{" not in kind and kind not in KINDS:
            yield Finding(place, f"says.kind: {kind!r} is none of {', '.join(sorted(KINDS))}")
        if fingerprint.seen > today:
            yield Finding(place, f"seen: {fingerprint.seen} lies ahead")
        if not fingerprint.examples:
            yield Finding(place, "examples: has none")


def _examples(knowledge: Knowledge) -> Iterator[Finding]:
    for fingerprint in knowledge.fingerprints:
        place = f"{fingerprint.file}: entry {fingerprint.id!r}"
        for number, example in enumerate(fingerprint.examples, 1):
            hits, problem = _tried(fingerprint, example, knowledge)
            if problem:
                yield Finding(place, f"examples[{number}]: {problem}")
                continue
            own = [m for m in hits if m.fingerprint == fingerprint.id]
            if not own:
                yield Finding(place, f"examples[{number}]: does not match its own fingerprint")
            allowed = {fingerprint.manufacturer, *fingerprint.shared_with, None}
            if fingerprint.manufacturer is None:
                continue
            for hit in hits:
                foreign = hit.family != "oui" and hit.grade in SURE and hit.manufacturer not in allowed
                if foreign and fingerprint.manufacturer not in hit.shared_with:
                    reason = f"examples[{number}]: also matches {hit.fingerprint!r} of {hit.manufacturer}"
                    yield Finding(place, reason)
        for number, example in enumerate(fingerprint.counter_examples, 1):
            hits, problem = _tried(fingerprint, example, knowledge)
            if problem:
                yield Finding(place, f"counter_examples[{number}]: {problem}")
            elif any(m.fingerprint == fingerprint.id for m in hits):
                yield Finding(place, f"counter_examples[{number}]: matches all the same")


def _tried(fingerprint: Fingerprint, example: Any, knowledge: Knowledge) -> tuple[list[Match], str | None]:
    try:
        readings = example_readings(fingerprint, example)
    except ValueError as error:
        return [], str(error)
    return matches(readings, knowledge), None


def example_readings(fingerprint: Fingerprint, example: Any) -> tuple[Reading, ...]:
    """The readings of one example: a text for the fingerprint's channel, or a mapping of channels to texts.

    Raises `ValueError` for anything else.
    """
    if isinstance(example, dict):
        pairs = [
            (str(channel), str(value))
            for channel, values in example.items()
            for value in (values if isinstance(values, list) else [values])
        ]
    else:
        first = sorted(c for c in fingerprint.channels if not c.endswith(".*"))
        if not first:
            raise ValueError("a fingerprint of an open family needs examples that name their channel")
        pairs = [(channel, str(example)) for channel in first]
    for channel, _ in pairs:
        if channels.find(channel.lower()) is None:
            raise ValueError(f"{channel!r} is not in the vocabulary")
    mac = next((value for channel, value in pairs if channel == "mac"), None)
    observations = tuple(Observation(channel=c, value=v) for c, v in pairs if c != "mac")
    return read_all(Recording(id="example", mac=mac, observations=observations))


def _expressions(fingerprints: Sequence[Fingerprint]) -> Iterator[Finding]:
    for fingerprint in fingerprints:
        place = f"{fingerprint.file}: entry {fingerprint.id!r}"
        samples = [example for example in fingerprint.examples if isinstance(example, str)]
        groups: set[str] = set()
        for pattern in fingerprint.patterns:
            try:
                groups |= set(re.compile(pattern).groupindex)
            except re.error as error:
                yield Finding(place, f"regex: {pattern!r} does not compile: {error}")
                continue
            reason = expressions.problem(pattern, samples)
            if reason is not None:
                yield Finding(place, f"regex: {pattern!r} {reason}")
        slots = {slot for name in FILLED for slot in _SLOT.findall(getattr(fingerprint.says, name) or "")}
        for slot in sorted(slots - groups):
            yield Finding(place, f"says: {{{slot}}} is no named group of its expressions")
        for group in sorted(groups - slots - set(SAID)):
            yield Finding(place, f"regex: the group {group!r} fills nothing; name it one of {', '.join(SAID)}")


def _references(knowledge: Knowledge) -> Iterator[Finding]:
    for place, reason in references.problems(knowledge):
        yield Finding(place, reason)
    listed = ids(knowledge)
    missing = sorted(set(listed.makers) - NOBODY - set(knowledge.vendors.groups))
    for maker in missing:
        yield Finding("rules/ids.yaml", f"makers: {maker!r} has no file in rules/vendors/")
