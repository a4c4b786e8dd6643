"""Publishes a report to an MQTT broker: retained state, findings and summary (docs/mqtt.md).

    <prefix>/status                              who publishes, and whether it ended well (last will: `lost`)
    <prefix>/<site>/summary                      coverage and counts of the last scan
    <prefix>/<site>/<device>/state               what the device is
    <prefix>/<site>/<device>/finding/<policy>    one finding
    <prefix>/<site>/event/<kind>                 something that happened, not retained (`lanveto watch`)

`publish` sends one report directly; `Mqtt` is the sink of the outbox, for `lanveto watch` and `scan --store`.

A scan clears the findings that it closed: those of devices it saw again and that have none any more. Devices it
did not see keep theirs: switched off is not removed. A scan that was not completed clears nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import unquote, urlsplit

import msgspec

import scanner
from scanner.errors import ScanIncomplete, UsageProblem
from scanner.model import Action, Level, Report
from scanner.publish import Unavailable, documents, secret
from scanner.publish.choice import Choice
from scanner.store.outbox import Draft

if TYPE_CHECKING:
    import aiomqtt

PASSWORD_VARIABLE = "LANVETO_MQTT_PASSWORD"  # noqa: S105 - the name of the variable, not a password
CONNECT_SECONDS = 10.0
RETAINED_SECONDS = 0.6
"""Quiet time after which the broker has sent all the retained topics it holds."""
QOS = 1
SETTLE_SECONDS = 20.0
"""Time in which a broker must take what was sent to it."""
_SURE = frozenset({Level.LIKELY, Level.CONFIRMED})


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
    head = documents.head(report)
    found: dict[str, bytes] = {}
    for device in report.devices:
        topic = f"{base}/{segment(device.key)}"
        for verdict in device.verdicts:
            if verdict.action is not Action.NONE and not verdict.waived:
                found[f"{topic}/finding/{segment(verdict.policy)}"] = documents.json(
                    head | documents.finding(device, verdict)
                )
        found[f"{topic}/state"] = documents.json(head | documents.state(device))
    found[f"{base}/summary"] = documents.json(head | documents.summary(report))
    return found


def closed(report: Report, prefix: str, retained: set[str]) -> list[str]:
    """The retained finding topics that this report closes; none where the scan was not completed."""
    if report.scan.interrupted or report.scan.failures:
        return []
    base = f"{prefix}/{segment(report.scan.site)}"
    # A device that could not be named this time keeps its findings: unknown is not clear.
    named = [d for d in report.devices if d.identity.level in _SURE]
    seen = tuple(f"{base}/{segment(device.key)}/finding/" for device in named)
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
                f"{target.prefix}/status",
                documents.json(documents.head(report) | {"state": documents.end(report)}),
                qos=QOS,
                retain=True,
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

    lost = {"schema": documents.SCHEMA_VERSION, "tool": "lanveto", "version": scanner.__version__, "state": "lost"}
    client = aiomqtt.Client(
        target.host,
        target.port,
        username=target.user,
        password=target.password,
        tls_context=_tls(target) if target.tls else None,
        will=aiomqtt.Will(f"{target.prefix}/status", documents.json(lost), qos=QOS, retain=True),
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


class _Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """`[publish.mqtt]`."""

    url: str
    """mqtt://user@host:1883/prefix, or mqtts:// for TLS."""
    password_file: str | None = None
    """Else the environment variable LANVETO_MQTT_PASSWORD."""
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    protocol: str = "auto"
    """`5`, `3.1.1`, or `auto`: 5 where the broker knows it."""
    expiry: int = 7 * 86400
    """Seconds after which a broker may drop an event that nobody has fetched (MQTT 5)."""
    home_assistant: str | None = None
    """Home Assistant's discovery prefix, usually `homeassistant`."""
    client_id: str | None = None


class Mqtt:
    """The sink of the outbox."""

    Settings: ClassVar[type[msgspec.Struct]] = _Settings
    slots: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ()
    parallel: ClassVar[int] = 500

    def __init__(self, settings: _Settings, choice: Choice) -> None:
        if settings.protocol not in {"auto", "5", "3.1.1"}:
            raise UsageProblem(f"protocol: {settings.protocol!r}: is auto, 5 or 3.1.1")
        if settings.expiry < 0 or settings.expiry > 0xFFFFFFFF:
            raise UsageProblem("expiry: must lie between 0 (never) and 4294967295 seconds")
        paths = {name: Path(value) if (value := getattr(settings, name)) else None for name in ("ca", "cert", "key")}
        self.broker = broker(
            settings.url, password=secret(settings.password_file, PASSWORD_VARIABLE, "password-file"), ca=paths["ca"],
            certificate=paths["cert"], key=paths["key"],
        )  # fmt: skip
        self.settings = settings
        self.choice = choice
        self.five = settings.protocol != "3.1.1"
        """Whether MQTT 5 is spoken; a broker that does not know it changes that."""

    def __str__(self) -> str:
        return str(self.broker)

    def session(self) -> _Session:
        """A connection."""
        return _Session(self)

    def topics(self, draft: Draft) -> list[tuple[str, bytes, bool]]:
        """Topic, payload and whether it is retained, for one message; none where the filter leaves it out."""
        base = f"{self.broker.prefix}/{segment(draft.site)}"
        told = msgspec.json.decode(draft.body) if draft.body else {}
        place = f"{base}/{segment(draft.device or '')}"
        if draft.kind == "summary":
            return [(f"{base}/summary", draft.body, True)]
        if draft.kind == "finding":
            # What the filter leaves out is cleared: it may have passed before.
            body = draft.body if told and self.choice.wants_finding(told) else b""
            return [(f"{place}/finding/{segment(draft.policy or '')}", body, True)]
        if draft.kind == "state":
            wanted = self.choice.wants_state(told)
            found = [(f"{place}/state", draft.body if wanted else b"", True)]
            return found + (self._discovery(told, place) if self.settings.home_assistant and wanted else [])
        if not self.choice.wants_event(told):
            return []
        return [(f"{base if draft.site else self.broker.prefix}/event/{segment(draft.kind)}", draft.body, False)]

    def _discovery(self, told: Mapping[str, Any], place: str) -> list[tuple[str, bytes, bool]]:
        """The entities of a device for Home Assistant; it merges them with others by `connections`."""
        site, key = segment(str(told["site"])), segment(str(told["device"]))
        unique = re.sub(r"[^A-Za-z0-9_-]", "_", f"lanveto_{site}_{key}")
        maker = told.get("brand") or told.get("manufacturer")
        name = " ".join(str(part) for part in (maker, told.get("model")) if part) or str(told.get("ip") or key)
        about: dict[str, Any] = {"identifiers": [unique], "name": name[:80]}
        if told.get("mac"):
            about["connections"] = [["mac", told["mac"]]]
        for ours, theirs in (("manufacturer", "manufacturer"), ("model", "model"), ("firmware", "sw_version")):
            if told.get(ours):
                about[theirs] = str(told[ours])[:100]
        shared = {
            "state_topic": f"{place}/state", "json_attributes_topic": f"{place}/state", "device": about,
            "availability_topic": f"{self.broker.prefix}/status",
            "availability_template": "{{ 'online' if value_json.state == 'online' else 'offline' }}",
            "origin": {"name": "lanveto", "sw_version": scanner.__version__},
        }  # fmt: skip
        # Of a device that could not be named nothing is said: "no finding" would read as "clear".
        problem = (
            "{% if value_json.findings | length > 0 %}ON{% elif value_json.level in ['likely', 'confirmed'] %}OFF"
            "{% else %}None{% endif %}"
        )
        entities = (
            ("binary_sensor", "finding", {"name": "Finding", "device_class": "problem", "value_template": problem}),
            ("sensor", "action", {"name": "Asked action", "value_template": "{{ value_json.action }}"}),
            ("sensor", "maker", {"name": "Maker", "value_template": "{{ value_json.manufacturer or 'unknown' }}"}),
        )
        prefix = str(self.settings.home_assistant).strip("/")
        return [
            (f"{prefix}/{component}/{unique}/{entity}/config",
             documents.json(shared | more | {"unique_id": f"{unique}_{entity}"}), True)
            for component, entity, more in entities
        ]  # fmt: skip


class _Session:
    """One connection of the sink: messages are pipelined, and each is taken only when the broker has said so."""

    def __init__(self, sink: Mqtt) -> None:
        self.again = asyncio.Event()
        self._sink = sink
        self._client: Any = None
        self._listener: asyncio.Task[None] | None = None
        self._told: dict[str, bytes] = {}

    async def __aenter__(self) -> Self:
        import aiomqtt

        client = _pipelined(self._sink)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.__aenter__()
        except (aiomqtt.MqttError, TimeoutError, OSError, ssl.SSLError, ValueError) as error:
            if self._sink.five and self._sink.settings.protocol == "auto" and "version" in str(error).lower():
                self._sink.five = False
            raise Unavailable(_words(error)) from error
        self._client = client
        if self._sink.settings.home_assistant:
            await self._client.subscribe(f"{self._sink.settings.home_assistant.strip('/')}/status", qos=QOS)
            self._listener = asyncio.create_task(self._listen(), name="mqtt-birth")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import contextlib

        import aiomqtt

        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError, OSError, Unavailable):
            if kind is None or issubclass(kind, asyncio.CancelledError):
                await self._status({"state": "offline"})
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._client.__aexit__(None, None, None)

    async def send(self, messages: Sequence[Draft]) -> Sequence[str | None]:
        """All messages at once, in order; the answer of the broker for each."""
        waiting: list[list[tuple[str, asyncio.Future[Any]]]] = []
        for draft in messages:
            own = []
            for topic, payload, retain in self._sink.topics(draft):
                if topic.endswith("/config") and self._told.get(topic) == payload and not self.again.is_set():
                    continue
                own.append((topic, self._client.hand_over(topic, payload, retain)))
                if topic.endswith("/config"):
                    self._told[topic] = payload
            waiting.append(own)
        try:
            await self._settled([future for own in waiting for _, future in own])
        except Unavailable:
            # Some brokers hang up after a refusal; what they had answered by then counts.
            waiting = list(itertools.takewhile(lambda own: all(map(_answered, (f for _, f in own))), waiting))
            if not waiting or not waiting[0]:
                raise
        answers: list[str | None] = []
        for own in waiting:
            bad = [f"{topic}: {code}" for topic, f in own if getattr(code := f.result(), "value", 0) >= 0x80]
            answers.append("; ".join(bad) or None)
        return answers

    async def beat(self, status: Mapping[str, Any]) -> None:
        """The retained status, with the time."""
        await self._status({"state": "online"} | dict(status))

    async def _status(self, told: Mapping[str, Any]) -> None:
        body = {"schema": documents.SCHEMA_VERSION, "tool": "lanveto", "version": scanner.__version__,
                "time": documents.now()} | dict(told)  # fmt: skip
        future = self._client.hand_over(f"{self._sink.broker.prefix}/status", documents.json(body), True)
        await self._settled([future])

    async def _settled(self, futures: list[asyncio.Future[Any]]) -> None:
        """Until the broker has answered all. Raises `Unavailable` where it goes away, or is too slow."""
        if not futures:
            if self._client.gone.done():
                raise Unavailable("the broker has closed the connection")
            return
        done = asyncio.gather(*futures)
        try:
            async with asyncio.timeout(SETTLE_SECONDS + 0.01 * len(futures)):
                await asyncio.wait({done, self._client.gone}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise Unavailable(f"the broker has not taken {len(futures)} messages in time") from None
        finally:
            done.cancel()
            await asyncio.gather(done, return_exceptions=True)
        if not all(f.done() and not f.cancelled() for f in futures):
            raise Unavailable("the broker has closed the connection")

    async def _listen(self) -> None:
        """Home Assistant says `online` when it has started: it has forgotten its entities."""
        import aiomqtt

        try:
            async for message in self._client.messages:
                if message.payload == b"online" and not message.retain:
                    self._told.clear()
                    self.again.set()
        except aiomqtt.MqttError:
            return


def _answered(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled()


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _pipelined(sink: Mqtt) -> Any:
    """Aiomqtt's client, which in addition hands messages over without waiting and tells what the broker answered.

    aiomqtt 2 drops the reason a broker gives with its acknowledgement: a refused topic would look delivered.
    """
    import aiomqtt
    import paho.mqtt.client as paho
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    class Pipelined(aiomqtt.Client):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._answers: dict[int, asyncio.Future[Any]] = {}
            self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def hand_over(self, topic: str, payload: bytes, retain: bool) -> asyncio.Future[Any]:
            properties = None
            if sink.five and not retain and sink.settings.expiry:
                properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
                properties.MessageExpiryInterval = sink.settings.expiry
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            info = self._client.publish(topic, payload, QOS, retain, properties)
            if info.rc not in (paho.MQTT_ERR_SUCCESS, paho.MQTT_ERR_QUEUE_SIZE):
                raise Unavailable(paho.error_string(info.rc))
            self._answers[info.mid] = future
            return future

        def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any = None) -> None:
            future = self._answers.pop(mid, None)
            if future is None:
                super()._on_publish(client, userdata, mid, reason_code, properties)
            elif not future.done():
                future.set_result(reason_code)

        def _on_disconnect(
            self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None
        ) -> None:
            super()._on_disconnect(client, userdata, flags, reason_code, properties)
            if self._disconnected.done() and not self._disconnected.cancelled():
                self._disconnected.exception()  # seen: asyncio would complain of it at the end
            if not self.gone.done():
                self.gone.set_result(None)
            for future in self._answers.values():
                future.cancel()
            self._answers.clear()

    target = sink.broker
    lost = {"schema": documents.SCHEMA_VERSION, "tool": "lanveto", "version": scanner.__version__, "state": "lost"}
    return Pipelined(
        target.host,
        target.port,
        username=target.user,
        password=target.password,
        identifier=sink.settings.client_id,
        protocol=aiomqtt.ProtocolVersion.V5 if sink.five else aiomqtt.ProtocolVersion.V311,
        tls_context=_tls(target) if target.tls else None,
        will=aiomqtt.Will(f"{target.prefix}/status", documents.json(lost), qos=QOS, retain=True),
        max_inflight_messages=200,
        timeout=CONNECT_SECONDS,
        keepalive=30,
    )


SINK = Mqtt
