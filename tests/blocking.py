"""Who calls something that blocks while an event loop waits for it? A guard for this process, and one for commands.

`forbidden` makes such a call raise. In a command that a test starts it must not: the command would catch it, and go
other ways; there every call is written down, and the command goes on (`watched`, `told`).
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

from blockbuster import BlockBuster, BlockBusterFunction

MAY_BLOCK = {
    "scanner/engine/stages.py": ("__init__",),  # nothing has been sent yet
    "scanner/engine/telling.py": ("report",),  # nothing is waited for any more
    "scanner/engine/checkpoint.py": ("begin", "go_on", "end", "_lines", "_records", "_busy", "_prune"),  # the same
    "scanner/net/netlink.py": ("dump", "write_neighbours", "delete_neighbours"),  # the kernel answers at once
    "scanner/net/neighbour_table.py": ("_column", "recover", "undo", "_save", "_here", "_started"),  # the same; journal
    "asyncio/unix_events.py": ("_start",),  # a process begins: what it takes, asyncio decides
    "scanner/net/ledger.py": ("flush", "close"),  # 32 kB at a time: what was sent must be on the disk
}
"""What may block inside the event loop, each with the reason."""

_FOLDER = "LANVETO_TEST_BLOCKING"
_FRAMES = 6
_RESOLVERS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo", "create_connection")
_MORE = (
    *(f"socket.{name}" for name in _RESOLVERS), "builtins.open", "io.open", "os.open", "os.fsync", "os.fdatasync",
    "os.chmod", "os.waitpid", "os.system", "subprocess.Popen.wait", "subprocess.Popen.communicate", "fcntl.lockf",
    "shutil.copy", "shutil.copytree", "shutil.rmtree", "mmap.mmap.flush",
    "ssl.create_default_context", "ssl.SSLContext.load_verify_locations", "ssl.SSLContext.load_cert_chain",
)  # fmt: skip
"""What the library leaves out, and what waits in C, where none of its functions is called."""


def _quiet(sock: socket.socket, *_: Any, **__: Any) -> bool:
    return sock.gettimeout() == 0


def guard(also: Mapping[str, Sequence[str]] = MappingProxyType({})) -> BlockBuster:
    """All that can block, within our code, but for what may, and `also` what is named like that."""
    found = BlockBuster(scanned_modules=["scanner"])
    for name in _MORE:
        found.functions.setdefault(name, BlockBusterFunction(None, name, scanned_modules=["scanner"]))
    for name in ("connect_ex", "sendmsg", "recvmsg_into", "recvfrom_into"):
        full = f"socket.socket.{name}"
        found.functions[full] = BlockBusterFunction(None, full, scanned_modules=["scanner"], can_block_predicate=_quiet)
    found.functions["threading.Thread.join"] = BlockBusterFunction(
        None, "threading.Thread.join", scanned_modules=["scanner"],
        can_block_predicate=lambda thread, *_, **__: not thread.is_alive(),
    )  # fmt: skip
    found.functions["time.sleep"].can_block_in("scanner/cli/listen.py", "command")  # frames gather in the kernel
    for function in found.functions.values():
        for path, names in [*MAY_BLOCK.items(), *also.items()]:
            function.can_block_in(path, set(names))
    return found


@contextlib.contextmanager
def forbidden(also: Mapping[str, Sequence[str]] = MappingProxyType({})) -> Iterator[None]:
    """Any call of ours in this process that could block the event loop raises; what may, as for `guard`."""
    found = guard(also)
    found.activate()
    try:
        yield
    finally:
        found.deactivate()


# -- in commands ---------------------------------------------------------------------------------------------


def watched(folder: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a command that, with whatever it starts, writes into `folder` what blocks its loops."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    begin = f"import os, runpy\nif {_FOLDER!r} in os.environ: runpy.run_path({str(Path(__file__).resolve())!r})['begin']()\n"
    (folder / "sitecustomize.py").write_text(begin)
    paths = [str(folder), str(Path(__file__).resolve().parents[1]), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, _FOLDER: str(folder), "PYTHONPATH": os.pathsep.join(paths)}


def unwatched(environment: Mapping[str, str]) -> dict[str, str]:
    """The same without that: what a simulated device waits for holds up nobody's scan."""
    return {name: value for name, value in environment.items() if name != _FOLDER}


def told(folder: Path) -> tuple[list[str], list[str]]:
    """The commands in which a loop ran, each as one line, and every call that blocked one, each once."""
    commands, calls = [], set()
    for path in sorted(folder.glob("*.log")):
        for line in path.read_text().split("\n")[:-1]:  # the last one may be cut: the command was killed
            said = json.loads(line)
            if isinstance(said, list):
                commands.append(" ".join(said))
            else:
                calls.add(said)
    return commands, sorted(calls)


def begin() -> None:
    """Watch this process: called by Python itself at the start of a command."""
    import scanner

    home = str(Path(scanner.__file__).parent.parent) + os.sep
    log = Path(os.environ[_FOLDER]) / f"{os.getpid()}.log"
    said: set[str] = set()

    def write(what: str | list[str]) -> None:
        with log.open("a") as file:
            file.write(json.dumps(what) + "\n")

    def noted(function: BlockBusterFunction) -> Callable[..., bool]:
        harmless = function.can_block_predicate

        def look(*arguments: Any, **named: Any) -> bool:
            if not said:
                said.add("")
                write(sys.argv)
            if harmless(*arguments, **named):
                return True
            places: list[str] = []
            frame = inspect.currentframe()
            while frame is not None:
                path, name = frame.f_code.co_filename, frame.f_code.co_name
                if any(path.endswith(end) and name in names for end, names in function.can_block_functions):
                    return True
                if path.startswith(f"{home}scanner{os.sep}"):
                    places.append(f"{path.removeprefix(home)}:{frame.f_lineno} {name}")
                frame = frame.f_back
            call = f"{function.full_name}: {' < '.join(places[:_FRAMES])}"
            if places and call not in said:
                said.add(call)
                write(call)
            return True

        return look

    for function in (found := guard()).functions.values():
        function.can_block_predicate = noted(function)
    _ears_are_loops()
    found.activate()


def _ears_are_loops() -> None:
    """`listen` has a loop of its own: as long as an ear is open, whoever blocks it may lose frames."""
    from blockbuster import blockbuster

    from scanner.net.ear import Ear

    begun, over = Ear.__init__, Ear.close
    opened: set[int] = set()

    def begin(ear: Ear, *arguments: Any, **named: Any) -> None:
        begun(ear, *arguments, **named)
        opened.add(id(ear))

    def close(ear: Ear) -> None:
        opened.discard(id(ear))
        over(ear)

    def running() -> object:
        return opened or asyncio.get_running_loop()

    ear: Any = Ear
    ear.__init__, ear.close = begin, close
    watching: Any = blockbuster
    watching.asyncio = SimpleNamespace(get_running_loop=running)
