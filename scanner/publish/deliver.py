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

from scanner.errors import StoreProblem
from scanner.publish import Configured, Doubtful, Session, Unavailable, event
from scanner.store import Store, outbox
from scanner.store.outbox import Draft, Waiting

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before another attempt: doubled each time, with some chance in it."""
TRIES = 5
"""Attempts at one message before the next one is tried in its stead."""
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
            many = self._configured.sink.parallel
            wait, tries = self._first, 0
            while True:
                before = count
                try:
                    async with self._configured.sink.session() as session:
                        while batch := await aside(outbox.take, self._store, self._name, many):
                            count += await self._hand_over(session, batch)
                        return count
                except Unavailable:
                    if count == before:  # a connection that got something done is worth another one
                        raise
                except Doubtful as problem:
                    wait, tries = (self._first, 1) if count + problem.taken > before else (2 * wait, tries + 1)
                    if tries > TRIES:
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
        while not stop.is_set():
            self.wake.clear()
            if session.again.is_set():
                session.again.clear()
                slots = await aside(outbox.current, self._store, self._name)
                for start in range(0, len(slots), self._configured.sink.parallel):
                    some = slots[start : start + self._configured.sink.parallel]
                    await session.send([waiting.draft for waiting in some])
            batch = await aside(outbox.take, self._store, self._name, self._configured.sink.parallel)
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

    async def _hand_over(self, session: Session, batch: Sequence[Waiting]) -> int:
        """One batch; returns how many messages are done with.

        Raises `Unavailable` or `Doubtful` where it must be tried again later.
        """
        try:
            answers = await session.send([waiting.draft for waiting in batch])
        except Doubtful as problem:
            if problem.taken:
                await aside(outbox.advance, self._store, self._name, batch[problem.taken - 1].number)
            return problem.taken + await self._doubt(session, batch[problem.taken :], problem)
        return await self._settle(batch[: len(answers)], answers)

    async def _doubt(self, session: Session, rest: Sequence[Waiting], problem: Doubtful) -> int:
        first = rest[0]
        tries = self._tries[first.number] = self._tries.get(first.number, 0) + 1
        if tries < TRIES:
            raise problem
        # Only what the receiver would be asked about can show that it is well.
        for many in (len(rest), FAR):
            rest = rest if many <= len(rest) else await aside(outbox.take, self._store, self._name, many)
            other = next((n for n in range(1, len(rest)) if self._concerns(rest[n].draft)), None)
            if other is not None:
                break
        else:
            raise problem
        try:
            answers = await session.send([rest[other].draft])
        except Doubtful:
            raise problem from None
        # The receiver is well: it is the first message that it cannot take.
        between = [None] * (other - 1)
        return await self._settle(rest[: other + 1], [f"{problem} ({tries} attempts)", *between, *answers])

    def _concerns(self, draft: Draft) -> bool:
        return self._configured.sink.slots or event(draft, self._configured.choice) is not None

    async def _settle(self, batch: Sequence[Waiting], answers: Sequence[str | None]) -> int:
        refused = [(w, reason) for w, reason in zip(batch, answers, strict=True) if reason is not None]
        for waiting, reason in refused:
            await aside(outbox.set_aside, self._store, self._name, waiting, reason)
            self._tries.pop(waiting.number, None)
        if refused:
            waiting, reason = refused[0]
            self._tell.say(
                f"{self._configured.sink} refuses {len(refused)} message(s), the first is {waiting.draft.kind} "
                f"{waiting.draft.uid}: {reason}; set aside (`lanveto history --refused`)"
            )
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
