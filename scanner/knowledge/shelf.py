"""The user's own copies of rules and registry, fetched after lanveto was installed: put there whole or not at all.

`$XDG_DATA_HOME/lanveto/rules` and `…/oui` are links to the folder in use. A new copy is made beside it and the link
replaced, so that a reader finds the old one or the new one. The copy before stays, for scans that are still reading it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from scanner.errors import InputProblem, RulesProblem
from scanner.resources import REGISTRY_OVERRIDES, data_dir, user_dir

OVERRIDES = "oui-overrides.yaml"
"""The user's own prefixes whose registered owner is not the maker, beside the links; the format is ours."""


# What only an update needs is imported only then: every start of lanveto goes through here.


def stored(name: str) -> Path | None:
    """The user's own folder `rules` or `oui`, or None where there is none."""
    base = user_dir()
    if base is None:
        return None
    try:
        folder = (base / name).resolve(strict=True)
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError):
        return None


def rules() -> Path:
    """The rules in use: the user's own where they are newer than those that ship. Raises `RulesProblem`."""
    shipped, own = data_dir("rules"), stored("rules")
    if own is None:
        return shipped
    from scanner.knowledge.version import dated

    try:
        return own if dated(own) > dated(shipped) else shipped
    except RulesProblem as problem:
        raise RulesProblem(f"{problem}; `lanveto rules update --reset` goes back to the rules that ship") from problem


def registry() -> Path:
    """The folder of the registry in use: the user's own where it is newer. Raises `RulesProblem`."""
    shipped, own = data_dir("oui"), stored("oui")
    if own is None:
        return shipped
    from scanner.knowledge.registry_files import about

    try:
        return own if about(own).as_of > about(shipped).as_of else shipped
    except RulesProblem as problem:
        raise RulesProblem(f"{problem}; `lanveto oui update --reset` goes back to the one that ships") from problem


def overrides() -> tuple[Path, ...]:
    """The files of prefixes whose registered owner is not the maker: ours, and on top the user's."""
    ours, base = data_dir("oui") / REGISTRY_OVERRIDES, user_dir()
    own = base / OVERRIDES if base is not None else None
    try:
        return (ours, own) if own is not None and own.is_file() else (ours,)
    except OSError:  # somebody else's home, as under `sudo -u`
        return (ours,)


@contextlib.contextmanager
def replacing(name: str) -> Iterator[Path]:
    """Gives an empty folder to fill; it becomes the user's own `rules` or `oui` when the block ends well.

    Raises `InputProblem` where nothing can be written there, or another update is at work.
    """
    import shutil
    import tempfile

    with _locked() as base:
        link = base / name
        if link.exists() and not link.is_symlink():
            raise InputProblem(f"{link}: was not put there by an update; move it away first")
        fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=base))
        try:
            yield fresh
            before = link.resolve()
            part = base / f".{name}.link"
            part.unlink(missing_ok=True)
            try:
                part.symlink_to(fresh.name)
            except OSError as error:
                raise InputProblem(
                    f"{base}: no symbolic link can be made there: {error.strerror or error}; on Windows that takes the "
                    "developer mode or an administrator. Nothing was changed"
                ) from error
            part.replace(link)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        _sweep(base, name, keep={fresh.name, before.name})


def remove(name: str) -> bool:
    """Take the user's own `rules` or `oui` away; whether there was one. Raises `InputProblem`."""
    if stored(name) is None:
        return False
    with _locked() as base:
        link = base / name
        if not link.is_symlink():
            raise InputProblem(f"{link}: was not put there by an update; move it away by hand")
        link.unlink()
        _sweep(base, name, keep=set())
    return True


@contextlib.contextmanager
def _locked() -> Iterator[Path]:
    """The user's folder, made where it is missing, for one update at a time."""
    base = user_dir()
    if base is None:
        raise InputProblem("this account has no home folder; set XDG_DATA_HOME to a folder it may write")
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(base / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as error:
        raise InputProblem(f"{base}: cannot be written: {error.strerror or error}") from error
    with os.fdopen(handle, "w") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows has other locks; there an account's updates must not run at the same time
            pass
        except OSError as error:
            raise InputProblem(f"{base}: another update is at work; try again when it is done") from error
        yield base


def _sweep(base: Path, name: str, *, keep: set[str]) -> None:
    import shutil

    for folder in base.glob(f".{name}-*"):
        if folder.name not in keep:
            shutil.rmtree(folder, ignore_errors=True)
