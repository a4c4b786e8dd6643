"""Labels: what a device, its page or its seller calls itself, and who makes the hardware behind it (`rules/brands/`).

A label is a hint to look closer, never a maker: most sell, or sold, hardware of several.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from scanner.errors import RulesProblem
from scanner.knowledge.companies import Confidence
from scanner.knowledge.loader import Place, convert, files, read_yaml
from scanner.knowledge.names import check_id, name_key
from scanner.knowledge.periods import Period


class BrandMaker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who makes (made) hardware behind a label."""

    vendor: str
    """Id of a company of the vendor graph."""
    scope: str
    """Which products, in words."""
    since: Any = None
    until: Any = None
    """Day, month or year; None: not known, or still so."""
    confidence: Confidence
    verified: bool
    """False: from memory, not seen in a source."""
    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        self.period.check()
        if not self.sources:
            raise ValueError("`sources` is empty; say where the relation was read")

    @property
    def period(self) -> Period:
        """When the hardware was made so."""
        return Period(self.since, self.until)


class ModelPattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shape of model names and who makes those models."""

    regex: str
    maker: str | None
    """Id of a company; None: another maker than one might think, see `note`."""
    verified: bool
    source: str
    note: str | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.regex)
        except re.error as error:
            raise ValueError(f"{self.regex!r} is no regular expression: {error}") from error

    def fits(self, model: str) -> bool:
        """Whether a model name has this shape; case does not matter."""
        return re.search(self.regex, model[:200], re.IGNORECASE) is not None


class Brand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One label."""

    id: str
    names: tuple[str, ...]
    owner: str | None = None
    """Id of the company whose label it is; None: a seller without an entry of its own."""
    oui_orgs: tuple[str, ...] = ()
    """Registrants of the IEEE registry that show the label, matched whole."""
    makers: tuple[BrandMaker, ...] = ()
    model_patterns: tuple[ModelPattern, ...] = ()
    software: bool = False
    """A program on a general computer: no claim about hardware."""
    note: str | None = None

    def __post_init__(self) -> None:
        check_id(self.id)

    def makers_on(self, day: datetime.date) -> tuple[BrandMaker, ...]:
        """Who made hardware for the label on that day, as far as the dates are known."""
        return tuple(maker for maker in self.makers if maker.period.holds(day))

    def hint(self, model: str | None = None) -> str | None:
        """A sentence that says why to look closer at a device of this label, or None where there is no reason."""
        shape = next((p for p in self.model_patterns if model and p.fits(model)), None)
        if shape is not None and shape.maker is not None:
            return f"{self.names[0]} {model}: {shape.maker} makes models of this shape; a name alone is no proof"
        if not self.makers:
            return None
        known = "; ".join(f"{m.vendor} ({m.scope}; confidence {m.confidence})" for m in self.makers)
        return f"{self.names[0]} is a label on hardware of others: {known}; look closer"


class Brands:
    """Every label, by id, name or registry organisation."""

    def __init__(self, brands: Iterable[Brand]) -> None:
        self._by_id: dict[str, Brand] = {}
        self._names: dict[str, Brand] = {}
        self._orgs: dict[str, Brand] = {}
        for brand in brands:
            self._by_id[brand.id] = brand
            for name in (brand.id, *brand.names):
                self._claim(self._names, name, brand, "names")
            for organisation in brand.oui_orgs:
                self._claim(self._orgs, organisation, brand, "oui_orgs")

    @staticmethod
    def _claim(index: dict[str, Brand], name: str, brand: Brand, key: str) -> None:
        other = index.setdefault(name_key(name), brand)
        if other is not brand:
            place = Place("rules/brands", brand.id)
            raise place.problem(key, f"{name!r} belongs to the brand {other.id} already; keep it in one place")

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Brand]:
        return iter(self._by_id.values())

    def get(self, brand_id: str) -> Brand | None:
        """The label of that id, or None."""
        return self._by_id.get(brand_id)

    def resolve(self, name: str) -> Brand | None:
        """The label of that id or name (case, blanks and punctuation aside), or None."""
        return self._names.get(name_key(name))

    def id_of(self, text: str) -> str | None:
        """The id of the label a device calls itself by, or None where no known label is named so."""
        brand = self.resolve(text)
        return brand.id if brand is not None else None

    def by_oui_org(self, organisation: str) -> Brand | None:
        """The label that a registrant of the IEEE registry sells under, or None."""
        return self._orgs.get(name_key(organisation))

    def made_by(self, vendor: str) -> tuple[Brand, ...]:
        """The labels behind which that company's hardware is (or was) sold."""
        return tuple(brand for brand in self if any(maker.vendor == vendor for maker in brand.makers))


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    brands: list[Any]
    sources: dict[str, str] = {}


def load(folders: Sequence[Path]) -> Brands:
    """All labels of `brands/*.yaml` below the rule roots; a later root replaces labels of the same id.

    A file may name its `sources` once, by short words that its entries use. Raises `RulesProblem`.
    """
    found: dict[str, Brand] = {}
    for folder in folders:
        here: dict[str, Path] = {}
        for path in files(folder, "brands"):
            file = convert(read_yaml(path), _File, Place(str(path)))
            for raw in file.brands:
                name = str(raw.get("id")) if isinstance(raw, dict) else None
                brand = _with_sources(convert(raw, Brand, Place(str(path), name)), file.sources)
                if brand.id in here:
                    raise RulesProblem(f"{path}: entry {brand.id!r}: id: is in {here[brand.id]} already")
                here[brand.id] = path
                found[brand.id] = brand
    return Brands(found.values())


def _with_sources(brand: Brand, sources: Mapping[str, str]) -> Brand:
    """The label with its short source words written out."""
    makers = tuple(
        msgspec.structs.replace(m, sources=tuple(_written_out(s, sources) for s in m.sources)) for m in brand.makers
    )
    patterns = tuple(
        msgspec.structs.replace(p, source=_written_out(p.source, sources)) for p in brand.model_patterns
    )
    return msgspec.structs.replace(brand, makers=makers, model_patterns=patterns)


def _written_out(text: str, sources: Mapping[str, str]) -> str:
    word, _, rest = text.partition(" ")
    known = sources.get(word)
    return text if known is None else f"{known} {rest}".strip()
