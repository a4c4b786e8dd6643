"""Sends each event as a syslog line: RFC 5424 over UDP (RFC 5426), TCP (RFC 6587, octet counting) or TLS (RFC 5425).

Syslog has no acknowledgement. Over TCP and TLS an event counts as taken when the receiver's machine has confirmed its
bytes (Linux tells; elsewhere: when they have left); what its syslog service loses then is lost. Over UDP an event
counts as taken when it has been sent. Who must not lose anything takes MQTT or a webhook (docs/hooks.md).

The facts stand in structured data; the text is one sentence. Everything a device said is escaped and bounded.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import re
import socket
import ssl
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import msgspec

from scanner.errors import UsageProblem
from scanner.publish import Unavailable, event
from scanner.publish.choice import Choice
from scanner.store.outbox import Draft

SECONDS = 10.0
"""Time to connect, and time for the receiver to confirm what was sent."""
BOUND_UDP, BOUND_STREAM = 2048, 8192
"""Bytes of one message: what receivers should take by RFC 5426 and by RFC 5425."""
ELEMENT = "lanveto@32473"
"""Name of our structured data; 32473 is the number that RFC 5612 keeps for those who have none of their own."""
FACILITIES = {name: number for number, name in enumerate((
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", *(f"local{n}" for n in range(8)),
))}  # fmt: skip
_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
_FACTS = ("event", "site", "scan", "device", "ip", "mac", "manufacturer", "brand", "model", "firmware", "level",
          "policy", "action", "previous", "citation", "covered", "conclusive", "lost")  # fmt: skip
_ASKED = {"remove": 2, "do-not-buy": 4, "plan": 4, "investigate": 4}
_VALUE = 200
"""Characters of one value."""


class _Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """`[publish.syslog]`."""

    url: str
    """udp://host:514, tcp://host:601 or tls://host:6514."""
    facility: str = "local0"
    ca: str | None = None
    """Certificates of the authorities to trust, instead of the system's (PEM)."""
    cert: str | None = None
    key: str | None = None
    hostname: str | None = None
    """The name of this machine in the messages."""


class Syslog:
    """The sink of the outbox."""

    Settings: ClassVar[type[msgspec.Struct]] = _Settings
    slots: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ()
    parallel: ClassVar[int] = 100

    def __init__(self, settings: _Settings, choice: Choice) -> None:
        parts = urlsplit(settings.url)
        if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or parts.path.strip("/"):
            raise UsageProblem("url: is udp://host:port, tcp://host:port or tls://host:port")
        try:
            self.port = parts.port or _PORTS[parts.scheme]
        except ValueError as error:
            raise UsageProblem(f"url: {error}") from error
        if settings.facility not in FACILITIES:
            raise UsageProblem(f"facility: {settings.facility!r} is none; there are {', '.join(FACILITIES)}")
        self.way, self.host = parts.scheme, parts.hostname
        if self.way != "tls" and (settings.ca or settings.cert or settings.key):
            raise UsageProblem("ca, cert and key need a tls:// address")
        if (settings.cert is None) != (settings.key is None):
            raise UsageProblem("cert and key belong together")
        for name in ("ca", "cert", "key"):
            path = getattr(settings, name)
            if path is not None and not Path(path).is_file():
                raise UsageProblem(f"{name}: {path}: there is no such file")
        self.settings = settings
        self.choice = choice
        self.facility = FACILITIES[settings.facility]
        self.hostname = _header(settings.hostname or socket.gethostname(), 255)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"syslog {self.way}://{host}:{self.port}"

    def session(self) -> _Session:
        """A connection."""
        return _Session(self)

    def line(self, draft: Draft) -> bytes | None:
        """The message of one event, without framing; None where the filter leaves it out."""
        told = event(draft, self.choice)
        if told is None:
            return None
        bound = BOUND_UDP if self.way == "udp" else BOUND_STREAM
        return message(told, self.facility, self.hostname, bound)

    def context(self) -> ssl.SSLContext | None:
        """How TLS is spoken. Raises `Unavailable` for files that cannot be used."""
        if self.way != "tls":
            return None
        try:
            context = ssl.create_default_context(cafile=self.settings.ca)
            if self.settings.cert and self.settings.key:
                context.load_cert_chain(self.settings.cert, self.settings.key)
        except (ssl.SSLError, OSError) as error:
            raise Unavailable(f"the certificate files cannot be used: {error}") from error
        return context


def message(told: Mapping[str, Any], facility: int, hostname: str, bound: int) -> bytes:
    """One RFC 5424 message of at most `bound` bytes: facts that do not fit are left out, the text is cut."""
    kind = str(told.get("kind", ""))
    priority = facility * 8 + severity(told)
    stamp = str(told.get("time", ""))
    stamp = stamp if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", stamp) else "-"
    head = f"<{priority}>1 {stamp} {hostname} lanveto {os.getpid()} {_header(kind, 32)} [{ELEMENT}".encode()
    text = sentence(told).encode("ascii", "backslashreplace")[:400]
    room = bound - len(text) - 2
    for name in _FACTS:
        value = told.get(name)
        if value is None or value == "":
            continue
        part = f' {name}="{_escaped(str(value))}"'.encode()
        if len(head) + len(part) <= room:
            head += part
    return head + b"] " + text


def severity(told: Mapping[str, Any]) -> int:
    """How grave an event is: 2 critical, 3 error, 4 warning, 5 notice, 6 informational."""
    kind = told.get("kind")
    if kind == "finding-opened":
        return _ASKED.get(str(told.get("action")), 5)
    if kind in {"scan-failed", "events-lost"}:
        return 3
    return 5 if kind in {"finding-closed", "device-gone"} else 6


def sentence(told: Mapping[str, Any]) -> str:
    """What happened, in one line."""
    from scanner.values import one_line

    kind = str(told.get("kind", "event")).replace("-", " ")
    where = [str(told[name]) for name in ("ip", "device") if told.get(name)]
    parts = [kind + (f": {' '.join(where[:1])}" if where else "")]
    if told.get("manufacturer") and str(told.get("kind")).startswith(("device-", "finding-")):
        parts.append(f"made by {told['manufacturer']} ({told.get('level')})")
    if told.get("policy"):
        parts.append(f"{told['policy']} asks: {told.get('action') or 'nothing any more'}")
    if told.get("state"):
        parts.append(str(told["state"]))
    if told.get("reason"):
        parts.append(str(told["reason"]))
    return one_line(", ".join(parts), 400)


def _header(text: str, width: int) -> str:
    """A field of the header: printable ASCII without spaces; `-` for nothing."""
    return re.sub(r"[^!-~]", "_", text)[:width] or "-"


def _escaped(value: str) -> str:
    """A value of structured data: `"`, `\\` and `]` escaped (RFC 5424 §6.3.3), control characters made visible."""
    short = value if len(value) <= _VALUE else value[: _VALUE - 1] + "…"
    seen = "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in short)
    return re.sub(r'(["\\\]])', r"\\\1", seen)


class _Session:
    """One connection."""

    def __init__(self, sink: Syslog) -> None:
        self.again = asyncio.Event()
        self._sink = sink
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._gone: asyncio.Task[bytes] | None = None
        self._datagrams: asyncio.DatagramTransport | None = None
        self._errors = _Errors()

    async def __aenter__(self) -> Self:
        sink = self._sink
        context = await asyncio.to_thread(sink.context)
        try:
            async with asyncio.timeout(SECONDS):
                if sink.way == "udp":
                    self._datagrams, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                        lambda: self._errors, remote_addr=(sink.host, sink.port)
                    )
                else:
                    self._reader, self._writer = await asyncio.open_connection(sink.host, sink.port, ssl=context)
                    self._writer.transport.set_write_buffer_limits(high=0)
                    # A receiver says nothing; that reading ends means that it has gone.
                    self._gone = asyncio.create_task(self._reader.read(1), name="syslog-gone")
        except (OSError, TimeoutError, ValueError) as error:
            raise Unavailable(f"cannot be reached: {str(error) or type(error).__name__}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._gone is not None:
            self._gone.cancel()
            await asyncio.gather(self._gone, return_exceptions=True)
        if self._datagrams is not None:
            self._datagrams.close()
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._writer.wait_closed()
            self._writer.transport.abort()

    async def beat(self, status: Mapping[str, Any]) -> None:
        """Syslog has no place for signs of life; a connection that has ended is noticed."""
        self._alive()

    async def send(self, messages: Sequence[Draft]) -> Sequence[str | None]:
        """All together; taken when the receiver's machine has them (TCP, TLS) or when they are on their way (UDP)."""
        lines = [line for draft in messages if (line := self._sink.line(draft)) is not None]
        if not lines:
            return [None] * len(messages)
        self._alive()
        if self._datagrams is not None:
            for number, line in enumerate(lines):
                self._datagrams.sendto(line)
                if number % 10 == 9:  # a burst would overrun small receivers
                    await asyncio.sleep(0.002)
            await asyncio.sleep(0.02)
            self._alive()
        else:
            await self._stream(b"".join(b"%d %b" % (len(line), line) for line in lines))
        return [None] * len(messages)

    async def _stream(self, data: bytes) -> None:
        assert self._writer is not None
        try:
            async with asyncio.timeout(SECONDS):
                self._writer.write(data)
                await self._writer.drain()
                pause = 0.0005
                while _unconfirmed(self._writer.get_extra_info("socket")):
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, 0.1)
        except TimeoutError:
            raise Unavailable(f"the receiver has not taken {len(data)} bytes within {SECONDS:g} s") from None
        except (OSError, ssl.SSLError) as error:
            raise Unavailable(f"the connection broke: {error}") from error
        await asyncio.sleep(0.001)  # a refusal of the other machine empties the queue too: let the loop see it
        if self._reader is not None and (broke := self._reader.exception()) is not None:
            raise Unavailable(f"the connection broke: {broke}")

    def _alive(self) -> None:
        """Raises `Unavailable` where the receiver has hung up, or its machine says that nobody listens."""
        if self._errors.last is not None:
            error, self._errors.last = self._errors.last, None
            raise Unavailable(str(error))
        if self._gone is not None and self._gone.done():
            raise Unavailable("the receiver has closed the connection")


class _Errors(asyncio.DatagramProtocol):
    """Keeps what the network says about our datagrams."""

    def __init__(self) -> None:
        self.last: Exception | None = None

    def error_received(self, exc: Exception) -> None:
        self.last = exc


def _unconfirmed(line: Any) -> int:
    """Bytes that the other machine has not confirmed; 0 where the system does not tell. Raises `OSError`."""
    if not sys.platform.startswith("linux") or line is None:
        return 0
    import fcntl
    import termios

    count = array.array("i", [0])
    number = line.fileno()
    if number < 0:
        raise ConnectionResetError("the receiver has closed the connection")
    fcntl.ioctl(number, termios.TIOCOUTQ, count)
    return count[0]


SINK = Syslog
