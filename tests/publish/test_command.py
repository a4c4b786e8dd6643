"""A command per finding: real processes that succeed, fail, hang and are fed hostile words."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanner import publish
from scanner.errors import UsageProblem
from scanner.publish import Doubtful, Unavailable
from scanner.publish.deliver import Delivery
from scanner.store import Store, open_store, outbox
from tests.publish.doubles import Log, event, state

WRITE = """import json, os, sys
own = {k: v for k, v in os.environ.items() if k.startswith("LANVETO_")}
print(json.dumps([sys.argv[2:], own, sys.stdin.read()]), file=open(sys.argv[1], "a"))"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "h.sqlite") as opened:
        outbox.register(opened, ["ticket"])
        yield opened


def _sink(*words: str, **more: object) -> publish.Configured:
    return publish.configured("ticket", {"type": "command", "command": list(words), **more})


def _drain(store: Store, sink: publish.Configured) -> int:
    return asyncio.run(Delivery(store, sink, Log(), first_wait=0.01, longest_wait=0.02).drain())


def test_one_command_per_finding_with_its_event(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANVETO_MQTT_PASSWORD", "S3CRET")
    evil = "$(touch pwned); `id` && 'x\" \x1b[2J\n"
    outbox.put(store, [state(), event(1, manufacturer=evil), event(2, "device-appeared"), event(3, "finding-closed")])
    out = tmp_path / "out"
    assert _drain(store, _sink(sys.executable, "-c", WRITE, str(out), "a b", "$HOME;id")) == 4
    first, second = (json.loads(line) for line in out.read_text().splitlines())
    assert first[0] == ["a b", "$HOME;id"]
    assert first[2].encode() == event(1, manufacturer=evil).body
    assert first[1]["LANVETO_EVENT"] == "e1"
    assert first[1]["LANVETO_ACTION"] == "remove"
    assert first[1]["LANVETO_MANUFACTURER"].startswith("$(touch pwned); `id`")
    assert "\x1b" not in first[1]["LANVETO_MANUFACTURER"]
    assert "LANVETO_MQTT_PASSWORD" not in first[1]
    assert "LANVETO_PREVIOUS" not in first[1]
    assert second[1]["LANVETO_KIND"] == "finding-closed"


def test_a_failure_is_tried_again_and_its_words_are_kept(store: Store, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    script = tmp_path / "once.sh"
    script.write_text(f"#!/bin/sh\nif [ -e {marker} ]; then exit 0; fi\ntouch {marker}\necho 'queue is full' >&2\nexit 3\n")
    script.chmod(0o755)
    outbox.put(store, [event(1), event(2)])
    assert _drain(store, _sink(str(script))) == 2
    marker.unlink()
    script.write_text("#!/bin/sh\nyes 'queue is full' | head -c 500000 >&2\nexit 3\n")
    outbox.put(store, [event(3)])
    with pytest.raises(Doubtful, match="exit code 3: queue is full"):
        _drain(store, _sink(str(script)))
    assert outbox.standing(store)[0].waiting == 1


def test_what_hangs_is_ended_with_its_children(store: Store, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = tmp_path / "hang.sh"
    script.write_text(f"#!/bin/sh\nsleep 300 &\necho $! > {pid}\nwait\n")
    script.chmod(0o755)
    outbox.put(store, [event(1)])
    began = time.monotonic()
    with pytest.raises(Doubtful, match=r"did not end within 0\.2 s"):
        _drain(store, _sink(str(script), timeout=0.2))
    assert time.monotonic() - began < 20
    child = Path(f"/proc/{pid.read_text().strip()}/stat")
    for _ in range(50):
        if not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("a child was left behind")


def test_a_command_that_is_missing_is_named(store: Store) -> None:
    outbox.put(store, [event(1)])
    with pytest.raises(Unavailable, match="no such program"):
        _drain(store, _sink("/nowhere/ticket"))


@pytest.mark.parametrize(("table", "said"), [
    ({"command": "ticket --now"}, "command"), ({"command": []}, "list of words"), ({"command": ["a\0"]}, "NUL"),
    ({"command": ["a"], "timeout": 0}, "timeout"), ({}, "command"),
])  # fmt: skip
def test_settings_that_cannot_be_used(table: dict[str, object], said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        publish.configured("command", table)
