"""The closed vocabulary of recordings: every channel, how it travels, and which evidence family it belongs to.

This table is the data format (docs/recordings.md), so it has one home: a name that is not here is an error in a
recording and in a fingerprint alike. Third-party protocols use `x-<name>.<field>`.
"""

from __future__ import annotations

from dataclasses import dataclass

from scanner.model import Transport

TCP, UDP, L2 = Transport.TCP, Transport.UDP, Transport.L2


@dataclass(frozen=True, slots=True)
class Channel:
    """One name of the vocabulary."""

    name: str
    """Ends in `.*` for an open family of fields (`http.header.*`)."""
    transport: Transport
    family: str
    """Evidence family: matches of one family count once in fusion."""
    raw: bool
    """True: a raw exchange that a reader takes apart; False: a single field."""


def _table() -> dict[str, Channel]:
    raw: tuple[tuple[str, Transport, str], ...] = (
        ("http.response", TCP, "http"),
        ("rtsp.response", TCP, "rtsp"),
        ("wsdiscovery.response", UDP, "onvif"),
        ("onvif.response", TCP, "onvif"),
        ("sadp.response", UDP, "sadp"),
        ("dhip.response", UDP, "dhip"),
        ("upnp.ssdp", UDP, "upnp"),
        ("upnp.description", TCP, "upnp"),
        ("mdns.response", UDP, "mdns"),
        ("nbns.response", UDP, "netbios"),
        ("sip.response", UDP, "sip"),
        ("xm.discovery", UDP, "xm"),
        ("tplink.discovery", UDP, "tplink"),
        ("discovery.*", UDP, "discovery"),
        ("udp.payload", UDP, "banner"),
        ("tcp.banner", TCP, "banner"),
        ("dhcp.packet", UDP, "dhcp"),
        ("lldp.frame", L2, "lldp"),
        ("cdp.frame", L2, "cdp"),
        ("snmp.walk", UDP, "snmp"),
    )
    fields: tuple[tuple[str, Transport, str], ...] = (
        ("mac", L2, "oui"),
        *((f"http.{n}", TCP, "http") for n in ("status", "headers", "header.*", "title", "body", "path")),
        ("http.favicon.mmh3", TCP, "favicon"),
        ("http.favicon.md5", TCP, "favicon"),
        *((f"tls.{n}", TCP, "tls") for n in ("subject", "issuer", "san", "sha256", "version")),
        *((f"rtsp.{n}", TCP, "rtsp") for n in ("status", "header.*", "path", "sdp")),
        *(
            (f"onvif.{n}", TCP, "onvif")
            for n in ("scopes", "types", "xaddrs", "device_information", "datetime", "fault")
        ),
        ("soap.namespaces", TCP, "onvif"),
        ("wsdiscovery.epr", UDP, "onvif"),
        ("sadp.*", UDP, "sadp"),
        ("dhip.*", UDP, "dhip"),
        ("upnp.*", UDP, "upnp"),
        ("mdns.service", UDP, "mdns"),
        ("mdns.name", UDP, "mdns"),
        ("mdns.txt", UDP, "mdns"),
        ("snmp.sysdescr", UDP, "snmp"),
        ("snmp.sysobjectid", UDP, "snmp"),
        ("snmp.engineid", UDP, "snmp"),
        ("snmp.enterprise", UDP, "snmp"),
        ("ssh.banner", TCP, "ssh"),
        ("telnet.banner", TCP, "telnet"),
        ("ftp.banner", TCP, "ftp"),
        ("smtp.banner", TCP, "smtp"),
        ("modbus.device_id", TCP, "modbus"),
        ("tcp.open", TCP, "ports"),
        ("dhcp.vendor_class", UDP, "dhcp"),
        ("dhcp.hostname", UDP, "dhcp"),
        ("dhcp.parameters", UDP, "dhcp"),
        ("lldp.sysname", L2, "lldp"),
        ("lldp.sysdescr", L2, "lldp"),
        ("lldp.portdescr", L2, "lldp"),
        ("lldp.med.*", L2, "lldp"),
        ("cdp.platform", L2, "cdp"),
        ("cdp.software", L2, "cdp"),
        ("cdp.deviceid", L2, "cdp"),
        ("netbios.name", UDP, "netbios"),
        ("nmap.service", TCP, "nmap"),
        # Fields that the readers below the raw channels bring; one reader, one prefix.
        ("sip.header.*", UDP, "sip"),
        ("sip.gb28181.*", UDP, "sip"),
        ("xm.*", UDP, "xm"),
        ("tplink.*", UDP, "tplink"),
        ("snmp.oid.*", UDP, "snmp"),
    )
    table = {name: Channel(name, transport, family, raw=True) for name, transport, family in raw}
    table |= {name: Channel(name, transport, family, raw=False) for name, transport, family in fields}
    return table


CHANNELS: dict[str, Channel] = _table()
"""All channels by name; open families under their `.*` name."""

_OPEN = tuple(sorted((n[:-1] for n in CHANNELS if n.endswith(".*")), key=len, reverse=True))


def find(name: str) -> Channel | None:
    """The vocabulary entry that covers `name`, or None; the longest open family wins (`http.header.server`)."""
    hit = CHANNELS.get(name)
    if hit is not None:
        return hit if not name.endswith(".*") else None
    if name.startswith("x-"):
        prefix, dot, rest = name.partition(".")
        return Channel(name, TCP, prefix, raw=False) if dot and rest and len(prefix) > 2 else None
    for prefix in _OPEN:
        if name.startswith(prefix) and len(name) > len(prefix):
            return CHANNELS[prefix + "*"]
    return None


def family(name: str) -> str:
    """The evidence family of a channel; the name itself where it is not in the vocabulary."""
    entry = find(name)
    return name if entry is None else entry.family


def transport(name: str) -> Transport:
    """The transport that applies where an observation leaves it out; TCP for unknown names."""
    entry = find(name)
    return TCP if entry is None else entry.transport
