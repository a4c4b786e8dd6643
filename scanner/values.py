"""Text and bytes of recordings: how bytes become a `value` and back, MAC addresses, and terminal-safe text."""

from __future__ import annotations

import re
from binascii import unhexlify

_MAC = re.compile(r"^[0-9a-f]{12}$")
_UNTIDY = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


def from_bytes(data: bytes) -> str:
    """A recording's value for `data`: the text where it is UTF-8 without control bytes, else `hex:` digits."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "hex:" + data.hex()
    if text.startswith("hex:") or any(c < " " and c not in "\r\n\t" for c in text) or "\x7f" in text:
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
    digits = re.sub(r"[:.\-\s]", "", text.strip().lower())
    if not _MAC.match(digits):
        return None
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def file_name(path: object) -> str:
    """A path as text that every encoder takes: bytes that are not UTF-8 are shown as escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def escaped_json(text: str) -> str:
    """JSON with the same meaning that a terminal does not obey: control and bidirectional characters as `\\u....`."""
    return _UNTIDY.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


def one_line(text: str, width: int = 120) -> str:
    """`text` on one line, safe to print: control, bidirectional and zero-width characters are shown as escapes."""
    # What will not be shown is not looked at: a device may send megabytes of blanks.
    first, *rest = re.split(r"[\r\n\t]+", text[: 8 * width])
    flat = " ".join([first.rstrip() if rest else first, *(part.strip() for part in rest)])
    safe = _UNTIDY.sub(lambda m: f"\\x{ord(m[0]):02x}" if ord(m[0]) < 256 else f"\\u{ord(m[0]):04x}", flat)
    cut = len(text) > 8 * width or len(safe) > width
    return safe[: width - 1] + "…" if cut else safe
