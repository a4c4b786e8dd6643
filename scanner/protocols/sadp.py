"""SADP, Hikvision's search for devices: XML over UDP 37020, asked to a group and answered by every unit that carries
the firmware, whatever its label says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from scanner.model import Observation, Transport
from scanner.protocols.base import Field, Protocol
from scanner.protocols.fields import bounded, loose, mask_xml, named, remask, stated_mac, text_of

PORT = 37020
GROUP = "239.255.255.250"

_ROOT = re.compile(r"<(probematch|hello|probe)\b", re.I)
_SECRET = frozenset({"salt"})
_MASKED = ("Salt", "Uuid")


class Sadp(Protocol):
    """Reads answers (`ProbeMatch`) and announcements (`Hello`)."""

    name = "sadp"
    tier = 1
    transport = Transport.UDP
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("sadp.response", "sadp.mac")
    order = 10

    def read(self, observation: Observation) -> Iterable[Field]:
        """`sadp.<element>` for every complete element, and `mac`; `sadp.truncated` where the root is not closed."""
        if observation.channel.lower() == "sadp.mac":
            mac = stated_mac(observation.value)
            return [("mac", mac)] if mac else []
        return bounded(_fields(text_of(observation)))

    def mask(self, observation: Observation) -> Observation:
        """Without the salt of a login and the id of the search."""
        return remask(observation, lambda text: mask_xml(text, _MASKED))


def _fields(text: str) -> Iterator[Field]:
    root = _ROOT.search(text)
    if root is not None:
        name = root[1].lower()
        if name == "probe":  # somebody's question, ours included
            return
        text = text[root.start() :]
        if f"</{name}" not in text.lower():
            yield "sadp.truncated", "true"
    for field, value in named("sadp", loose(text)):
        if field[5:] in _SECRET:
            continue
        yield field, value
        if field == "sadp.mac":
            mac = stated_mac(value)
            if mac:
                yield "mac", mac


PROTOCOL = Sadp()
