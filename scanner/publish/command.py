"""Runs a command for each finding that opens or closes, with the event as JSON on its standard input (docs/hooks.md).

The command is the list of words of the configuration, run as it stands: no shell, and nothing an event says ever
becomes part of it. A few facts are in the environment as well. Exit code 0 means taken; anything else, or no end
within the time, is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

import msgspec

from scanner.errors import UsageProblem
from scanner.publish import Doubtful, Unavailable, event
from scanner.publish.choice import Choice
from scanner.store.outbox import Draft
from scanner.values import one_line

KEPT = 2000
"""Bytes kept of what a command says on standard error."""
FACTS = ("event", "kind", "site", "device", "ip", "mac", "manufacturer", "level", "policy", "action", "previous")
"""Keys of the event that are in the environment too, as LANVETO_EVENT, LANVETO_KIND, …"""


class _Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """`[publish.command]`."""

    command: tuple[str, ...]
    """Program and arguments, one word each."""
    timeout: float = 30.0
    """Seconds after which it is ended."""


class Command:
    """The sink of the outbox."""

    Settings: ClassVar[type[msgspec.Struct]] = _Settings
    slots: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ("finding-opened", "finding-closed")
    parallel: ClassVar[int] = 10

    def __init__(self, settings: _Settings, choice: Choice) -> None:
        if not settings.command or not settings.command[0]:
            raise UsageProblem('command: is a list of words: ["/usr/local/bin/ticket", "--queue", "audit"]')
        if any("\0" in word for word in settings.command):
            raise UsageProblem("command: a word holds a NUL character")
        if not 0 < settings.timeout <= 3600:
            raise UsageProblem("timeout: must lie between 0 and 3600 seconds")
        self.words, self.timeout, self.choice = settings.command, settings.timeout, choice

    def __str__(self) -> str:
        return f"command {one_line(self.words[0])}"

    def session(self) -> _Session:
        """Nothing is held open: each event starts a process."""
        return _Session(self)


def environment(told: Mapping[str, Any]) -> dict[str, str]:
    """What the command finds in its environment: ours without lanveto's own settings (secrets), and the facts."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("LANVETO_")}
    for name in FACTS:
        value = told.get(name)
        if value is not None:
            found[f"LANVETO_{name.upper()}"] = one_line(str(value), 200)
    return found


class _Session:
    """Runs the command for one event after the other."""

    def __init__(self, sink: Command) -> None:
        self.again = asyncio.Event()
        self._sink = sink

    async def __aenter__(self) -> Self:
        if await asyncio.to_thread(shutil.which, self._sink.words[0]) is None:
            raise Unavailable("there is no such program, or it may not be run")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def beat(self, status: Mapping[str, Any]) -> None:
        """Commands get events only."""

    async def send(self, messages: Sequence[Draft]) -> Sequence[str | None]:
        """In order; stops before the first that failed."""
        answers: list[str | None] = []
        for draft in messages:
            told = event(draft, self._sink.choice)
            try:
                if told is not None:
                    await self._run(draft.body, environment(told))
            except (Unavailable, Doubtful):
                if answers:
                    return answers
                raise
            answers.append(None)
        return answers

    async def _run(self, body: bytes, surroundings: Mapping[str, str]) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._sink.words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE, env=surroundings, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise Unavailable(f"cannot be run: {error}") from error
        heard = bytearray()
        talk = asyncio.create_task(_talk(process, body, heard), name="command-talk")
        late = False
        try:
            async with asyncio.timeout(self._sink.timeout):
                await talk
                await process.wait()
        except TimeoutError:
            # Where the command itself has ended, what it left behind holds its output open: that is not its failure.
            late = process.returncode is None
        finally:
            talk.cancel()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.gather(talk, process.wait(), return_exceptions=True)
        if late:
            raise Doubtful(0, f"did not end within {self._sink.timeout:g} s")
        if process.returncode:
            said = one_line(heard.decode("utf-8", "replace").strip(), 300)
            raise Doubtful(0, f"exit code {process.returncode}" + (f": {said}" if said else ""))


async def _talk(process: asyncio.subprocess.Process, body: bytes, heard: bytearray) -> None:
    """Hand over the event, and listen until the command has closed its standard error."""
    assert process.stdin is not None
    assert process.stderr is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read
        process.stdin.write(body)
        await process.stdin.drain()
    process.stdin.close()
    while some := await process.stderr.read(4096):
        heard += some[: max(0, KEPT - len(heard))]


SINK = Command
