"""What makers' own searches have in common: one datagram to everybody on a link, one answer, told by its form.

A file of such a protocol says its bytes; asking, reading, masking and being such a device are the same for all. The
fields of an answer are `discovery.<vendor>.<name>`. They are put to single hosts only where something points to their
maker and nothing to everybody reached it: a dozen makers' searches for every printer would not be polite.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, ip_address
from typing import ClassVar

from scanner.model import Observation, Recording, Transport
from scanner.protocols.base import Alone, Field, Protocol, Question, Reply, Service, observed
from scanner.protocols.fields import bounded, bytes_of, loose, remask, stated_mac, text_of

Pairs = Iterator[tuple[str, str]]


class Search(Protocol):
    """One maker's search; a subclass says its bytes."""

    tier = 1
    transport = Transport.UDP
    order = 44
    vendor: ClassVar[str]
    """The channel is `discovery.<vendor>`."""
    makers: ClassVar[frozenset[str]] = frozenset()
    """Where one of these is suspected, a host that nothing to everybody reaches is asked alone."""
    groups: ClassVar[tuple[str, ...]] = ()
    broadcast: ClassVar[bool] = True
    reply_port: ClassVar[int | None] = None
    """Where answers go instead of to the port that asked."""
    reply_group: ClassVar[str | None] = None
    """Where answers go instead of to who asked."""
    join: ClassVar[tuple[str, ...]] = ()

    # -- what a subclass says --------------------------------------------------------------------------------

    def searches(self) -> Sequence[bytes]:
        """What is sent, fresh; several where generations differ."""
        raise NotImplementedError

    def is_search(self, data: bytes) -> bool:
        """Whether these bytes are such a search, ours or another's."""
        raise NotImplementedError

    def is_answer(self, data: bytes) -> bool:
        """Whether these bytes are an answer: told by their form, for ports are shared."""
        raise NotImplementedError

    def fields(self, data: bytes) -> Pairs:
        """(name, value) of an answer; `mac` is the device's own."""
        raise NotImplementedError

    def compose(self, fields: Mapping[str, str]) -> bytes:
        """The smallest answer that carries these fields."""
        raise NotImplementedError

    def signature(self) -> Callable[[str, str], bytes] | None:
        """Where a search states who asks: what makes it of our IPv4 address and MAC."""
        return None

    def adapt(self, answer: bytes, request: bytes) -> bytes:
        """A recorded answer as one to this search: numbers that are echoed."""
        return answer

    def hide(self, data: bytes) -> bytes:
        """An answer without what it gives away needlessly, as long as before."""
        return data

    def elsewhere(self, request: bytes) -> bool:
        """Whether this is another maker's search on the same port."""
        return False

    # -- what follows from it --------------------------------------------------------------------------------

    def read(self, observation: Observation) -> Iterable[Field]:
        """`discovery.<vendor>.<name>` for every field, and `mac`."""
        if observation.channel.lower().endswith(".mac"):
            mac = stated_mac(observation.value)
            return [("mac", mac)] if mac else []
        return bounded(self._named(observation))

    def _named(self, observation: Observation) -> Iterator[Field]:
        data = bytes_of(observation)
        for name, value in self.fields(data) if self.is_answer(data) else _pieces(text_of(observation)):
            yield f"discovery.{self.vendor}.{name}", value
            mac = stated_mac(value) if name == "mac" else None
            if mac:
                yield "mac", mac

    def mask(self, observation: Observation) -> Observation:
        """Without what an answer gives away needlessly."""
        if not self.is_answer(bytes_of(observation)):
            return observation

        def hidden(text: str) -> str:
            try:
                return self.hide(text.encode("latin-1")).decode("latin-1")
            except UnicodeEncodeError:
                return text

        return remask(observation, hidden)

    def questions(self, hints: frozenset[str] = frozenset()) -> Sequence[Question]:
        """The search to everybody on a link, and to a suspected host that this did not reach."""
        return [
            Question(
                channel=f"discovery.{self.vendor}",
                request="search",
                payload=search,
                port=self.ports[0],
                groups=self.groups,
                broadcast=self.broadcast,
                alone=Alone.AWAY if self.makers & hints and self.reply_group is None else Alone.NEVER,
                listen=(self.reply_port,) if self.reply_port is not None else (),
                join=self.join,
                signed=self.signature(),
            )
            for search in self.searches()
        ]

    def recognise(self, data: bytes) -> str | None:
        """`discovery.<vendor>` for an answer."""
        return f"discovery.{self.vendor}" if self.is_answer(data) else None

    def services(self, device: Recording) -> Sequence[Service]:
        """The port of the search, where the device said anything in it."""
        spoken = next(observed(device, f"discovery.{self.vendor}", f"discovery.{self.vendor}.*"), None) is not None
        return (Service(Transport.UDP, self.ports[0], groups=self.groups),) if spoken else ()

    def answer(self, request: bytes, device: Recording, service: Service) -> Reply | None:
        """The recorded answer, else one composed of the recorded fields."""
        if not self.is_search(request):
            return None
        raws = (bytes_of(seen) for seen in observed(device, f"discovery.{self.vendor}"))
        data = next((raw for raw in raws if self.is_answer(raw)), None)
        if data is None:
            fields = self._recorded(device)
            data = self.compose(fields) if fields else None
        if data is None:
            return None
        return Reply(self.adapt(data, request), group=self.reply_group, port=self.reply_port)

    def _recorded(self, device: Recording) -> dict[str, str]:
        prefix = f"discovery.{self.vendor}."
        found: dict[str, str] = {}
        for seen in observed(device, prefix[:-1], f"{prefix}*"):
            pairs = [(seen.channel, seen.value)] if seen.channel.startswith(prefix) else self.read(seen)
            for channel, value in pairs:
                if channel.startswith(prefix):
                    found.setdefault(channel[len(prefix) :], value)
        if found and device.mac:
            found.setdefault("mac", device.mac)
        return found

    def violation(self, request: bytes, service: Service) -> str | None:
        """Everything but a search (answers of other devices to a group, and other makers' searches, are none)."""
        if self.is_search(request) or self.is_answer(request) or self.elsewhere(request):
            return None
        return f"{self.vendor}: {request[:40]!r} is no search"


def _pieces(text: str) -> Pairs:
    """What somebody wrote down of an answer."""
    for name, value in loose(text):
        yield name.strip().lower().replace(" ", "_"), value


def text_at(data: bytes, start: int, length: int) -> str:
    """The text of a fixed field, up to its first NUL."""
    return data[start : start + length].split(b"\0", 1)[0].decode("utf-8", "replace").strip()


def ipv4_at(data: bytes, start: int) -> str:
    """The address of four bytes; empty where they are zeros or missing."""
    piece = data[start : start + 4]
    return str(IPv4Address(piece)) if len(piece) == 4 and any(piece) else ""


def number_at(data: bytes, start: int, form: str) -> str:
    """The number of a fixed field (`struct` form) as text; empty where it is zero or missing."""
    try:
        number: int = struct.unpack_from(form, data, start)[0]
    except struct.error:
        return ""
    return str(number) if number else ""


def put(data: bytearray, start: int, length: int, text: str) -> None:
    """Write text into a fixed field, at least one NUL behind it."""
    piece = text.encode()[: length - 1]
    data[start : start + len(piece)] = piece


def packed_ipv4(text: str | None) -> bytes:
    """Four bytes of an address, zeros for what is none."""
    try:
        return IPv4Address(text or "").packed
    except ValueError:
        return bytes(4)


def packed_ip(text: str | None) -> bytes:
    """Four or sixteen bytes of an address, four zeros for what is none."""
    try:
        return ip_address(text or "").packed
    except ValueError:
        return bytes(4)


def packed_mac(text: str | None) -> bytes:
    """Six bytes of a MAC, zeros for what is none."""
    return bytes.fromhex((stated_mac(text or "") or "00:00:00:00:00:00").replace(":", ""))


def number(text: str | None, most: int) -> int:
    """A recorded number within its field, 0 for what is none."""
    return min(int(text), most) if text and text.isascii() and text.isdigit() and len(text) < 12 else 0


def mac_text(data: bytes) -> str:
    """Six bytes as a MAC; empty where they are fewer."""
    return data.hex(":") if len(data) == 6 else ""
