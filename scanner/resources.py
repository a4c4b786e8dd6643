"""Finds data: what travels with the package (`rules/` and `oui/`, in a wheel or in a checkout), and the user's own."""

from __future__ import annotations

import os
from pathlib import Path

from scanner.errors import RulesProblem

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """The folder `rules` or `oui`: inside the installed package, else beside it in a checkout.

    Raises `RulesProblem` where neither is there (a broken installation).
    """
    for base in (_PACKAGE / "data", _PACKAGE.parent):
        folder = base / name
        if folder.is_dir():
            return folder
    raise RulesProblem(f"the data folder {name}/ is missing beside the package in {_PACKAGE}: install lanveto again")


def package_file(name: str) -> Path:
    """Where a file that the build makes lies inside the package; it may be missing in a checkout."""
    return _PACKAGE / "data" / name


def user_dir() -> Path | None:
    """The user's own data of lanveto: `$XDG_DATA_HOME/lanveto`, default `~/.local/share/lanveto`; may not exist yet.

    None for an account without a home. A relative `$XDG_DATA_HOME` counts as not set (XDG Base Directory
    Specification).
    """
    base = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(base):  # noqa: PTH117 - of a text that may be empty
        return Path(base) / "lanveto"
    try:
        return Path.home() / ".local" / "share" / "lanveto"
    except RuntimeError:
        return None
