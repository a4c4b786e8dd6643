from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from scanner.errors import UsageProblem
from scanner.simulate import namespaces

ROOT = Path(__file__).resolve().parents[2]


def in_child(code: str, *, ordinary: Sequence[str] = ()) -> str:
    done = subprocess.run(
        [*ordinary, sys.executable, "-c", f"from scanner.simulate import namespaces\nimport os, socket\n{code}"],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.root
def test_a_new_network_is_another_one_and_empty() -> None:
    said = in_child(
        "before = os.readlink('/proc/self/ns/net')\n"
        "namespaces.new_network()\n"
        "print(before != os.readlink('/proc/self/ns/net'), [name for _, name in socket.if_nameindex()])"
    )

    assert said == "True ['lo']"


@pytest.mark.root
def test_loopback_works_once_it_is_up() -> None:
    said = in_child(
        "namespaces.new_network()\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "try: s.connect(('127.0.0.1', 9)); print('too early')\n"
        "except OSError: pass\n"
        "namespaces.loopback_up(); s.connect(('127.0.0.1', 9)); print('up')"
    )

    assert said == "up"


@pytest.mark.root
def test_the_placeholder_ends_with_its_parent_even_when_that_is_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", "from scanner.simulate import namespaces as n\nimport time\n"
         "n.new_network(); print(n.placeholder(), flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE, cwd=ROOT, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    parent.kill()
    parent.communicate()

    assert _ends(pid)


def _ends(pid: int) -> bool:
    for _ in range(200):
        try:
            Path(f"/proc/{pid}/ns/net").readlink()  # a zombie has none any more
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_where_namespaces_are_not_allowed_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(flags: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(namespaces, "unshare", refuse)
    with pytest.raises(UsageProblem, match="need root here"):
        namespaces.new_network()


def test_the_entrance_names_the_process_and_the_user_namespace_where_there_is_one() -> None:
    assert "--user" not in namespaces.entrance(7, user=False)
    assert {"--user", "--preserve-credentials", "7"} <= set(namespaces.entrance(7, user=True))
