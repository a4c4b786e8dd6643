from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
