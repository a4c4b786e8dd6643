"""Sinks: where results and events go besides the report. One file holds one sink and ends with `SINK = ThatClass`.

A sink knows how to reach one kind of receiver; order, repetition and what happens while the receiver is away are the
business of `deliver.py`, which takes the messages from the outbox of the store. `documents.py` says what messages hold.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import msgspec

from scanner.errors import UsageProblem
from scanner.publish.choice import Choice

if TYPE_CHECKING:
    import asyncio

    from scanner.store.outbox import Draft

_ROOMS = frozenset({"choice", "deliver", "documents", "shapes"})  # files here that are not sinks


class Unavailable(Exception):
    """The receiver cannot be reached, or refuses all we say: everything waits, and is tried again later."""


class Doubtful(Exception):
    """The receiver answered, but did not take a message: it may be the message, or the receiver's bad day."""

    def __init__(self, taken: int, reason: str) -> None:
        super().__init__(reason)
        self.taken = taken
        """How many messages before this one were taken."""


class Session(Protocol):
    """A connection to a receiver."""

    again: asyncio.Event
    """Set when the receiver has forgotten what is true now and wants to be told all of it, or has gone away."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def send(self, messages: Sequence[Draft]) -> Sequence[str | None]:
        """Deliver in order. For each message None where it was taken, else why it never will be; fewer answers than
        messages where the connection ended in between.

        Raises `Unavailable` (nothing of this is known to have been taken) or `Doubtful`.
        """
        ...

    async def restore(self, slots: Sequence[Draft], waiting: Sequence[Draft]) -> None:
        """Tell again what the receiver was told to be true, as it may have forgotten; `waiting` is about to follow.

        Only for sinks with `slots`.
        """
        ...

    async def beat(self, status: Mapping[str, Any]) -> None:
        """Tell that we are alive, where the receiver has a place for that."""
        ...


class Sink(Protocol):
    """One kind of receiver, set up."""

    Settings: ClassVar[type[msgspec.Struct]]
    """The keys of its table in lanveto.toml."""
    slots: ClassVar[bool]
    """Whether it wants what is true now (states, summaries), or events only."""
    kinds: ClassVar[tuple[str, ...]]
    """Events it gets unless the table says otherwise; empty: all."""
    parallel: ClassVar[int]
    """Messages handed over together."""

    def __init__(self, settings: Any, choice: Choice) -> None: ...

    def __str__(self) -> str:
        """The receiver as messages name it, without secrets."""
        ...

    def session(self) -> Session:
        """A connection, to be entered."""
        ...


@dataclass(frozen=True, slots=True)
class Configured:
    """A sink by its name in the configuration."""

    name: str
    kind: str
    sink: Sink
    choice: Choice


def names() -> tuple[str, ...]:
    """The kinds of sinks: each file is named after its kind."""
    return tuple(sorted(i.name for i in pkgutil.iter_modules(__path__) if i.name not in _ROOMS and i.name[0] != "_"))


def configured(name: str, table: object) -> Configured:
    """The sink of `[publish.NAME]`; its kind is `type`, else the name. Raises `UsageProblem`: key and reason."""
    if not isinstance(table, dict):
        raise UsageProblem("is no table")
    kind = table.get("type", name)
    if kind not in names():
        raise UsageProblem(f"type: {kind!r} is no sink; there are {', '.join(names())}")
    sink: type[Sink] = import_module(f"{__name__}.{kind}").SINK
    shared = set(Choice.__struct_fields__)
    own = {key: value for key, value in table.items() if key != "type" and key not in shared}
    choice = decoded({key: value for key, value in table.items() if key in shared}, Choice)
    if not choice.kinds and sink.kinds:
        choice = msgspec.structs.replace(choice, kinds=sink.kinds)
    return Configured(name, kind, sink(decoded(own, sink.Settings), choice), choice)


def decoded(table: Mapping[str, Any], kind: type[Any]) -> Any:
    """A table as its struct. Raises `UsageProblem` naming the key."""
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$.")
        key = where.rstrip("`") or None
        if "unknown field" in text:
            known = ", ".join((*msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"], "type",
                               *(Choice.__struct_fields__ if kind is not Choice else ())))  # fmt: skip
            text += f"; there are {known}"
        raise UsageProblem(f"{key}: {text}" if key else text) from error


def event(draft: Draft, choice: Choice) -> Mapping[str, Any] | None:
    """What a message tells a sink that wants events only; None for what is none, or what its filter leaves out."""
    if not draft.body or (draft.slot is not None and draft.kind != "events-lost"):
        return None
    told = msgspec.json.decode(draft.body)
    return told if choice.wants_event(told) else None


def secret(file: str | None, variable: str, key: str) -> str | None:
    """A password from a file, else from the environment; None without either. Raises `UsageProblem`."""
    import os
    from pathlib import Path

    if file is None:
        return os.environ.get(variable)
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{key}: {file}: cannot be read: {error}") from error
