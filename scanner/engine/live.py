"""A scan from its first packet to its report, and how it is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from scanner.config import Plan
from scanner.engine.checkpoint import Past, Record
from scanner.engine.harvest import Tell
from scanner.engine.stages import Progress, Stages
from scanner.engine.telling import report
from scanner.errors import Code
from scanner.knowledge import Knowledge
from scanner.model import Report

GRACE = 0.6
"""Seconds that running work gets to end after an interruption."""

__all__ = ["Progress", "run", "scan"]


def run(
    plan: Plan, knowledge: Knowledge, *, progress: Progress | None = None, tell: Tell | None = None, keep: bool = True,
    record: Record | None = None, past: Past | None = None,
) -> Report:  # fmt: skip
    """Scan from outside an event loop; the first Ctrl-C (or SIGTERM, or a terminal that goes away)
    ends it within a second, with what is known.

    A second one is not caught. Everything else as `scan`.
    """

    async def main() -> Report:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        caught = tuple(n for n in ends if signal.getsignal(n) is not signal.SIG_IGN)  # nohup ignores the last one

        def interrupt() -> None:
            stop.set()
            for number in caught:
                loop.remove_signal_handler(number)

        for number in caught:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
                loop.add_signal_handler(number, interrupt)
        return await scan(plan, knowledge, progress=progress, stop=stop, tell=tell, keep=keep, record=record, past=past)

    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        return runner.run(main())


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Makes a loop of uvloop's where that is installed (extra `fast`): twice the connections a second. None: not."""
    try:
        import uvloop
    except ImportError:
        return None
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made


async def scan(
    plan: Plan, knowledge: Knowledge, *, progress: Progress | None = None, stop: asyncio.Event | None = None,
    tell: Tell | None = None, keep: bool = True, record: Record | None = None, past: Past | None = None,
) -> Report:  # fmt: skip
    """Scan as planned. `stop`, or cancelling the task, ends it within a second with what is known by then.

    `tell` is called, one at a time and perhaps from another thread, with every device as soon as it is done; without
    `keep` the report itself holds no devices, and memory stays flat.
    `record` (None: one in the state folder) is the scan's own record; `past` one that an interrupted scan left, from
    which this one continues.
    What could not be completed stands in `Report.scan.failures`. Raises `UsageProblem`, before anything is sent, for
    a plan that cannot be carried out.
    """
    stages = Stages(
        plan, knowledge, progress, tell=tell, keep=keep, record=Record(None) if record is None else record, past=past
    )
    work = asyncio.create_task(stages.work(), name="scan")
    waiter = asyncio.create_task((stop or asyncio.Event()).wait(), name="scan-stop")
    interrupted = False
    try:
        await asyncio.wait({work, waiter}, return_when=asyncio.FIRST_COMPLETED)
        interrupted = not work.done()
    except asyncio.CancelledError:
        interrupted = True
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
    waiter.cancel()
    work.cancel()
    await asyncio.wait({work, waiter}, timeout=GRACE)
    if work.done() and not work.cancelled() and (error := work.exception()) is not None:
        if os.environ.get("LANVETO_DEBUG"):
            raise error
        words = f"internal error: {_innermost(error)}; what was found by then is reported. Please report it"
        stages.fail(Code.INTERNAL, words)
    whole = work.done() and not work.cancelled() and work.exception() is None
    return report(stages, interrupted=interrupted, complete=whole and not interrupted)


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
