"""The MQTT sink against a real mosquitto on loopback."""

from __future__ import annotations

import asyncio
import gc
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scanner.errors import ScanIncomplete, UsageProblem
from scanner.model import Action, Device, Report
from scanner.publish import documents
from scanner.publish.mqtt import Broker, broker, closed, publish, segment, topic
from tests.brokers import free_port, held, running, start
from tests.publish.doubles import certificates

pytestmark = pytest.mark.xdist_group("mosquitto")


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[int]:
    """A broker of our own; only the user `probe` may publish."""
    port = free_port()
    passwords = tmp_path / "passwords"
    passwd = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
    subprocess.run([passwd, "-b", "-c", str(passwords), "probe", "secret"], check=True, capture_output=True)
    passwords.chmod(0o644)
    tmp_path.chmod(0o755)
    config = f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\nuser root\n"
    with running(config, tmp_path, port):
        yield port


def _target(port: int, password: str = "secret") -> Broker:
    return broker(f"mqtt://probe@127.0.0.1:{port}/site/lanveto", password=password)


def _topics(report: Report) -> list[str]:
    return [topic("p", draft) for draft in documents.standing(report)]


def _held(port: int) -> dict[str, dict[str, Any]]:
    """Everything retained, as a fresh subscriber sees it."""
    return asyncio.run(held(port, "site/#", username="probe", password="secret"))


def test_state_findings_and_summary_are_retained(mosquitto: int, make_report: Callable[..., Report]) -> None:
    asyncio.run(publish(make_report(), _target(mosquitto)))
    found = _held(mosquitto)
    device = "site/lanveto/hq/3cef8c112233"
    assert set(found) == {
        "site/lanveto/status",
        "site/lanveto/hq/summary",
        f"{device}/state",
        f"{device}/finding/us-889-a1b",
    }
    finding = found[f"{device}/finding/us-889-a1b"]
    assert finding["action"] == "remove"
    assert finding["schema"] == 1
    assert finding["scan"] == "scan-1"
    assert found["site/lanveto/status"]["state"] == "completed"
    assert found["site/lanveto/hq/summary"]["actions"]["remove"] == 1


def test_a_scan_clears_what_it_closed_and_nothing_else(
    mosquitto: int, make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    other = make_device(mac="aa:bb:cc:00:00:01", id_="other")
    asyncio.run(publish(make_report(make_device(), other), _target(mosquitto)))
    # The first device is seen again without its finding; the other one is switched off.
    asyncio.run(publish(make_report(make_device(action=None)), _target(mosquitto)))
    found = _held(mosquitto)
    assert "site/lanveto/hq/3cef8c112233/finding/us-889-a1b" not in found
    assert "site/lanveto/hq/aabbcc000001/finding/us-889-a1b" in found


def test_an_incomplete_scan_clears_nothing(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    topic = "p/hq/3cef8c112233/finding/us-889-a1b"
    assert closed(make_report(make_device(action=None)), "p", {topic}) == [topic]
    assert closed(make_report(make_device(action=None), interrupted=True), "p", {topic}) == []
    assert closed(make_report(make_device(action=None), failures=("x",)), "p", {topic}) == []


def test_no_finding_topic_for_action_none(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    assert not [t for t in _topics(make_report(make_device(action=Action.NONE))) if "/finding/" in t]


def test_topics_are_ascii_and_cannot_be_broken_out_of(
    make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    assert segment("a/+#é\x00") == "a_____"
    device = replace(make_device(), key="../+/#")
    assert all(
        t.startswith("p/hq_1/") or t == "p/hq_1/summary" for t in _topics(make_report(device, site="hq/1"))
    )
    assert not [t for t in _topics(make_report(device)) if "+" in t or "#" in t]


def test_a_broker_that_is_down_or_refuses_is_named(mosquitto: int, make_report: Callable[..., Report]) -> None:
    with pytest.raises(ScanIncomplete, match=r"mqtt://127\.0\.0\.1:\d+/p.*not published|not published.*mqtt://"):
        asyncio.run(publish(make_report(), broker(f"mqtt://127.0.0.1:{free_port()}/p")))
    with pytest.raises(ScanIncomplete, match="not published"):
        asyncio.run(publish(make_report(), _target(mosquitto, password="wrong")))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_with_a_client_certificate(
    tmp_path: Path, make_report: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanner.publish.mqtt.CONNECT_SECONDS", 3.0)  # TLS 1.3 refuses a client by silence

    certificates(tmp_path, "server", "client")
    port = free_port()
    process = start(
        f"listener {port} 127.0.0.1\ncafile {tmp_path}/ca.pem\ncertfile {tmp_path}/server.pem\n"
        f"keyfile {tmp_path}/server.key\nrequire_certificate true\nallow_anonymous true\nuser root\n",
        tmp_path,
        port,
    )
    try:
        url = f"mqtts://127.0.0.1:{port}/p"
        ca, certificate, key = (tmp_path / name for name in ("ca.pem", "client.pem", "client.key"))
        assert asyncio.run(publish(make_report(), broker(url, ca=ca, certificate=certificate, key=key))) == 4
        with pytest.raises(ScanIncomplete):
            asyncio.run(publish(make_report(), broker(url, ca=ca)))
        with pytest.raises(ScanIncomplete):
            asyncio.run(publish(make_report(), broker(url, certificate=certificate, key=key)))
        gc.collect()  # the MQTT library leaves the sockets of refused handshakes to the collector
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://h/p", "mqtt://"),
        ("mqtt://u:secret@h/p", "process list"),
        ("mqtt:///p", "no host"),
        ("mqtt://h:x/p", "Port|port"),
        ("mqtt://h/a/+/b", "wildcard"),
    ],
)
def test_addresses_that_cannot_be_used(url: str, reason: str) -> None:
    with pytest.raises(UsageProblem, match=reason) as caught:
        broker(url)
    assert "secret" not in str(caught.value)


def test_address_parts(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    found = broker("mqtts://us%40er@[::1]", password_file=secret)
    assert (found.host, found.port, found.prefix, found.user, found.password) == (
        "::1",
        8883,
        "lanveto",
        "us@er",
        "s3cret",
    )
    with pytest.raises(UsageProblem, match="belong together"):
        broker("mqtts://h", certificate=secret)
    with pytest.raises(UsageProblem, match="mqtts"):
        broker("mqtt://h", ca=secret)
