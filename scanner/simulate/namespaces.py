"""Network and user namespaces of Linux, as far as a laboratory needs them (namespaces(7), user_namespaces(7)).

A namespace lives as long as a process is in it: nothing is named, so nothing is left behind.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from scanner.errors import UsageProblem

CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000

_PR_SET_PDEATHSIG = 1
_SIOCSIFFLAGS, _SIOCGIFFLAGS, _IFF_UP = 0x8914, 0x8913, 0x1


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces of these kinds for new ones. Raises `OSError`."""
    _check(_libc().unshare(flags), "unshare")


def join(fd: int, flags: int = CLONE_NEWNET) -> None:
    """Enter the namespace of an open descriptor. Raises `OSError`."""
    _check(_libc().setns(fd, flags), "setns")


def new_network() -> bool:
    """Enter a new network namespace; without root in a new user namespace, and then the answer is True.

    Needs a process with a single thread. Raises `UsageProblem` where the system allows neither.
    """
    try:
        unshare(CLONE_NEWNET)
    except PermissionError:
        pass
    except OSError as error:
        raise UsageProblem(f"this system has no network namespaces ({error.strerror})") from error
    else:
        return False
    uid, gid = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1", encoding="ascii")
        unshare(CLONE_NEWNET)
    except OSError as error:
        raise UsageProblem(
            "network namespaces need root here: this system does not let ordinary users have user namespaces "
            f"({error.strerror})"
        ) from error
    return True


def loopback_up() -> None:
    """Switch the loopback interface of this network namespace on. Raises `OSError`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("=H", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def placeholder() -> int:
    """Fork a process that keeps this network namespace alive until its parent ends, however that ends; its id."""
    reading, writing = os.pipe()

    def wait() -> None:
        os.close(writing)
        os.read(reading, 1)

    pid = dependant(wait)
    os.close(reading)  # the other end stays open as long as we live
    return pid


def dependant(work: Callable[[], None]) -> int:
    """Fork a process that does this in this network namespace and ends with its parent at the latest; its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        work()
    finally:
        os._exit(0)


def entrance(pid: int, *, user: bool) -> list[str]:
    """The command that runs another command in the network of process `pid`."""
    return ["nsenter", "--target", str(pid), *(["--user", "--preserve-credentials"] if user else []), "--net", "--"]
