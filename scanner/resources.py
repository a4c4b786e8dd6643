"""Finds the data that travels with the package: `rules/` and `oui/`, in a wheel or in a checkout."""

from __future__ import annotations

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
