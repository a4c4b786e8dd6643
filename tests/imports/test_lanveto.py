from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from typing import Any

from scanner import imports
from scanner.imports.base import Head, Input
from scanner.model import Device, Observation, Place, Recording, Report
from scanner.recordings import to_json, to_yaml
from scanner.report import get

CAMERA = Recording(
    id="a", ip="192.0.2.1", mac="3c:ef:8c:11:22:33", place=Place(switch="core-1", port="Gi1/0/1"),
    observations=(Observation(channel="http.title", value="WEB SERVICE", port=80, at="2026-11-24T10:00:00Z"),),
)  # fmt: skip


def test_recordings(read: Callable[..., Any]) -> None:
    for text in (to_yaml([CAMERA]), to_json(CAMERA).decode() + "\n"):
        heard, _ = read(text, "lanveto")

        (only,) = heard
        assert (only.mac, only.address, only.observations, only.place) == (CAMERA.mac, CAMERA.ip, CAMERA.observations, CAMERA.place)


def test_reports_bring_the_evidence_they_name(read: Callable[..., Any], make_report: Callable[..., Report], make_device: Callable[..., Device]) -> None:
    for form in ("json", "jsonl"):
        text = get(form).render(make_report(make_device()))
        heard, source = read(text, "lanveto")

        (only,) = heard
        assert (only.mac, only.address) == ("3c:ef:8c:11:22:33", "192.0.2.42")
        assert [o.channel for o in only.observations] == ["rtsp.header.www-authenticate"]
        assert source.unknown == 0


def test_broken_entries_are_counted(read: Callable[..., Any]) -> None:
    heard, source = read(to_yaml([CAMERA]) + "- {id: b, colour: red}\n", "lanveto")

    assert len(heard) == 1
    assert "unknown field" in source.shown[0]


def test_recordings_one_a_line_are_read_line_by_line() -> None:
    """However large the file: what was told is forgotten."""

    class Many(io.RawIOBase):
        left = 3000

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            if not self.left:
                return 0
            self.left -= 1
            line = b'{"id":"%d","ip":"192.0.2.1","observations":[{"channel":"http.body","value":"%s","port":80}]}\n' % (self.left, b"x" * 40_000)
            buffer[: len(line)] = line
            return len(line)

    stream: io.BufferedReader[Any] = io.BufferedReader(Many(), 1 << 17)
    head = stream.peek()[:65_536]
    source = Input("many", stream, Head(head, head.decode(), "many"))
    tracemalloc.start()
    try:
        assert sum(1 for _ in imports.get("lanveto").read(source)) == 3000
        assert tracemalloc.get_traced_memory()[1] < 24 << 20  # of 120 MB
    finally:
        tracemalloc.stop()


def test_lines_that_are_broken_or_twice_are_counted(read: Callable[..., Any]) -> None:
    line = '{"id":"a","ip":"192.0.2.1","observations":[{"channel":"http.title","value":"x","port":80}]}\n'
    heard, source = read(line + line + "{\n" + line.replace('"a"', '"b"') + '{"id":"c","ip":7}\n', "lanveto")

    assert [h.name for h in heard] == ["a", "b"]
    assert source.unknown == 3
    assert source.shown[0].startswith("line 2: id: 'a' stands twice")


def test_evidence_that_is_no_list_is_a_broken_entry(read: Callable[..., Any]) -> None:
    heard, source = read(
        '{"id":"a","ip":"192.0.2.1","evidence":5}\n{"id":"b","ip":"192.0.2.2","evidence":[],"addresses":7}\n'
        '{"id":"c","ip":"192.0.2.3","evidence":[{"channel":"upnp.manufacturer","value":"Hytera"}]}\n', "lanveto",
    )  # fmt: skip

    assert [h.address for h in heard] == ["192.0.2.3"]
    assert source.unknown == 2
