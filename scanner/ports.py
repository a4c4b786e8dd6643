"""Which TCP ports are asked unless told otherwise, which are never spoken to, and the reason for each: data only."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

ASKED: MappingProxyType[int, str] = MappingProxyType({
    80: "web server of nearly every device",
    443: "the same inside TLS; the certificate names makers",
    554: "RTSP: the realm and server name of cameras and recorders",
    8000: "ONVIF and web servers; Hikvision's SDK port",
    8080: "second web server; ONVIF of many cameras",
    8443: "second web server inside TLS",
    8554: "RTSP of newer cameras and of restreamers",
    10554: "RTSP of white-label cameras",
    37777: "Dahua's own protocol: looked at, never spoken",
    34567: "Xiongmai's own protocol: looked at, never spoken",
    2020: "ONVIF of TP-Link cameras",
    8899: "ONVIF of white-label cameras",
    9000: "Reolink's and TVT's own protocols: looked at, never spoken",
    5000: "ONVIF of white-label cameras; web server of network storage",
    88: "web server of Foscam cameras and their copies",
    81: "web server of white-label cameras",
    7547: "remote management of home gateways (Huawei, ZTE): looked at, never spoken",
    22: "SSH greeting, read only",
    23: "telnet greeting, read only",
    21: "FTP greeting, read only",
})
"""Default TCP ports, most telling first, each with its reason."""

FIRST: frozenset[int] = frozenset({80, 443, 554})
"""Ports on which everything is asked before any other port is looked at."""

LIFE: tuple[int, ...] = (80, 443, 554, 8000, 37777, 22, 8080)
"""Where a host that no link-layer question reaches is looked for; a refusal is a sign of life too."""

FORBIDDEN: MappingProxyType[int, str] = MappingProxyType({
    **dict.fromkeys(range(9100, 9108), "printers print what they are sent"),
    102: "industrial controllers (S7)",
    502: "industrial controllers (Modbus)",
    20000: "industrial controllers (DNP3)",
    44818: "industrial controllers (EtherNet/IP)",
    47808: "building controllers (BACnet)",
})
"""Ports that are never spoken to, whatever the command line says."""


def life(wanted: Sequence[int]) -> tuple[int, ...]:
    """Those of `LIFE` that are wanted at all; where none is, the first that are."""
    return tuple(port for port in LIFE if port in wanted) or tuple(wanted[: len(LIFE)])
