"""The contract of a protocol: one file says what we ask, how an answer is read, how a simulated device answers,
and what must never be sent. All of it is pure: `net/` and `simulate/` own the sockets.

A protocol file defines one subclass of `Protocol` and ends with `PROTOCOL = ThatClass()`; `scanner.protocols`
finds it by its file, third parties through the entry-point group `lanveto.protocols`.

Five groups of methods, each with a default that does nothing:

* reading (every protocol): `read` turns one raw observation into fields, `mask` hides what must not be stored;
* asking on a stream (HTTP, RTSP, …): `converse` yields `Ask`s and is sent the `Answer`s, one connection at a time;
* asking by datagram (SADP, DHIP, …): `questions`, `recognise`, and `kept` where less than the bytes is worth keeping;
* following an answer (UPnP): `leads` names ports of the same device that an answer points to, `converse` asks there;
* being a device (`simulate/`): `services`, `greet`, `request_length`, `answer`, and `violation` for what no
  polite scanner may ever send.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, NamedTuple

from scanner.model import Observation, Reading, Recording, Transport
from scanner.values import from_bytes

Field = tuple[str, str]
"""A channel of the closed vocabulary and the value read for it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question on a stream."""

    channel: str
    """Raw channel under which the answer is recorded (also when nothing comes: silence is evidence)."""
    request: str
    """What was asked, as recordings say it: `GET /`, `OPTIONS`, `GetSystemDateAndTime`."""
    payload: bytes
    """The bytes to send; empty for a banner that is only read."""
    limit: int = 65_536
    """Bytes of answer that are read at the most."""
    seconds: float = 5.0
    """Time for the whole answer."""
    port: int | None = None
    """Another port of the same host, where the question belongs there (a redirect); None: this stream's port."""
    tls: bool | None = None
    """With `port`: whether TLS is spoken there; None: as this stream."""
    keep: bool = True
    """False: the answer steers the conversation but is not recorded (it has been recorded in another form)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for an `Ask`."""

    data: bytes = b""
    closed: bool = False
    """The device closed the stream."""
    truncated: bool = False
    """The byte or time bound cut the answer short."""
    error: str | None = None
    """Why nothing came: `refused`, `reset`, `timeout`, `tls`, `unreachable`."""


Conversation = Generator[Ask, Answer, None]


@dataclass(frozen=True, slots=True)
class Stream:
    """What a protocol is told about the stream it is offered."""

    host: str
    """Address literal of the device."""
    port: int
    tls: bool = False
    heard: Sequence[Reading] = ()
    """Everything the device has said so far, on all protocols."""
    hints: frozenset[str] = frozenset()
    """Makers that something heard so far points to; maker-specific questions need their maker here."""

    def url_host(self) -> str:
        """The host as it stands in a URL or `Host:` header: IPv6 in brackets, the port unless it is the default."""
        plain = self.host.partition("%")[0]  # a zone means nothing to the device (RFC 6874)
        host = f"[{plain}]" if ":" in plain else plain
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


class Lead(NamedTuple):
    """A port to which an answer leads, on the device that gave it."""

    port: int
    tls: bool = False


class Alone(StrEnum):
    """When a question is put to one host by itself.

    Questions to a group or to everybody cost one packet for a whole link; asked of every host in turn, the same dozen
    questions would be a dozen packets for each printer. So few are (docs/protocols.md has the count).
    """

    NEVER = "never"
    """Only to a group or to everybody."""
    FIRST = "first"
    """Of every host that has not answered it yet: the most telling questions."""
    AWAY = "away"
    """Of hosts that no question to everybody reached: behind a router, or with `--no-multicast`."""
    LAST = "last"
    """Of hosts whose maker is still open when everything else has been asked."""


@dataclass(frozen=True, slots=True)
class Question:
    """One discovery datagram, or one bare Ethernet frame."""

    channel: str
    """Raw channel under which answers are recorded."""
    request: str
    payload: bytes
    port: int = 0
    """Destination port."""
    groups: tuple[str, ...] = ()
    """Multicast groups to ask, of IPv4 and of IPv6 (link-local ones: `ff02::…`); empty: not asked by multicast."""
    broadcast: bool = False
    alone: Alone = Alone.FIRST
    listen: tuple[int, ...] = ()
    """Further local ports where answers arrive: devices that answer to the group or to a fixed port."""
    join: tuple[str, ...] = ()
    """Further groups to join on those ports; without `listen`, on the question's own port, where then only what is
    said to these groups is heard: what other programs of this machine wait for there stays theirs.
    """
    seconds: float = 3.0
    """How long answers may take."""
    repeat: int = 2
    """How often the datagram is sent in one round."""
    ttl: int = 1
    ethertype: int | None = None
    """Asked as a bare Ethernet frame of this type, to everybody on a link (needs root); no port, no groups then."""
    signed: Callable[[str, str], bytes] | None = None
    """Where the question states who asks: from our IPv4 address and MAC on a link to the bytes; `payload` is then
    what an asker without either would send.
    """

    @property
    def together(self) -> bool:
        """Whether it is put to a group or to everybody on a link."""
        return bool(self.groups) or self.broadcast or self.ethertype is not None


@dataclass(frozen=True, slots=True)
class Service:
    """One port of a simulated device; for bare frames (`Transport.L2`) the EtherType stands for the port."""

    transport: Transport
    port: int
    tls: bool = False
    groups: tuple[str, ...] = ()
    """Multicast groups a datagram service listens to."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a simulated device sends."""

    data: bytes
    close: bool = False
    """Streams: close after sending."""
    group: str | None = None
    """Datagrams: answer to this multicast group (on the service's port) instead of to the sender."""
    port: int | None = None
    """Datagrams: answer to this port of the sender, whatever port the question came from."""
    more: tuple[bytes, ...] = field(default_factory=tuple)
    """Datagrams: further datagrams of the same answer."""


class Protocol:
    """One protocol; subclasses override what applies to them."""

    name: ClassVar[str]
    """Short and unique: `http`, `rtsp`, `sadp`."""
    tier: ClassVar[int] = 2
    """Politeness: 0 passive, 1 discovery datagrams, 2 one unauthenticated read, 3 the user's own secret."""
    transport: ClassVar[Transport] = Transport.TCP
    ports: ClassVar[tuple[int, ...]] = ()
    """Where it is usually spoken; streams on these ports are offered to it, most telling first."""
    tls_ports: ClassVar[tuple[int, ...]] = ()
    """The same, inside TLS."""
    channels: ClassVar[tuple[str, ...]] = ()
    """The raw channels this protocol reads; each has one reader in the whole house."""
    order: ClassVar[int] = 50
    """Asking order: the most telling question has the lowest number."""

    # -- reading ---------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Load what `read` needs and whoever starts does not: called outside the event loop, before that."""

    def read(self, observation: Observation) -> Iterable[Field]:
        """The fields of one raw observation of this protocol's channels.

        Tolerant of fragments, of lower-cased text and of broken devices; never raises for hostile input.
        """
        return ()

    def mask(self, observation: Observation) -> Observation:
        """The observation without what a device gives away needlessly (salts, nonces, owner names, SSIDs)."""
        return observation

    # -- asking on a stream ----------------------------------------------------------------------------------

    def converse(self, stream: Stream) -> Conversation:
        """The questions for one open port; the caller keeps one connection at a time and enforces all bounds."""
        return
        yield  # a generator that asks nothing

    def complete(self, data: bytes, ask: Ask) -> bool:
        """Whether `data` is a whole answer to `ask`, so that nobody waits for more; False: read until the peer
        closes or a bound is reached.
        """
        return False

    # -- following an answer ----------------------------------------------------------------------------------

    def leads(self, host: str, heard: Sequence[Reading]) -> Sequence[Lead]:
        """Ports of the device at `host` to which something that it said leads; `converse` then asks there.

        Called whenever the device has said more, also for protocols that ask by datagram. Each port is visited once,
        a few at the most; who lives there decides itself what may be asked (never another host, no port that is only
        looked at).
        """
        return ()

    @classmethod
    def follows(cls) -> bool:
        """Whether its answers may lead anywhere."""
        return cls.leads is not Protocol.leads

    # -- asking by datagram ----------------------------------------------------------------------------------

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """The discovery datagrams of tier 1, fresh for each call (message ids differ)."""
        return ()

    def recognise(self, data: bytes) -> str | None:
        """The raw channel of a datagram that is an answer of this protocol (announcements included), or None.

        Our own looped-back questions, and other people's, are not answers.
        """
        return None

    def kept(self, data: bytes) -> str:
        """What is recorded of a datagram that `recognise` knows: the bytes as they came, unless the channel is a field
        that stands for all there is to know of them.
        """
        return from_bytes(data)

    def stated(self, data: bytes) -> str | None:
        """The IPv4 address that an answer in a bare frame states as its sender's: its envelope has none."""
        return None

    # -- being a device --------------------------------------------------------------------------------------

    def services(self, device: Recording) -> Sequence[Service]:
        """The ports on which a device of this recording speaks this protocol."""
        return ()

    def greet(self, device: Recording, service: Service) -> bytes:
        """What a simulated device says as soon as a stream is open; empty for most protocols."""
        return b""

    def request_length(self, data: bytes) -> int:
        """Length of the first whole request in `data`, 0 while it is incomplete."""
        return len(data)

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The simulated device's answer as recorded (raw) or composed (fields); None: it is not asked this way."""
        return None

    def refuse(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """What a device says on a stream when no protocol of the port has an answer; None: it closes the stream."""
        return None

    def violation(self, request: bytes, service: Service) -> str | None:
        """What is forbidden about a request of this protocol, or None; a device that hears one fails its test."""
        return None


def observed(device: Recording, *channels: str, port: int | None = None) -> Iterator[Observation]:
    """The device's spoken observations of these channels (a trailing `*` is a prefix), in the order seen."""
    for seen in device.observations:
        if seen.silent or (port is not None and seen.port is not None and seen.port != port):
            continue
        for channel in channels:
            if seen.channel == channel or (channel.endswith("*") and seen.channel.startswith(channel[:-1])):
                yield seen
                break
