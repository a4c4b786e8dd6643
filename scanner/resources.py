"""Finds data: what travels with the package (`rules/` and `oui/`, in a wheel or in a checkout), and the user's own.

Each answer comes as a path, and as text for what must not cost the import of pathlib.
"""

import os

TYPE_CHECKING = False  # as typing has it, without the import
if TYPE_CHECKING:
    from pathlib import Path

REGISTRY, REGISTRY_OVERRIDES = "registry.bin", "overrides.yaml"
"""Files of a registry's folder: the packed registry, and the prefixes whose owner is not the maker."""
_PACKAGE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120


def data_place(name: str) -> str:
    """The folder `rules` or `oui`: inside the installed package, else beside it in a checkout.

    Raises `RulesProblem` where neither is there (a broken installation).
    """
    for base in (f"{_PACKAGE}/data", os.path.dirname(_PACKAGE)):  # noqa: PTH120
        folder = f"{base}/{name}"
        if os.path.isdir(folder):  # noqa: PTH112
            return folder
    from scanner.errors import RulesProblem

    raise RulesProblem(f"the data folder {name}/ is missing beside the package in {_PACKAGE}: install lanveto again")


def data_dir(name: str) -> "Path":
    """`data_place` as a path."""
    from pathlib import Path

    return Path(data_place(name))


def package_file(name: str) -> "Path":
    """Where a file that the build makes lies inside the package; it may be missing in a checkout."""
    from pathlib import Path

    return Path(_PACKAGE) / "data" / name


def user_place() -> str | None:
    """The user's own data of lanveto: `$XDG_DATA_HOME/lanveto`, default `~/.local/share/lanveto`; may not exist yet.

    None for an account without a home. A relative `$XDG_DATA_HOME` counts as not set (XDG Base Directory
    Specification).
    """
    base = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(base):  # noqa: PTH117 - of a text that may be empty
        return f"{base}/lanveto"
    home = os.path.expanduser("~")  # noqa: PTH111
    return f"{home}/.local/share/lanveto" if home != "~" else None


def user_dir() -> "Path | None":
    """`user_place` as a path."""
    from pathlib import Path

    place = user_place()
    return None if place is None else Path(place)
