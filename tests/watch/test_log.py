"""Lines of the service: a condition once, as text or JSON, safe to read."""

from __future__ import annotations

import io
import json

from scanner.watch.log import Log


def test_a_condition_is_said_once_and_its_end_once() -> None:
    out = io.StringIO()
    log = Log(out)
    for _ in range(3):
        log.broken("store", "the disk is full")
    assert log.standing == {"store": "the disk is full [E-STORE]"}
    for _ in range(3):
        log.mended("store")
    log.mended("never")
    log.broken("store", "the disk is full")
    assert out.getvalue().splitlines() == [
        "lanveto: the disk is full [E-STORE]", "lanveto: over: the disk is full [E-STORE]",
        "lanveto: the disk is full [E-STORE]",
    ]  # fmt: skip


def test_json_is_one_object_a_line_whatever_is_said() -> None:
    out = io.StringIO()
    log = Log(out, "json")
    log.say("evil\n{\"level\": \"x\"}\x1b[31m", event="scan-failed", devices=3)
    log.broken("b", "away")
    log.mended("b")
    first, second, third = map(json.loads, out.getvalue().splitlines())
    assert first["event"] == "scan-failed"
    assert first["devices"] == 3
    assert "\x1b" not in first["text"]
    assert first["time"].endswith("Z")
    assert (second["level"], second["condition"], second["state"]) == ("warning", "b", "broken")
    assert (third["level"], third["state"]) == ("info", "mended")
    assert (second["code"], third["code"]) == ("W-SINK", "W-SINK")


def test_nobody_listening_is_no_failure() -> None:
    closed = io.StringIO()
    closed.close()
    Log(closed).say("x")

    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    Log(Full()).broken("a", "b")


def test_a_line_with_a_code_is_a_warning() -> None:
    out = io.StringIO()
    log = Log(out, "json")
    log.say("two messages are set aside [W-SINK]")
    log.say("watching [for now]")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert (first["level"], first["code"]) == ("warning", "W-SINK")
    assert second["level"] == "info"
    assert "code" not in second
