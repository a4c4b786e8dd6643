"""Text and bytes: how bytes become a recording's `value` and back, MAC addresses, checksums, terminal-safe text."""

from __future__ import annotations

import re
import struct
from binascii import unhexlify
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address, ip_interface

_BETWEEN = {ord(c): None for c in map(chr, range(128)) if c in ":.-" or c.isspace()}
"""What stands between the digits of a MAC address; text beyond ASCII is no spelling of one."""
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
"""An IPv4 address in its usual form: no leading zeros, nothing around it."""
_OCTETS = {str(number): number for number in range(256)}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NORMAL = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_UNTIDY = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


def from_bytes(data: bytes) -> str:
    """A recording's value for `data`: the text where it is UTF-8 without control bytes, else `hex:` digits."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "hex:" + data.hex()
    if text.startswith("hex:") or _CONTROL.search(text):
        return "hex:" + data.hex()
    return text


def to_bytes(value: str) -> bytes:
    """The bytes of a recorded value; a broken `hex:` value is taken as the text it is."""
    if value.startswith("hex:"):
        try:
            return unhexlify(re.sub(r"\s+", "", value[4:]))
        except ValueError:
            pass
    return value.encode("utf-8", "surrogateescape")


def to_text(value: str) -> str:
    """The readable text of a recorded value: bytes that are not UTF-8 are read as Latin-1."""
    if not value.startswith("hex:"):
        return value
    data = to_bytes(value)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def normal_mac(text: str) -> str | None:
    """`aa:bb:cc:dd:ee:ff` for any usual spelling (`-`, `.`, none), or None where it is not twelve hex digits."""
    if _NORMAL.fullmatch(text):
        return text
    if not text.isascii():
        text = re.sub(r"\s", "", text)
    digits = text.translate(_BETWEEN)
    if len(digits) != 12:
        return None
    try:
        return unhexlify(digits).hex(":")
    except ValueError:
        return None


def normal_address(text: str, *, network: bool = False) -> str | None:
    """An IP address in its usual form, or None; with `network` also of one with its network: `192.0.2.1/24`."""
    try:
        return str(ip_interface(text.strip()).ip if network else ip_address(text.strip()))
    except ValueError:
        return None


def counted(text: str, most: int = 0xFFFFFFFF) -> int | None:
    """The number that ASCII digits write, None for any other text (`²`, a thousand digits) or more than `most`."""
    number = int(text) if len(text) <= 20 and text.isascii() and text.isdigit() else None
    return number if number is not None and number <= most else None


def places(mac: str | None, *addresses: str | None) -> list[str]:
    """How a file may name a device, in their usual forms: its MAC first, for an address passes on; each once."""
    named = [normal_mac(mac) if mac else None, *(normal_address(text) for text in addresses if text)]
    return [place for place in dict.fromkeys(named) if place is not None]


def ipv4_number(text: str) -> int | None:
    """An IPv4 address in its usual form as a number, None for anything else."""
    try:
        first, second, third, fourth = text.split(".", 4)
        return _OCTETS[first] << 24 | _OCTETS[second] << 16 | _OCTETS[third] << 8 | _OCTETS[fourth]
    except (KeyError, ValueError):
        return None


def stamp(at: datetime | None = None, *, precision: str = "seconds") -> str:
    """A moment, or now, as RFC 3339 in UTC; `precision` as `datetime.isoformat` has it: `seconds`, `milliseconds`."""
    return (at or datetime.now(tz=UTC)).isoformat(timespec=precision).replace("+00:00", "Z")


def eui64_mac(address: str) -> str | None:
    """The MAC inside an IPv6 address whose interface identifier was made of one (RFC 4291, appendix A), or None.

    A scope (`%eth0`) is allowed. Raises `ValueError` for what is no IPv6 address.
    """
    half = IPv6Address(address.partition("%")[0]).packed[8:]
    if half[3:5] != b"\xff\xfe" or half[0] & 1:
        return None
    return bytes([half[0] ^ 2, half[1], half[2], *half[5:]]).hex(":")


def eui64_address(mac: str) -> str:
    """The link-local IPv6 address that is made of a MAC (RFC 4291, appendix A; RFC 4862, 5.3)."""
    digits = bytes.fromhex(mac.replace(":", ""))
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + bytes((digits[0] ^ 2,)) + digits[1:3] + b"\xff\xfe" + digits[3:]))


def icmpv6_packet(own: IPv6Address, to: IPv6Address, message: bytes, *, hops: int = 255, before: bytes = b"") -> bytes:
    """An IPv6 packet around an ICMPv6 message whose checksum is still zero (RFC 8200, 8.1; RFC 4443, 2.3).

    `before`: a hop-by-hop header that goes before it.
    """
    pseudo = own.packed + to.packed + struct.pack("!II", len(message), 58)
    message = message[:2] + internet_checksum(pseudo + message).to_bytes(2, "big") + message[4:]
    head = struct.pack("!IHBB", 0x60000000, len(before) + len(message), 0 if before else 58, hops)
    return head + own.packed + to.packed + before + message


def internet_checksum(data: bytes) -> int:
    """The checksum of IP, ICMP and TCP (RFC 1071), over `data` with its own field zero."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def file_name(path: object) -> str:
    """A path as text that every encoder takes: bytes that are not UTF-8 are shown as escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def escaped_json(text: str) -> str:
    """JSON with the same meaning that a terminal does not obey: control and bidirectional characters as `\\u....`."""
    return text if text.isprintable() else _UNTIDY.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


def address_key(address: str) -> str:
    """The stable key of a device of which only the address is known: `ip-192-0-2-7`."""
    return "ip-" + address.replace(":", "-").replace(".", "-")


def one_line(text: str, width: int = 120) -> str:
    """`text` on one line, safe to print: control, bidirectional and zero-width characters are shown as escapes."""
    # What will not be shown is not looked at: a device may send megabytes of blanks.
    looked_at = text[: 8 * width]
    if looked_at.isprintable():
        return text if len(text) <= width else text[: width - 1] + "…"
    first, *rest = re.split(r"[\r\n\t]+", looked_at)
    flat = " ".join([first.rstrip() if rest else first, *(part.strip() for part in rest)])
    safe = _UNTIDY.sub(lambda m: f"\\x{ord(m[0]):02x}" if ord(m[0]) < 256 else f"\\u{ord(m[0]):04x}", flat)
    cut = len(text) > 8 * width or len(safe) > width
    return safe[: width - 1] + "…" if cut else safe
