"""What an organisation can be (`rules/profiles.yaml`): the profiles that measures bind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from scanner.errors import UsageProblem
from scanner.knowledge.loader import Place, convert, read_yaml
from scanner.knowledge.names import check_id, did_you_mean


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of organisation."""

    id: str
    title: str
    """With its article, as a sentence needs it: `a contractor of a US federal agency`."""
    note: str | None = None

    def __post_init__(self) -> None:
        check_id(self.id)


class Profiles(dict[str, Profile]):
    """Profiles by id."""

    def check(self, wanted: Sequence[str]) -> None:
        """Raises `UsageProblem` for a profile that does not exist, naming near ones."""
        for name in wanted:
            if name not in self:
                raise UsageProblem(
                    f"--profile {name}: no such profile{did_you_mean(name, self)}; see `lanveto rules list profiles`"
                )


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    profiles: list[Any]


def load(folders: Sequence[Path]) -> Profiles:
    """All profiles of the rule roots; a later root replaces profiles of the same id. Raises `RulesProblem`."""
    found = Profiles()
    for path in (folder / "profiles.yaml" for folder in folders):
        if not path.exists():
            continue
        here: set[str] = set()
        for raw in convert(read_yaml(path), _File, Place(str(path))).profiles:
            place = Place(str(path), str(raw.get("id")) if isinstance(raw, dict) else None)
            profile = convert(raw, Profile, place)
            if profile.id in here:
                raise place.problem("id", "stands in this file twice")
            here.add(profile.id)
            found[profile.id] = profile
    return found
