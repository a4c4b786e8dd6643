from __future__ import annotations

from scanner import channels
from scanner.model import Transport


def test_exact_open_and_foreign_names() -> None:
    assert channels.find("http.title") is not None
    assert channels.find("http.header.server") == channels.CHANNELS["http.header.*"]
    assert channels.find("x-acme.banner") is not None
    for name in ("http.nonsense", "http.header.", "nonsense", "x-.a", "x-acme", "http.header.*"):
        assert channels.find(name) is None, name


def test_families_hold_what_one_question_learns() -> None:
    assert channels.family("http.header.server") == channels.family("http.response") == "http"
    assert channels.family("mac") == "oui"
    assert channels.family("onvif.scopes") == channels.family("wsdiscovery.response")
    assert channels.family("nonsense") == "nonsense"


def test_registered_transport() -> None:
    assert channels.transport("sadp.response") is Transport.UDP
    assert channels.transport("mac") is Transport.L2
    assert channels.transport("http.body") is Transport.TCP


def test_documented_names_are_in_the_vocabulary(root) -> None:  # type: ignore[no-untyped-def]
    import re

    text = (root / "docs" / "recordings.md").read_text(encoding="utf-8").split("## Channels")[1].split("## Truth")[0]
    for name in re.findall(r"`([a-z0-9.<>-]+\.[a-z0-9_<>-]+[a-z0-9_.<>-]*)`", text):
        probe = re.sub(r"<[a-z]+>", "x", name).rstrip(".")
        if probe.startswith("x-"):
            continue
        assert channels.find(probe) is not None, name
