"""Takes a sink's messages from the outbox: in order, at least once, however long its receiver is away.

A message moves out of the queue only after the receiver has taken it. A receiver that is away is tried again, more and
more slowly; that it is away is said once, and once that it is back. A message that the receiver refuses for good, or
that fails again and again while the next one is taken, is set aside so that it does not hold up the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from scanner.errors import Code, StoreProblem, notice
from scanner.publish import Configured, Doubtful, Session, Unavailable, event
from scanner.store import Store, outbox
from scanner.store.outbox import Draft, Waiting

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before another attempt: doubled each time, with some chance in it."""
TRIES = 5
"""Attempts at one message before another one is tried first."""
FAR = 10_000
"""Messages among which one is looked for that shows whether the receiver is well."""
LOOK = 1.0
"""Seconds after which the queue is looked at again even if nobody called: another process may have filled it."""
BEAT = 60.0
"""Seconds between two signs of life."""

T = TypeVar("T")


class Tell(Protocol):
    """Where conditions are told: each once when it begins, once when it ends."""

    def broken(self, what: str, text: str) -> None:
        """Something does not work."""

    def mended(self, what: str) -> None:
        """It works again; nothing is said where it always did."""

    def say(self, text: str, **more: object) -> None:
        """Something worth a line."""


async def aside(job: Callable[..., T], *arguments: Any) -> T:
    """A short job of the store, outside the loop."""
    return await asyncio.to_thread(job, *arguments)


class Delivery:
    """The service of one sink."""

    def __init__(
        self, store: Store, configured: Configured, tell: Tell, *, status: Callable[[], Mapping[str, Any]] = dict,
        first_wait: float = FIRST_WAIT, longest_wait: float = LONGEST_WAIT,
    ) -> None:  # fmt: skip
        self.wake = asyncio.Event()
        """Set it when new messages wait."""
        self._store = store
        self._configured = configured
        self._tell = tell
        self._status = status
        self._first, self._longest = first_wait, longest_wait
        self._wait = first_wait
        self._tries: dict[int, int] = {}
        """Failed attempts at a message, by its number."""
        self._name = configured.name

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; what is left then waits for the next start."""
        self._wait = self._first
        while not stop.is_set():
            try:
                async with self._alone() as free:
                    if free:
                        async with self._configured.sink.session() as session:
                            await self._serve(session, stop)
                            continue
                    self._tell.broken(f"{self._name}-busy", f"{self._name}: another process delivers; waiting for it")
            except (Unavailable, Doubtful) as problem:
                self._tell.broken(self._name, f"{self._configured.sink}: {problem}; what it should get waits")
            except StoreProblem as problem:
                self._tell.broken("store", str(problem))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._wait * random.uniform(0.7, 1.3))  # noqa: S311 - no secret
            self._wait = min(2 * self._wait, self._longest)

    async def drain(self) -> int:
        """Deliver what waits now; returns how many messages were taken.

        Raises `Unavailable` at once where the receiver is away; `Doubtful` where it would not take a message in several
        attempts, nor the one behind it.
        """
        count = 0
        async with self._alone() as free:
            if not free:
                raise Unavailable("another process is delivering to it; it will take these messages too")
            wait, tries = self._first, 0
            while True:
                before = count
                try:
                    async with self._configured.sink.session() as session:
                        await self._restore(session)
                        while batch := await self._next():
                            count += await self._hand_over(session, batch)
                        await session.beat({"state": "delivered"})
                        return count
                except Unavailable:
                    if count == before:  # a connection that got something done is worth another one
                        raise
                except Doubtful as problem:
                    count += problem.taken
                    wait, tries = (self._first, 1) if count > before else (2 * wait, tries + 1)
                    if tries > TRIES + 1:
                        raise
                    await asyncio.sleep(min(wait, self._longest))

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[bool]:
        holder = self._store.alone(f"sink-{self._name}")
        free = await aside(holder.__enter__)
        try:
            yield free
        finally:
            await aside(holder.__exit__, None, None, None)

    async def _serve(self, session: Session, stop: asyncio.Event) -> None:
        self._tell.mended(f"{self._name}-busy")
        beaten = 0.0
        clock = asyncio.get_running_loop().time
        await self._restore(session)
        while not stop.is_set():
            self.wake.clear()
            if session.again.is_set():
                session.again.clear()
                await self._restore(session)
            batch = await self._next()
            self._tell.mended("store")
            if clock() - beaten >= BEAT or not beaten:
                await session.beat(self._status())
                beaten = clock()
            if batch:
                await self._hand_over(session, batch)
            # Many a receiver shows only by taking something that it is well.
            self._wait = self._first
            self._tell.mended(self._name)
            if batch:
                continue
            await _first_of(LOOK, stop, self.wake, session.again)

    async def _next(self) -> list[Waiting]:
        return await aside(outbox.take, self._store, self._name, self._configured.sink.parallel)

    async def _restore(self, session: Session) -> None:
        if self._configured.sink.slots:
            told, coming = await aside(outbox.current, self._store, self._name)
            await session.restore([waiting.draft for waiting in told], [waiting.draft for waiting in coming])

    async def _hand_over(self, session: Session, batch: Sequence[Waiting]) -> int:
        """One batch; returns how many messages are done with.

        Raises `Unavailable` or `Doubtful` where it must be tried again later.
        """
        if self._tries.get(batch[0].number, 0) >= TRIES:
            return await self._doubt(session, batch)
        if batch[0].number in self._tries:
            batch = batch[:1]  # alone: which message it was shows only so
        try:
            answers = await session.send([waiting.draft for waiting in batch])
        except Doubtful as problem:
            if problem.taken:
                await aside(outbox.advance, self._store, self._name, batch[problem.taken - 1].number)
            first = batch[problem.taken].number
            self._tries = {first: self._tries.get(first, 0) + 1}
            raise
        return await self._settle(batch[: len(answers)], answers)

    async def _doubt(self, session: Session, rest: Sequence[Waiting]) -> int:
        """A message that failed again and again. It is the message where the receiver takes another one just before."""
        first, tries = rest[0], self._tries[rest[0].number] + 1
        # Only what the receiver would be asked about can show that it is well.
        for many in (len(rest), FAR):
            rest = rest if many <= len(rest) else await aside(outbox.take, self._store, self._name, many)
            other = next((n for n in range(1, len(rest)) if self._concerns(rest[n].draft)), None)
            if other is not None:
                break
        else:
            answers = await session.send([first.draft])
            return await self._settle([first], answers)
        answers = await session.send([rest[other].draft])
        between = [None] * (other - 1)
        try:
            own = await session.send([first.draft])
        except Doubtful as problem:
            own = [f"{problem} ({tries} attempts)"]
        return await self._settle(rest[: other + 1], [*own, *between, *answers])

    def _concerns(self, draft: Draft) -> bool:
        if draft.slot is not None and self._configured.sink.slots:
            return True
        return event(draft, self._configured.choice) is not None

    async def _settle(self, batch: Sequence[Waiting], answers: Sequence[str | None]) -> int:
        refused = [(w, reason) for w, reason in zip(batch, answers, strict=True) if reason is not None]
        for waiting, reason in refused:
            await aside(outbox.set_aside, self._store, self._name, waiting, reason)
            self._tries.pop(waiting.number, None)
        if refused:
            waiting, reason = refused[0]
            self._tell.say(notice(
                Code.SINK,
                f"{self._configured.sink} refuses {len(refused)} message(s), the first is {waiting.draft.kind} "
                f"{waiting.draft.uid}: {reason}; set aside (`lanveto history --refused`)",
            ))  # fmt: skip
        if batch:
            await aside(outbox.advance, self._store, self._name, batch[-1].number)
        return len(batch)


async def _first_of(seconds: float, *events: asyncio.Event) -> None:
    """Wait until one of the events is set, at most so long."""
    tasks = [asyncio.create_task(event.wait(), name="deliver-wait") for event in events]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
