"""Publishes a report to an MQTT broker: retained state, findings and summary (docs/mqtt.md).

    <prefix>/status                              who publishes, and whether it ended well (last will: `lost`)
    <prefix>/<site>/summary                      coverage and counts of the last scan
    <prefix>/<site>/<device>/state               what the device is
    <prefix>/<site>/<device>/finding/<policy>    one finding
    <prefix>/<site>/event/<kind>                 something that happened, not retained (`lanveto watch`)

`Mqtt` is the sink of the outbox, for `lanveto watch` and `scan --store`; `publish` sends one report through it at once.

A scan clears the findings that it closed: those of devices it saw again and that have none any more. Devices it
did not see keep theirs: switched off is not removed. A scan that was not completed clears nothing.

A broker may forget: each connection of the sink begins with all that is true now (`restore`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import ssl
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import unquote, urlsplit

import msgspec

from scanner.errors import ScanIncomplete, UsageProblem
from scanner.model import SURE, Report
from scanner.publish import Doubtful, Unavailable, documents, secret, shapes
from scanner.publish.choice import Choice
from scanner.store.outbox import Draft

PASSWORD_VARIABLE = "LANVETO_MQTT_PASSWORD"  # noqa: S105 - the name of the variable, not a password
CONNECT_SECONDS = 10.0
RETAINED_SECONDS = 0.6
"""Quiet time after which the broker has sent all the retained topics it holds."""
QOS = 1
SETTLE_SECONDS = 20.0
"""Time in which a broker must take what was sent to it."""
_OVERHEAD = 24
"""Bytes of a message besides topic and payload, at most: header, length, id, expiry."""


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


def topic(prefix: str, draft: Draft) -> str:
    """Where a message goes."""
    base = f"{prefix}/{segment(draft.site)}"
    place = f"{base}/{segment(draft.device or '')}"
    if draft.kind == "summary":
        return f"{base}/summary"
    if draft.kind == "finding":
        return f"{place}/finding/{segment(draft.policy or '')}"
    if draft.kind == "state":
        return f"{place}/state"
    return f"{base if draft.site else prefix}/event/{segment(draft.kind)}"


def closed(report: Report, prefix: str, retained: Collection[str]) -> list[str]:
    """The retained finding topics that this report closes; none where the scan was not completed."""
    if report.scan.end != "completed":
        return []
    # A device that could not be named this time keeps its findings: unknown is not clear.
    named = {device.key for device in report.devices if device.identity.level in SURE}
    drafts = list(documents.standing(report))
    return _strays(prefix, [draft for draft in drafts if draft.device in named], retained)


def _strays(prefix: str, drafts: Iterable[Draft], retained: Collection[str]) -> list[str]:
    """Retained finding topics of the devices of these messages that are not among them."""
    places: set[str] = set()
    wanted: set[str] = set()
    for draft in drafts:
        if draft.kind == "state":
            places.add(topic(prefix, draft).removesuffix("/state"))
        elif draft.kind == "finding" and draft.body:
            wanted.add(topic(prefix, draft))
    return sorted(t for t in retained if t not in wanted and t.rpartition("/finding/")[0] in places)


async def publish(report: Report, target: Broker) -> int:
    """Publish what a report holds, with QoS 1, and wait until all of it is taken; returns how many messages.

    Raises `ScanIncomplete` naming the broker where it cannot be reached, refuses us or a message, or goes away.
    """
    sink = Mqtt.to(target)
    try:
        try:
            return await _publish(report, sink)
        except Unavailable:
            if sink.five:
                raise
            return await _publish(report, sink)  # the broker knows 3.1.1 only
    except (Unavailable, Doubtful) as error:
        raise ScanIncomplete(
            f"the results were not published: {target}: {error}. The report is complete; "
            "check that the broker runs and lets this user publish"
        ) from error


async def _publish(report: Report, sink: Mqtt) -> int:
    prefix = sink.broker.prefix
    drafts = list(documents.standing(report))
    async with sink.session() as session:
        retained = await session.held([f"{prefix}/{segment(report.scan.site)}/+/finding/+"])
        gone = closed(report, prefix, retained)
        await session.clear(gone)
        done = 0
        while done < len(drafts):
            some = drafts[done : done + sink.parallel]
            answers = await session.send(some)
            if refused := next((answer for answer in answers if answer), None):
                raise Unavailable(refused)
            done += len(answers)
        await session.status(documents.ended(report))
        return len(drafts) + len(gone) + 1


def _ready(target: Broker) -> ssl.SSLContext | None:
    """Everything that has to be read from disk: the library, and how TLS is spoken, where it is."""
    import aiomqtt  # noqa: F401

    if not target.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=str(target.ca) if target.ca else None)
        if target.certificate and target.key:
            context.load_cert_chain(target.certificate, target.key)
    except (ssl.SSLError, OSError) as error:
        raise UsageProblem(f"{target}: the certificate files cannot be used: {error}") from error
    return context


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

    @classmethod
    def to(cls, target: Broker) -> Mqtt:
        """A sink of this broker, with nothing else set up."""
        sink = cls(_Settings(url=str(target)), Choice())
        sink.broker = target
        return sink

    def topics(self, draft: Draft) -> list[tuple[str, bytes, bool]]:
        """Topic, payload and whether it is retained, for one message; none where the filter leaves it out."""
        where = topic(self.broker.prefix, draft)
        told = msgspec.json.decode(draft.body) if draft.body else {}
        if draft.kind == "summary":
            return [(where, draft.body, True)]
        if draft.kind == "finding":
            # What the filter leaves out is cleared: it may have passed before.
            return [(where, draft.body if told and self.choice.wants_finding(told) else b"", True)]
        if draft.kind == "state":
            wanted = bool(told) and self.choice.wants_state(told)
            own = (where, draft.body if wanted else b"", True)
            return [own, *self._discovery(draft, told if wanted else {}, where)]
        return [(where, draft.body, False)] if self.choice.wants_event(told) else []

    def _discovery(self, draft: Draft, told: Mapping[str, Any], where: str) -> list[tuple[str, bytes, bool]]:
        """The entities of a device for Home Assistant; empty ones, which it removes, where nothing is told of it."""
        if not self.settings.home_assistant:
            return []
        base = self.settings.home_assistant.strip("/")
        unique = documents.unique_id(draft.site, draft.device or "")
        if not told:
            return [(f"{base}/{component}/{unique}/{name}/config", b"", True) for component, name in documents.ENTITIES]
        found = documents.entities(told, where, f"{self.broker.prefix}/status")
        return [(f"{base}/{kind}/{unique}/{name}/config", documents.json(one), True) for kind, name, one in found]


class _Session:
    """One connection of the sink: messages are pipelined, and each is taken only when the broker has said so."""

    def __init__(self, sink: Mqtt) -> None:
        self.again = asyncio.Event()
        self._sink = sink
        self._client: Any = None
        self._listener: asyncio.Task[None] | None = None
        self._told: dict[str, bytes] = {}
        self._retained: set[str] = set()
        self._online = False

    async def __aenter__(self) -> Self:
        context = await asyncio.to_thread(_ready, self._sink.broker)
        import aiomqtt

        client = _pipelined(self._sink, context)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.__aenter__()
        except (aiomqtt.MqttError, TimeoutError, OSError, ssl.SSLError, ValueError) as error:
            if self._sink.five and self._sink.settings.protocol == "auto" and "version" in str(error).lower():
                self._sink.five = False
            raise Unavailable(client.refused(error)) from error
        self._client = client
        client.watch()
        self._listener = asyncio.create_task(self._listen(), name="mqtt-listen")
        if self._sink.settings.home_assistant:
            await self._subscribe(f"{self._sink.settings.home_assistant.strip('/')}/status")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import aiomqtt

        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError, OSError, Unavailable, ValueError):
            if self._online and (kind is None or issubclass(kind, asyncio.CancelledError)):
                await self.status(documents.status("offline"))
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._client.__aexit__(None, None, None)

    async def restore(self, slots: Sequence[Draft], waiting: Sequence[Draft]) -> None:
        """Tell all that is true now, and clear retained findings of these devices that are none.

        A broker that was killed comes back with what it had written down some time ago.
        """
        prefix = self._sink.broker.prefix
        sites = sorted({segment(draft.site) for draft in slots if draft.kind == "state"})
        retained = await self.held([f"{prefix}/{site}/+/finding/+" for site in sites])
        await self.clear(_strays(prefix, [*slots, *waiting], retained))
        done = 0
        while done < len(slots):
            done += len(await self.send(slots[done : done + self._sink.parallel]))

    async def send(self, messages: Sequence[Draft]) -> Sequence[str | None]:
        """All messages at once, in order; the answer of the broker for each."""
        pending: list[list[tuple[str, asyncio.Future[Any]]]] = []
        for draft in messages:
            own = []
            for where, payload, retain in self._sink.topics(draft):
                if where.endswith("/config") and self._told.get(where) == payload and not self.again.is_set():
                    continue
                own.append((where, self._client.hand_over(where, payload, retain)))
                if where.endswith("/config"):
                    self._told[where] = payload
            pending.append(own)
        everything = [future for own in pending for _, future in own]
        try:
            await self._settled(everything)
        except Unavailable as problem:
            # Some brokers hang up after a refusal; what they had answered by then counts.
            pending = list(itertools.takewhile(lambda own: all(map(_answered, (f for _, f in own))), pending))
            if not any(pending):
                if everything and self._client.gone.done():
                    raise Doubtful(len(pending), str(problem)) from problem
                raise
        return [
            "; ".join(f"{where}: {code}" for where, f in own if getattr(code := f.result(), "value", 0) >= 0x80) or None
            for own in pending
        ]

    async def clear(self, topics: Sequence[str]) -> None:
        """Empty retained topics."""
        await self._settled([self._client.hand_over(where, b"", True) for where in topics])

    async def held(self, patterns: Sequence[str]) -> set[str]:
        """Topics the broker holds below these patterns; it sends them at once, so a short silence ends the list."""
        import aiomqtt

        self._retained = set()
        for pattern in patterns:
            await self._subscribe(pattern)
        count = -1
        while patterns and count != len(self._retained):
            count = len(self._retained)
            await asyncio.sleep(RETAINED_SECONDS)
        for pattern in patterns:
            with contextlib.suppress(aiomqtt.MqttError):  # whoever sends next hears it
                await self._client.unsubscribe(pattern)
        return self._retained

    async def beat(self, status: Mapping[str, Any]) -> None:
        """The retained status, with the time."""
        await self.status(documents.status(**({"state": "online"} | dict(status))))

    async def status(self, told: shapes.Status) -> None:
        """Retain a status. After `online` the end of the session says `offline`."""
        self._online = told.state == "online"
        future = self._client.hand_over(f"{self._sink.broker.prefix}/status", documents.json(told), True)
        await self._settled([future])

    async def _subscribe(self, pattern: str) -> None:
        import aiomqtt

        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._client.subscribe(pattern, qos=QOS)
        except (aiomqtt.MqttError, TimeoutError) as error:
            raise Unavailable(self._client.refused(error)) from error

    async def _settled(self, futures: list[asyncio.Future[Any]]) -> None:
        """Until the broker has answered all. Raises `Unavailable` where it goes away, or is too slow."""
        gone = self._client.gone
        if futures and not gone.done():
            done = asyncio.gather(*futures)
            left = -1
            try:
                # A slow broker is not one that is away: it has time as long as it goes on answering.
                while (open_ := sum(not f.done() for f in futures)) and open_ != left and not gone.done():
                    left = open_
                    await asyncio.wait({done, gone}, timeout=SETTLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            finally:
                done.cancel()
                await asyncio.gather(done, return_exceptions=True)
        if all(map(_answered, futures)) and (futures or not gone.done()):
            return
        if gone.done():
            raise Unavailable(f"the broker has closed the connection{gone.result()}")
        raise Unavailable(f"the broker has not taken {left} messages in time")

    async def _listen(self) -> None:
        """What is retained, for `held`; and Home Assistant, which says `online` when it starts: it has forgotten."""
        import aiomqtt

        birth = f"{(self._sink.settings.home_assistant or '').strip('/')}/status"
        try:
            async for message in self._client.messages:
                if message.retain:
                    if message.payload:
                        self._retained.add(str(message.topic))
                elif message.payload == b"online" and str(message.topic) == birth:
                    self._told.clear()
                    self.again.set()
        except aiomqtt.MqttError:
            self.again.set()  # whoever looks finds the connection closed


def _answered(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled()


class _TooLarge(str):
    """Why a message was not even sent; counts as the broker's refusal."""

    value = 0x95


class _Heard(logging.Handler):
    """Keeps the last thing that was said."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


def _pipelined(sink: Mqtt, context: ssl.SSLContext | None) -> Any:
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
            self.gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            """Done when the connection has ended: why, where the broker said it."""
            self._largest: int | None = None
            self.heard = _Heard()
            """What the library has to say of the connection: it would go to standard error."""
            library = logging.Logger("lanveto.mqtt", logging.WARNING)
            library.addHandler(self.heard)
            self._client.enable_logger(library)

        def hand_over(self, topic: str, payload: bytes, retain: bool) -> asyncio.Future[Any]:
            properties = None
            if sink.five and not retain and sink.settings.expiry:
                properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
                properties.MessageExpiryInterval = sink.settings.expiry
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            size = len(topic) + len(payload) + _OVERHEAD
            if self._largest is not None and size > self._largest:
                # It would close the connection, each time again (MQTT 5, section 3.1.2.11.4).
                future.set_result(_TooLarge(f"{size} bytes; the broker takes {self._largest}"))
                return future
            info = self._client.publish(topic, payload, QOS, retain, properties)
            if info.rc not in (paho.MQTT_ERR_SUCCESS, paho.MQTT_ERR_QUEUE_SIZE):
                raise Unavailable(paho.error_string(info.rc))
            self._answers[info.mid] = future
            return future

        def _on_connect(
            self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None
        ) -> None:
            self._largest = getattr(properties, "MaximumPacketSize", None)
            super()._on_connect(client, userdata, flags, reason_code, properties)

        def refused(self, error: BaseException) -> str:
            """Why there is no connection, in words."""
            if isinstance(error, TimeoutError) and not str(error):
                return f"no answer within {CONNECT_SECONDS:g} s"
            return str(error) or type(error).__name__

        def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any = None) -> None:
            future = self._answers.pop(mid, None)
            if future is None:
                super()._on_publish(client, userdata, mid, reason_code, properties)
            elif not future.done():
                future.set_result(reason_code)

        def _on_disconnect(
            self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None
        ) -> None:
            if not self._connected.done():  # aiomqtt would wait for an answer that cannot come any more
                reason = self.heard.last or f"the broker has closed the connection: {reason_code}"
                self._connected.set_exception(aiomqtt.MqttError(reason))
                return
            super()._on_disconnect(client, userdata, flags, reason_code, properties)
            if self._disconnected.done() and not self._disconnected.cancelled():
                self._disconnected.exception()  # seen: asyncio would complain of it at the end
            self.end(f": {reason_code}" if getattr(reason_code, "value", 0) > 0x80 else "")

        def watch(self) -> None:
            """A connection that breaks while it is written to or read from ends without `_on_disconnect`."""
            self._disconnected.add_done_callback(lambda _: self.end(""))

        def end(self, why: str) -> None:
            if not self.gone.done():
                self.gone.set_result(why)
            for future in self._answers.values():
                future.cancel()
            self._answers.clear()

    target = sink.broker
    lost = msgspec.structs.replace(documents.status("lost"), time=None)
    return Pipelined(
        target.host,
        target.port,
        username=target.user,
        password=target.password,
        identifier=sink.settings.client_id,
        protocol=aiomqtt.ProtocolVersion.V5 if sink.five else aiomqtt.ProtocolVersion.V311,
        tls_context=context,
        will=aiomqtt.Will(f"{target.prefix}/status", documents.json(lost), qos=QOS, retain=True),
        max_inflight_messages=200,
        timeout=CONNECT_SECONDS,
        keepalive=30,
    )


SINK = Mqtt
