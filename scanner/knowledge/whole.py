"""Everything lanveto knows in one object, each part loaded when first used."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from scanner.resources import REGISTRY, REGISTRY_OVERRIDES

if TYPE_CHECKING:
    from scanner.identify.matcher import Matcher
    from scanner.knowledge.brands import Brands
    from scanner.knowledge.fingerprints import Fingerprint
    from scanner.knowledge.policies import Policies
    from scanner.knowledge.profiles import Profiles
    from scanner.knowledge.registry import Registration, Registry
    from scanner.knowledge.vendors import VendorGraph
    from scanner.model import Identity, RulesVersion


class Knowledge:
    """Vendors, brands, fingerprints, policies, profiles and the registry. Each part raises `RulesProblem` if broken."""

    def __init__(self, folders: Sequence[Path], registry: Path, overrides: Sequence[Path] | None = None) -> None:
        """`folders`: rule roots, ours first; `registry`: the folder of the packed registry; `overrides`: files of
        prefixes whose owner is not the maker (default: the one in the registry's folder).
        """
        self.folders = tuple(folders)
        self.registry_folder = registry
        self.overrides = (registry / REGISTRY_OVERRIDES,) if overrides is None else tuple(overrides)

    def read(self) -> None:
        """Load all rules now: what is wrong in somebody's own is said before anything is sent.

        Raises `RulesProblem`.
        """
        _ = self.vendors, self.brands, self.fingerprints, self.policies, self.profiles

    @cached_property
    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """All fingerprints."""
        from scanner.knowledge import fingerprints

        return fingerprints.load(self.folders)

    @cached_property
    def matcher(self) -> Matcher:
        """The fingerprints, indexed by channel."""
        from scanner.identify.matcher import Matcher
        from scanner.knowledge.loader import undisturbed

        fingerprints = self.fingerprints
        with undisturbed():
            return Matcher(fingerprints)

    @cached_property
    def software(self) -> frozenset[str]:
        """Ids of the fingerprints that recognise software on a general computer."""
        return frozenset(f.id for f in self.fingerprints if f.software)

    @cached_property
    def vendors(self) -> VendorGraph:
        """All companies and their relations."""
        from scanner.knowledge import vendors

        return vendors.load(self.folders)

    @cached_property
    def brands(self) -> Brands:
        """All labels and who makes what is behind them."""
        from scanner.knowledge import brands

        return brands.load(self.folders)

    @cached_property
    def suppliers(self) -> dict[str, frozenset[str]]:
        """Company (group, or label without a company) → makers of other groups behind the labels it sells."""
        found: dict[str, set[str]] = {}
        for brand in self.brands:
            seller = self.group_id(brand.owner or brand.id)
            makers = {self.group_id(maker.vendor) for maker in brand.makers} - {seller}
            if makers:
                found.setdefault(seller, set()).update(makers)
        return {seller: frozenset(makers) for seller, makers in found.items()}

    @cached_property
    def builders_for_others(self) -> frozenset[str]:
        """Makers whose hardware is sold under other companies' labels: their own name may not be assumed on a box."""
        return frozenset().union(*self.suppliers.values())

    @cached_property
    def by_owner(self) -> dict[Registration | str, Identity]:
        """Identities of devices of which only the MAC is known, by the registration (or why there is none)."""
        return {}

    @cached_property
    def by_block(self) -> dict[str, Identity]:
        """The same by the first 36 bits of an address, as they are spelled: what a registration depends on."""
        return {}

    def group_id(self, name: str) -> str:
        """The group of a company's id; the id itself where it is a group's or no company's."""
        entity = self.vendors.entity(name)
        return name if entity is None else self.vendors.group_of(entity.id).group

    @cached_property
    def policies(self) -> Policies:
        """All measures."""
        from scanner.knowledge import policies

        return policies.load(self.folders)

    @cached_property
    def profiles(self) -> Profiles:
        """What an organisation can be."""
        from scanner.knowledge import profiles

        return profiles.load(self.folders)

    @cached_property
    def registry(self) -> Registry:
        """The IEEE registry with the overrides."""
        from scanner.knowledge.registry import Registry

        return Registry(self.registry_folder / REGISTRY, *self.overrides)

    @cached_property
    def version(self) -> RulesVersion:
        """Dates and digests of all of it."""
        from scanner.knowledge import version

        return version.read(self.folders, self.registry_folder)
