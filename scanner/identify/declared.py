"""What a device declares about its maker in fields that exist to say so, read against who is who (`rules/vendors/`).

Two kinds of such fields need no fingerprint for each maker: the enterprise number that an SNMP agent answers with, and
the manufacturer that a description names. Fingerprints know more (labels, squatters, models) and come first: of a maker
that one of them has recognised in the same family, as surely or by the same field, nothing is added (`unrecognised`).

* A number counts where it is registered to one company and nobody else is known to answer with it. It is as telling as
  a prefix of that company: `strong` where its prefixes sit in its own whole devices and it sells nobody else's,
  else `shared`.
* A name is compared whole (`scanner/knowledge/names.py`). It is `strong` where the company builds hardware of its own
  only, and where nobody else writes it. Who is known to sell hardware of others is a label here, a hint to look closer;
  the makers of parts and of general computers are `shared`, because those speak in other people's devices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote

from scanner.channels import family
from scanner.knowledge.companies import Business, Entity, OuiMeans
from scanner.model import GRADE_RANK, Grade, Match, Reading

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge

_REALM = re.compile(r"(?i)\brealm ?= ?\"([^\"]{1,80})\"")
_SERVER = re.compile(r"^([^/(]{1,80}?) {0,4}(?:[/(]|$)")
_NUMBERS = {
    "snmp.sysobjectid": re.compile(r"^(?:\.?(?:1|iso)\.3\.6\.1\.4\.1|\S{0,40}enterprises)\.(\d{1,10})(?:\.|$)"),
    "snmp.enterprise": re.compile(r"^(\d{1,10})$"),
}
"""Where an enterprise number stands: sysObjectID (RFC 3418) and the engine id of SNMPv3 (RFC 3411)."""
_NAMES = {
    "upnp.manufacturer": re.compile(r"^(.{1,200})$"),
    "onvif.device_information": re.compile(r"(?im)^manufacturer=(.{1,200})$"),
    "onvif.scopes": re.compile(r"(?i)\bonvif://www\.onvif\.org/(?:manufacturer|name)/([^\s/]{1,200})"),
    "sip.gb28181.manufacturer": re.compile(r"^(.{1,200})$"),
    "lldp.med.manufacturer": re.compile(r"^(.{1,200})$"),
    "mdns.txt": re.compile(r"(?i)^manufacturer=(.{1,200})$"),
    "http.header.www-authenticate": _REALM,
    "rtsp.header.www-authenticate": _REALM,
    "http.header.server": _SERVER,
    "rtsp.header.server": _SERVER,
    "dhcp.vendor_class": re.compile(r"^(.{1,200})$"),
    "tls.subject": re.compile(r"(?i)(?:^|[,/]) {0,4}o ?= ?\"?(.{1,200}?)\"?(?= {0,4}[,/] {0,4}[a-z]{1,20} ?=|$)"),
}
"""Where a manufacturer's name stands: UPnP Device Architecture 2.3, ONVIF GetDeviceInformation and scopes, GB/T 28181
DeviceInfo, ANSI/TIA-1057 inventory; and where many firmwares put their maker's: the realm of a challenge, the name of a
server, the vendor class of DHCP (RFC 2132, 9.13), the organisation of a certificate (X.520)."""
_OWN = frozenset({"upnp.manufacturer", "sip.gb28181.manufacturer", "lldp.med.manufacturer", "mdns.txt"})
"""Names that nobody else is known to write. All others are never more than `shared`: cameras copy a well-known maker's
in ONVIF, to be taken in by recorders that ask for it; a realm may name what is protected rather than what protects it;
and on a network of that very organisation a certificate may be one of its own servers'."""
_MODELS = {
    "onvif.device_information": re.compile(r"(?im)^model=(.{1,80})$"),
    "upnp.modelname": re.compile(r"^(.{1,80})$"),
    "lldp.med.model": re.compile(r"^(.{1,80})$"),
}
MAX_NAMES = 16
"""Names that one text may hold: a device's scopes tell its name and its manufacturer, a server several challenges."""
CHANNELS = frozenset({*_NUMBERS, *_NAMES, *_MODELS})
"""On what is said here the answer of `declared` depends, and on nothing else."""


def declared(index: Mapping[str, Sequence[Reading]], knowledge: Knowledge) -> Iterator[Match]:
    """What the readings (by channel) declare: of each company and channel one match."""
    for channel, pattern in _NUMBERS.items():
        for number, readings in _said(index.get(channel, ()), pattern):
            entity = knowledge.vendors.by_pen(int(number))
            if entity is not None and knowledge.vendors.group_of(entity.id).head.kind is Business.HARDWARE:
                own = knowledge.group_id(entity.id) not in knowledge.suppliers
                strong = own and entity.oui_means is OuiMeans.WHOLE_DEVICE
                yield _match(f"snmp-number-{number}", channel, readings, entity, knowledge, strong=strong)
    for channel, pattern in _NAMES.items():
        for name, readings in _said(index.get(channel, ()), pattern):
            yield from _named(channel, name, readings, index, knowledge)


def _said(readings: Sequence[Reading], pattern: re.Pattern[str]) -> Iterator[tuple[str, tuple[Reading, ...]]]:
    """What a pattern finds, each text once, with who said it first."""
    seen: set[str] = set()
    for reading in readings:
        for found in islice(pattern.finditer(reading.value[:4096]), MAX_NAMES):
            if found[1] not in seen:
                seen.add(found[1])
                yield found[1], (reading,)


def unrecognised(found: Sequence[Match], told: Sequence[Match]) -> Iterator[Match]:
    """What is declared beyond what fingerprints told: in a family where one of them has recognised the same maker (or
    label, where no maker is named) as surely, or by the same field, nothing is added. A hint by another field (that a
    service is announced) does not stand in the place of a name.
    """
    for match in found:
        fields, rank = {_field(reading.channel) for reading in match.readings}, GRADE_RANK[match.grade]
        if not any(
            one.manufacturer == match.manufacturer and one.family == match.family
            and (match.manufacturer is not None or one.brand == match.brand)
            and (GRADE_RANK[one.grade] <= rank or any(_field(reading.channel) in fields for reading in one.readings))
            for one in told
        ):  # fmt: skip
            yield match


def _field(channel: str) -> str:
    """The same for all channels in which an enterprise number stands: who borrows one does so in all of them."""
    return "number" if channel in _NUMBERS else channel


def _named(
    channel: str, text: str, readings: tuple[Reading, ...], index: Mapping[str, Sequence[Reading]], knowledge: Knowledge
) -> Iterator[Match]:
    name = " ".join((unquote(text) if channel == "onvif.scopes" else text).split())
    entity, label = knowledge.vendors.resolve(name), knowledge.brands.resolve(name)
    if label is not None and label.software:
        return
    maker = knowledge.group_id(entity.id) if entity is not None else None
    sells = {maker, *(() if label is None else (label.id, knowledge.group_id(label.owner or label.id)))}
    if not sells.isdisjoint(knowledge.suppliers):
        if label is not None:
            yield Match(
                fingerprint=f"names-itself-{label.id}", grade=Grade.HINT, family=family(channel), readings=readings,
                brand=label.id,
            )  # fmt: skip
        return
    if entity is None or entity.kind is not Business.HARDWARE:
        return
    strong = entity.oui_means in {OuiMeans.WHOLE_DEVICE, OuiMeans.NONE} and channel in _OWN
    model = next((found for part in _MODELS if family(part) == family(channel)
                  for found, _ in _said(index.get(part, ()), _MODELS[part])), None)  # fmt: skip
    yield _match(
        f"names-itself-{entity.id}", channel, readings, entity, knowledge, strong=strong,
        brand=label.id if label is not None else None, model=model,
    )  # fmt: skip


def _match(
    fingerprint: str, channel: str, readings: tuple[Reading, ...], entity: Entity, knowledge: Knowledge, *,
    strong: bool, brand: str | None = None, model: str | None = None,
) -> Match:  # fmt: skip
    return Match(
        fingerprint=fingerprint, grade=Grade.STRONG if strong else Grade.SHARED, family=family(channel),
        readings=readings, manufacturer=knowledge.group_id(entity.id), shared_with=() if strong else ("unknown",),
        brand=brand, model=model,
    )  # fmt: skip
