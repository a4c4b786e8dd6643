"""Bosch's search (UDP 1757), answered to port 1758 in 32 bytes, or in XML by newer firmware."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from scanner.protocols.fields import escape, leaves, mask_xml
from scanner.protocols.search import Pairs, Search, ipv4_at, mac_text

PORT, ANSWER_PORT = 1757, 1758

_MAGIC, _ASK = b"\x99\x39\xa4\x27", b"\xff\x00\x06\xde"
_NAMESPACE = b"OEMExt00:device"
_NAMES = {"physaddress": "mac", "friendlyname": "model", "unitname": "name", "serialnumber": "serial",
          "unitipaddress": "ip", "camerafrontendid": "frontend", "devicetypeids": "devicetype", "rcpport": "port",
          "httpport": "httpport"}  # fmt: skip
_CASE = {"mac": "physAddress", "model": "friendlyName", "name": "unitName", "serial": "serialNumber",
         "ip": "unitIPAddress", "frontend": "cameraFrontendID", "devicetype": "deviceTypeIDs"}  # fmt: skip


class Bosch(Search):
    """Asks, reads both kinds of answers, and answers as a device would."""

    name = "bosch"
    vendor = "bosch"
    makers = frozenset({"bosch"})
    ports: ClassVar[tuple[int, ...]] = (PORT,)
    channels: ClassVar[tuple[str, ...]] = ("discovery.bosch", "discovery.bosch.mac")
    reply_port = ANSWER_PORT

    def searches(self) -> Sequence[bytes]:
        """A fresh transaction."""
        return [_MAGIC + random.randbytes(4) + _ASK]  # noqa: S311 - tells answers apart, hides nothing

    def is_search(self, data: bytes) -> bool:
        """Twelve bytes of this form."""
        return len(data) == 12 and data[:4] == _MAGIC and data[8:] == _ASK

    def is_answer(self, data: bytes) -> bool:
        """32 bytes of this form, or the XML."""
        binary = len(data) == 32 and data[:4] == _MAGIC
        return binary or (data.lstrip()[:1] == b"<" and _NAMESPACE in data[:512])

    def fields(self, data: bytes) -> Pairs:
        """Of the XML what tells the device, not its session."""
        if data[:4] == _MAGIC:
            yield "mac", mac_text(data[8:14])
            for start, name in ((16, "ip"), (20, "mask"), (24, "gateway")):
                yield name, ipv4_at(data, start)
            return
        for element, value in leaves(data.decode("utf-8", "replace")):
            if element.lower() in _NAMES:
                yield _NAMES[element.lower()], value

    def compose(self, fields: Mapping[str, str]) -> bytes:
        """The XML."""
        body = "".join(
            f"<{element}>{escape(fields[name].replace(':', '-') if name == 'mac' else fields[name])}</{element}>"
            for name, element in _CASE.items() if name in fields
        )  # fmt: skip
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><root xmlns="OEMExt00:device-1-0"><device>{body}</device></root>'
        ).encode()

    def adapt(self, answer: bytes, request: bytes) -> bytes:
        """With the transaction that asked."""
        return answer[:4] + request[4:8] + answer[8:] if answer[:4] == _MAGIC else answer

    def hide(self, data: bytes) -> bytes:
        """Without the key of a session."""
        return mask_xml(data.decode("latin-1"), ("sessionKey",)).encode("latin-1")


PROTOCOL = Bosch()
