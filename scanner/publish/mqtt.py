"""Publishes a report to an MQTT broker: retained state, findings and summary (docs/mqtt.md).

    <prefix>/status                              who publishes, and whether it ended well (last will: `lost`)
    <prefix>/<site>/summary                      coverage and counts of the last scan
    <prefix>/<site>/<device>/state               what the device is
    <prefix>/<site>/<device>/finding/<policy>    one finding

A scan clears the findings that it closed: those of devices it saw again and that have none any more. Devices it
did not see keep theirs: switched off is not removed. A scan that was not completed clears nothing.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec

import scanner
from scanner.errors import ScanIncomplete, UsageProblem
from scanner.model import Action, Device, Report, Verdict

if TYPE_CHECKING:
    import aiomqtt

SCHEMA_VERSION = 1
PASSWORD_VARIABLE = "LANVETO_MQTT_PASSWORD"  # noqa: S105 - the name of the variable, not a password
CONNECT_SECONDS = 10.0
RETAINED_SECONDS = 0.6
"""Quiet time after which the broker has sent all the retained topics it holds."""
QOS = 1


@dataclass(frozen=True, slots=True)
class Broker:
    """Where to publish, and how to prove who we are."""

    host: str
    port: int
    prefix: str
    tls: bool = False
    user: str | None = None
    password: str | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __str__(self) -> str:
        scheme = "mqtts" if self.tls else "mqtt"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}/{self.prefix}"


def broker(
    url: str,
    *,
    password: str | None = None,
    password_file: Path | None = None,
    ca: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> Broker:
    """The broker of `mqtt://user@host:1883/prefix` or `mqtts://…`; `password` is the environment's.

    Raises `UsageProblem` for a URL that cannot be used, a password inside it (every local user could read it in the
    process list) and files that cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "mqtts"}:
        raise UsageProblem(f"--mqtt {_hide(url)}: begin it with mqtt:// or mqtts://")
    if parts.password is not None:
        raise UsageProblem(
            f"--mqtt {_hide(url)}: the password would stand in the process list; put it into the environment variable "
            f"{PASSWORD_VARIABLE} or a file (--mqtt-password-file)"
        )
    if not parts.hostname:
        raise UsageProblem(f"--mqtt {_hide(url)}: names no host")
    try:
        port = parts.port
    except ValueError as error:
        raise UsageProblem(f"--mqtt {_hide(url)}: {error}") from error
    prefix = parts.path.strip("/") or "lanveto"
    if re.search(r"[+#\x00]", prefix):
        raise UsageProblem(f"--mqtt {_hide(url)}: the prefix {prefix!r} holds a wildcard")
    tls = parts.scheme == "mqtts"
    if not tls and (ca or certificate or key):
        raise UsageProblem("--mqtt-ca, --mqtt-cert and --mqtt-key need a mqtts:// address")
    if (certificate is None) != (key is None):
        raise UsageProblem("--mqtt-cert and --mqtt-key belong together")
    if password_file is not None:
        try:
            password = password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageProblem(f"--mqtt-password-file {password_file}: cannot be read: {error}") from error
    for option, path in (("--mqtt-ca", ca), ("--mqtt-cert", certificate), ("--mqtt-key", key)):
        if path is not None and not path.is_file():
            raise UsageProblem(f"{option} {path}: there is no such file")
    return Broker(
        host=parts.hostname,
        port=port or (8883 if tls else 1883),
        prefix=prefix,
        tls=tls,
        user=unquote(parts.username) if parts.username else None,
        password=password,
        ca=ca,
        certificate=certificate,
        key=key,
    )


def _hide(url: str) -> str:
    return re.sub(r"(//[^:@/]*):[^@/]*@", r"\1:…@", url)


def segment(text: str) -> str:
    """One level of a topic: ASCII letters, digits, `_`, `-` and `.`; anything else becomes `_`."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:64] or "_"


def messages(report: Report, prefix: str) -> dict[str, bytes]:
    """Every retained topic of this report and its payload, `status` left out; summary last."""
    base = f"{prefix}/{segment(report.scan.site)}"
    head = _head(report)
    found: dict[str, bytes] = {}
    for device in report.devices:
        topic = f"{base}/{segment(device.key)}"
        for verdict in device.verdicts:
            if verdict.action is not Action.NONE and not verdict.waived:
                found[f"{topic}/finding/{segment(verdict.policy)}"] = _json(head | _finding(device, verdict))
        found[f"{topic}/state"] = _json(head | _state(device))
    found[f"{base}/summary"] = _json(head | _summary(report))
    return found


def closed(report: Report, prefix: str, retained: set[str]) -> list[str]:
    """The retained finding topics that this report closes; none where the scan was not completed."""
    if report.scan.interrupted or report.scan.failures:
        return []
    base = f"{prefix}/{segment(report.scan.site)}"
    seen = tuple(f"{base}/{segment(device.key)}/finding/" for device in report.devices)
    open_ = messages(report, prefix)
    return sorted(topic for topic in retained if topic.startswith(seen) and topic not in open_)


async def publish(report: Report, target: Broker) -> int:
    """Publish all messages of a report with QoS 1 and wait for each to be taken; returns how many.

    Raises `ScanIncomplete` naming the broker where it cannot be reached, refuses us or goes away in the middle.
    """
    import aiomqtt

    try:
        async with _client(target) as client:
            retained = await _retained(client, f"{target.prefix}/{segment(report.scan.site)}/+/finding/+")
            gone = closed(report, target.prefix, retained)
            for topic in gone:
                await client.publish(topic, b"", qos=QOS, retain=True)
            wanted = messages(report, target.prefix)
            for topic, payload in wanted.items():
                await client.publish(topic, payload, qos=QOS, retain=True)
            await client.publish(
                f"{target.prefix}/status", _json(_head(report) | {"state": _end(report)}), qos=QOS, retain=True
            )
            return len(wanted) + len(gone) + 1
    except (aiomqtt.MqttError, TimeoutError, OSError, ssl.SSLError) as error:
        raise ScanIncomplete(
            f"the results were not published: {target}: {str(error) or type(error).__name__}. The report is complete; "
            "check that the broker runs and lets this user publish"
        ) from error


@asynccontextmanager
async def _client(target: Broker) -> AsyncIterator[aiomqtt.Client]:
    import aiomqtt

    lost = {"schema": SCHEMA_VERSION, "tool": "lanveto", "version": scanner.__version__, "state": "lost"}
    client = aiomqtt.Client(
        target.host,
        target.port,
        username=target.user,
        password=target.password,
        tls_context=_tls(target) if target.tls else None,
        will=aiomqtt.Will(f"{target.prefix}/status", _json(lost), qos=QOS, retain=True),
        timeout=CONNECT_SECONDS,
    )
    async with asyncio.timeout(CONNECT_SECONDS):
        await client.__aenter__()
    try:
        yield client
    finally:
        await client.__aexit__(None, None, None)


def _tls(target: Broker) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(target.ca) if target.ca else None)
        if target.certificate and target.key:
            context.load_cert_chain(target.certificate, target.key)
    except (ssl.SSLError, OSError) as error:
        raise UsageProblem(f"{target}: the certificate files cannot be used: {error}") from error
    return context


async def _retained(client: aiomqtt.Client, pattern: str) -> set[str]:
    """Topics the broker holds below `pattern`; it sends them at once, so a short silence ends the list."""
    await client.subscribe(pattern, qos=0)
    found: set[str] = set()
    stream = aiter(client.messages)
    while True:
        try:
            async with asyncio.timeout(RETAINED_SECONDS):
                message = await anext(stream)
        except (TimeoutError, StopAsyncIteration):
            break
        if message.retain and message.payload:
            found.add(str(message.topic))
    await client.unsubscribe(pattern)
    return found


def _end(report: Report) -> str:
    if report.scan.interrupted:
        return "interrupted"
    return "failed" if report.scan.failures else "completed"


def _json(content: Any) -> bytes:
    return msgspec.json.encode(content)


def _head(report: Report) -> dict[str, Any]:
    version = report.rules_version
    return {
        "schema": SCHEMA_VERSION,
        "scan": report.scan.id,
        "time": report.scan.finished or datetime.now(tz=UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "site": report.scan.site,
        "tool": "lanveto",
        "version": scanner.__version__,
        "rules": version.rules_as_of,
        "rules_sha256": version.rules_sha256,
    }


def _state(device: Device) -> dict[str, Any]:
    identity = device.identity
    return {
        "device": device.key,
        "ip": device.recording.ip,
        "mac": device.recording.mac,
        "manufacturer": identity.manufacturer,
        "brand": identity.brand,
        "kind": identity.kind,
        "model": identity.model,
        "firmware": identity.firmware,
        "serial": identity.serial,
        "confidence": round(identity.confidence, 4),
        "level": identity.level,
        "action": device.action,
        "evidence": [m.fingerprint for m in identity.matches],
        "waived": [v.policy for v in device.verdicts if v.waived],
    }


def _finding(device: Device, verdict: Verdict) -> dict[str, Any]:
    return {
        "device": device.key,
        "ip": device.recording.ip,
        "mac": device.recording.mac,
        "manufacturer": device.identity.manufacturer,
        "brand": device.identity.brand,
        "level": device.identity.level,
        "policy": verdict.policy,
        "title": verdict.title,
        "effect": verdict.effect,
        "binds_you": verdict.binds_you,
        "action": verdict.action,
        "entity": verdict.entity,
        "path": verdict.path,
        "citation": verdict.citation,
        "because": verdict.because,
    }


def _summary(report: Report) -> dict[str, Any]:
    cover = report.coverage
    actions = {action.value: sum(1 for d in report.devices if d.action is action) for action in Action}
    return {
        "state": _end(report),
        "started": report.scan.started,
        "finished": report.scan.finished,
        "failures": report.scan.failures,
        "profiles": report.scan.profiles,
        "addresses": cover.addresses,
        "alive": cover.alive,
        "identified": cover.identified,
        "unknown": len(cover.unknown),
        "silent": len(cover.silent),
        "excluded": cover.excluded,
        "methods_not_run": [m.name for m in cover.methods if not m.ran],
        "warnings": cover.warnings,
        "actions": actions,
    }
