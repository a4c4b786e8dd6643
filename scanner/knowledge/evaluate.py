"""Scores what lanveto knows against recordings that carry a truth (`lanveto rules eval`).

Counted are cases with a certain truth that an expert could tell, and with more to go on than open ports or another
tool's opinion. Every miss and every accusation is listed with its evidence.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tabulate import tabulate

from scanner import channels
from scanner.model import SURE, Identity, Recording
from scanner.recordings import only
from scanner.values import one_line, to_text

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge
    from scanner.knowledge.fingerprints import Fingerprint

NOBODY = frozenset({"unknown", "software"})
"""Truths for which the right answer is nobody."""
THIN = frozenset({"tcp.open", "nmap.service"})
DEFAULT_HEARD = (
    "mac", "tcp.open", "http.*", "tls.*", "rtsp.*", "onvif.*", "soap.*", "wsdiscovery.*", "sadp.*", "dhip.*",
    "discovery.*", "xm.*", "tplink.*", "upnp.*", "mdns.*", "nbns.*", "netbios.*", "sip.response", "sip.header.*",
    "snmp.engineid", "snmp.enterprise", "tcp.banner", "ssh.banner", "telnet.banner", "ftp.banner",
)  # fmt: skip
"""Channels that a default scan can hear: whatever the protocols ask for (a test holds it against them)."""
BINS = 10
DRAWS = 400
"""Repetitions behind an interval."""


@dataclass(frozen=True, slots=True)
class Case:
    """One scored recording."""

    recording: Recording
    identity: Identity
    counted: bool

    @property
    def truth(self) -> str | None:
        """The true maker, None for nobody."""
        assert self.recording.truth is not None
        name = self.recording.truth.manufacturer
        return None if name in NOBODY else name

    @property
    def sure(self) -> bool:
        """Whether the answer names a maker."""
        return self.identity.level in SURE

    @property
    def right(self) -> bool:
        """Whether it names the right one."""
        return self.sure and self.identity.manufacturer == self.truth

    @property
    def accused(self) -> bool:
        """Whether it names a maker that the truth does not."""
        return self.sure and self.identity.manufacturer != self.truth

    def line(self) -> str:
        """The case in one line, with what it was judged by."""
        found = ", ".join(m.fingerprint for m in self.identity.matches[:4]) or "nothing fits"
        heard = "; ".join(f"{o.channel}={one_line(o.value, 60)}" for o in self.recording.observations[:3])
        return (
            f"{self.recording.id}: is {self.truth or 'nobody'}, said {self.identity.manufacturer or 'unknown'} "
            f"({self.identity.level}, {self.identity.confidence:.2f}) by {found} | {heard}"
        )


@dataclass(frozen=True)
class Evaluation:
    """The scores of one run."""

    cases: tuple[Case, ...]
    title: str
    dropped: int = 0
    """Recordings without a truth or without anything left to hear."""
    restricted: frozenset[str] = field(default_factory=frozenset)
    """Makers that some policy names."""

    @property
    def counted(self) -> tuple[Case, ...]:
        """The cases that count."""
        return tuple(c for c in self.cases if c.counted)

    def recall(self, cases: Iterable[Case] | None = None) -> tuple[int, int]:
        """(rightly named, all) of the cases that have a maker."""
        with_maker = [c for c in (self.counted if cases is None else cases) if c.truth is not None]
        return sum(c.right for c in with_maker), len(with_maker)

    def by_maker(self) -> dict[str, tuple[int, int]]:
        """Recall per maker, most cases first."""
        groups: dict[str, list[Case]] = defaultdict(list)
        for case in self.counted:
            if case.truth is not None:
                groups[case.truth].append(case)
        return {m: self.recall(c) for m, c in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))}

    def by_family(self) -> dict[str, tuple[int, int]]:
        """Recall of the cases in which an evidence family is heard."""
        groups: dict[str, list[Case]] = defaultdict(list)
        for case in self.counted:
            names = {channels.family(o.channel) for o in case.recording.observations}
            for name in names | ({"oui"} if case.recording.mac else set()):
                groups[name].append(case)
        return {name: self.recall(cases) for name, cases in sorted(groups.items())}

    def white_labels(self) -> tuple[int, int]:
        """Recall of the cases whose label is not their maker's."""
        return self.recall(
            c
            for c in self.counted
            if c.recording.truth is not None and c.recording.truth.brand not in {None, "unknown", c.truth}
        )

    def accusations(self) -> tuple[Case, ...]:
        """Every case, counted or not, whose answer names a maker that the truth does not."""
        return tuple(c for c in self.cases if c.accused)

    def misses(self) -> tuple[Case, ...]:
        """Every counted case with a maker that is not named."""
        return tuple(c for c in self.counted if c.truth is not None and not c.right)

    def honest_unknowns(self) -> tuple[int, int]:
        """(answered unknown or possible, all) of the counted cases where nobody is right."""
        nobody = [c for c in self.counted if c.truth is None]
        return sum(not c.sure for c in nobody), len(nobody)

    def told(self, name: str) -> tuple[int, int]:
        """(right, all) for brand or model, of the rightly named cases in which the device tells it in so many words."""
        pairs = [
            (getattr(c.recording.truth, name), getattr(c.identity, name))
            for c in self.counted
            if c.right and _tells(c.recording, getattr(c.recording.truth, name))
        ]
        return sum(same(a, b) for a, b in pairs), len(pairs)

    def suspicions(self) -> tuple[Case, ...]:
        """Every case of a maker that no policy names, or of nobody, whose answer says at least `possible` for one that
        a policy does name: it would get an action that it must not get.
        """
        return tuple(
            c for c in self.cases if c.identity.manufacturer in self.restricted and c.truth not in self.restricted
        )

    def answers(self) -> tuple[Case, ...]:
        """The counted cases in which some maker is named, `possible` included: what calibration is measured on."""
        return tuple(c for c in self.counted if c.identity.manufacturer is not None)

    def calibration_error(self) -> float:
        """Expected calibration error: mean distance between stated confidence and share of right answers, in ten bins
        of equal width; 0 without answers.
        """
        return _calibration_error(self.answers())

    def calibration_interval(self) -> tuple[float, float]:
        """The 95 % interval of the error: sources are drawn with replacement, for cases of one source err together."""
        by_source: dict[str, list[Case]] = defaultdict(list)
        for case in self.answers():
            by_source[_source(case.recording) or case.recording.id].append(case)
        sources = sorted(by_source)
        chance = random.Random(0)  # noqa: S311 - repeatable, guards nothing
        errors = sorted(
            _calibration_error([c for s in chance.choices(sources, k=len(sources)) for c in by_source[s]])
            for _ in range(DRAWS if sources else 1)
        )
        return errors[round(0.025 * (len(errors) - 1))], errors[round(0.975 * (len(errors) - 1))]

    def render(self) -> str:
        """The scores as text."""
        right, all_ = self.recall()
        lines = [
            self.title,
            f"cases {len(self.cases)}, counted {len(self.counted)}, left out {self.dropped}",
            f"maker recall        {_share(right, all_)}",
            f"white-label recall  {_share(*self.white_labels())}",
            f"false accusations   {len(self.accusations())}, innocents under suspicion {len(self.suspicions())}",
            f"honest unknowns     {_share(*self.honest_unknowns())}",
            f"brand right         {_share(*self.told('brand'))}",
            f"model right         {_share(*self.told('model'))}",
            self._calibration(),
            "",
            tabulate(
                [(m, *counts, f"{counts[0] / counts[1]:.2f}") for m, counts in self.by_maker().items()],
                headers=("maker", "right", "cases", "recall"),
            ),
            "",
            tabulate(
                [(f, *c, f"{c[0] / c[1]:.2f}") for f, c in self.by_family().items() if c[1]],
                headers=("heard", "right", "cases", "recall"),
            ),
        ]
        listed = (("Accused", self.accusations()), ("Suspected", self.suspicions()), ("Missed", self.misses()))
        for label, cases in listed:
            if cases:
                lines += ["", f"{label}:", *(f"- {case.line()}" for case in cases)]
        return "\n".join(lines)

    def _calibration(self) -> str:
        answers = self.answers()
        low, high = self.calibration_interval()
        listed = sum(c.truth in self.restricted for c in answers)
        return (
            f"calibration error   {self.calibration_error():.3f} (95 % interval {low:.3f} to {high:.3f}; "
            f"{len(answers)} answers in {BINS} bins, {listed} of them about makers that a policy names)"
        )


def _calibration_error(cases: Sequence[Case]) -> float:
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for case in cases:
        place = min(BINS - 1, int(case.identity.confidence * BINS))
        bins[place].append((case.identity.confidence, case.identity.manufacturer == case.truth))
    if not cases:
        return 0.0
    return sum(abs(sum(p for p, _ in b) - sum(ok for _, ok in b)) for b in bins.values()) / len(cases)


def _share(right: int, all_: int) -> str:
    return f"{right}/{all_}" + (f" = {right / all_:.3f}" if all_ else "")


def same(truth: str | None, answer: str | None) -> bool:
    """Whether two texts agree, case, blanks and bracketed remarks aside."""
    return _folded(truth) == _folded(answer)


def _folded(text: str | None) -> str:
    return re.sub(r"\([^)]*\)|\s", "", text or "").casefold()


def _tells(recording: Recording, text: str | None) -> bool:
    wanted = re.sub(r"[^a-z0-9]", "", _folded(text))
    if not wanted or wanted == "unknown":
        return False
    said = re.sub(r"[^a-z0-9]", "", " ".join(to_text(o.value) for o in recording.observations).casefold())
    return wanted in said


def counts(recording: Recording) -> bool:
    """Whether a case counts: certain, tellable, and more than open ports to go on."""
    truth = recording.truth
    if truth is None or not truth.certain or not truth.expert:
        return False
    return recording.mac is not None or bool({o.channel for o in recording.observations} - THIN)


def evaluate(
    recordings: Sequence[Recording],
    knowledge: Knowledge,
    *,
    leave_out: str | None = None,
    heard_by: str | None = None,
) -> Evaluation:
    """Score recordings.

    `heard_by="default"` keeps only what a default scan can hear. `leave_out="source"` (or `"brand"`) scores each case
    without the fingerprints that were learned from its own source (or that name its own brand) alone.
    """
    pool = [r for r in recordings if r.truth is not None]
    title = "All evidence"
    if heard_by == "default":
        pool = [r for r in only(pool, DEFAULT_HEARD) if r.mac or r.observations]
        title = "What a default scan can hear"
    if leave_out is not None:
        title += f", without what was learned from the case's own {leave_out}"
    cases = tuple(_case(recording, _without(knowledge, recording, leave_out)) for recording in pool)
    return Evaluation(cases=cases, title=title, dropped=len(recordings) - len(pool), restricted=restricted(knowledge))


def restricted(knowledge: Knowledge) -> frozenset[str]:
    """The makers that any measure names, by group."""
    listed = (entry for policy in knowledge.policies.values() for entry in policy.entities)
    return frozenset(knowledge.group_id(name) for entry in listed if (name := entry.entity or entry.vendor))


def _case(recording: Recording, knowledge: Knowledge) -> Case:
    from scanner.identify import identify

    return Case(recording, identify(recording, knowledge), counts(recording))


def _without(knowledge: Knowledge, recording: Recording, leave_out: str | None) -> Knowledge:
    if leave_out is None:
        return knowledge
    if leave_out == "source":
        own = _source(recording)
        kept = [f for f in knowledge.fingerprints if not own or {source_key(s) for s in f.source} != {own}]
    else:
        brand = recording.truth.brand if recording.truth else None
        kept = [f for f in knowledge.fingerprints if brand is None or f.says.brand != brand]
    if len(kept) == len(knowledge.fingerprints):
        return knowledge
    return reduced(knowledge, kept)


_REDUCED: dict[tuple[int, frozenset[str]], Knowledge] = {}


def reduced(knowledge: Knowledge, kept: Sequence[Fingerprint]) -> Knowledge:
    """The same knowledge with only these fingerprints."""
    key = (id(knowledge), frozenset(f.id for f in knowledge.fingerprints) - {f.id for f in kept})
    if key not in _REDUCED:
        from scanner.knowledge import Knowledge

        less = Knowledge(knowledge.folders, knowledge.registry_folder)
        less.__dict__.update(
            fingerprints=tuple(kept), vendors=knowledge.vendors, brands=knowledge.brands, registry=knowledge.registry
        )
        _REDUCED[key] = less
    return _REDUCED[key]


def _source(recording: Recording) -> str:
    return source_key(recording.source.url) if recording.source and recording.source.url else ""


def source_key(url: str) -> str:
    """What counts as one source: a repository, else a site."""
    parts = urlsplit(url.strip() if "//" in url else f"//{url.strip()}")
    host = (parts.hostname or "").removeprefix("www.")
    steps = [step for step in parts.path.split("/") if step]
    return "/".join([host, *steps[:2]]) if host == "github.com" else host
