"""What SOAP messages share (SOAP 1.1 and 1.2): envelope, elements, namespaces and faults, read without trust.

A well-formed message goes through a real parser that refuses document types and entities; everything else, cut off or
published in pieces, is searched for complete elements. Nothing is ever expanded or fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from scanner.protocols import fields

MAX_XML = 131_072
"""Characters of one message that are looked at."""
MAX_DEPTH = 64
"""Elements inside each other; deeper messages are searched, not parsed."""

ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
_ENVELOPES = frozenset({ENVELOPE, "http://schemas.xmlsoap.org/soap/envelope/"})
DEVICE = "http://www.onvif.org/ver10/device/wsdl"

_XMLNS = re.compile(r"""\sxmlns(?::([A-Za-z_][\w.-]{0,63}))?\s{0,8}=\s{0,8}(?:"([^"<>]{0,512})"|'([^'<>]{0,512})')""")
_PREFIX = re.compile(r"[A-Za-z_][\w.-]{0,63}")
_ENVELOPE = re.compile(r"<(?:[\w.-]{1,64}:)?envelope[\s/>]", re.I)
_OPERATION = re.compile(
    r"<(?:[\w.-]{1,64}:)?body(?:\s[^<>]{0,2048})?>\s{0,64}<(?:[\w.-]{1,64}:)?([\w.-]{1,64})[\s/>]", re.I
)
_FAULT = re.compile(r"<(?:[\w.-]{1,64}:)?fault[\s>]", re.I)
_FAULT_PARTS = frozenset({"value", "text", "faultcode", "faultstring", "reason"})
_TAG = re.compile(r"<[^<>]{0,2048}>")


def is_envelope(text: str) -> bool:
    """Whether a text holds a SOAP envelope, whatever its prefix."""
    return _ENVELOPE.search(text) is not None


def is_message(request: bytes) -> bool:
    """Whether an HTTP request carries a SOAP envelope."""
    return request[:5].upper() == b"POST " and is_envelope(request[:MAX_XML].decode("latin-1"))


def operation(text: str) -> str:
    """The local name of the first element of the body (`GetScopes`), or the empty text."""
    found = _OPERATION.search(text[:MAX_XML])
    return found[1] if found else ""


def namespaces(text: str) -> str:
    """All namespace declarations in document order, `prefix=uri` (`=uri` without a prefix), blank-separated."""
    seen: dict[str, None] = {}
    for prefix, double, single in _XMLNS.findall(text[:MAX_XML]):
        seen[f"{prefix}={double or single}"] = None
        if len(seen) == 200:
            break
    return " ".join(seen)


def elements(text: str) -> Iterator[tuple[str, str]]:
    """(local name, text) of every element that holds text only, in document order, whole message or piece of one."""
    text = text[:MAX_XML]
    parsed = _parsed(text)
    return iter(parsed) if parsed is not None else fields.leaves(text)


def _parsed(text: str) -> list[tuple[str, str]] | None:
    start = text.find("<")
    if start < 0 or not text.rstrip().endswith(">") or _too_deep(text):
        return None
    try:
        root = ElementTree.fromstring(_undeclared(text[start:]), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    return [
        (element.tag.rpartition("}")[2], element.text)
        for element in root.iter()
        if isinstance(element.tag, str) and element.text and len(element) == 0
    ]


def _undeclared(text: str) -> str:
    """Without the XML declaration: its encoding is not that of text any more."""
    if text[:5].lower() == "<?xml":
        end = text.find("?>", 0, 512)
        if end > 0:
            return text[end + 2 :].lstrip()
    return text


def _too_deep(text: str) -> bool:
    depth = 0
    for tag in _TAG.findall(text):
        if tag[1] == "/":
            depth -= 1
        elif tag[1] not in "?!" and tag[-2] != "/":
            depth += 1
            if depth > MAX_DEPTH:
                return True
    return False


def fault(text: str) -> str:
    """Codes and reasons of a fault in document order, blank-separated, or the empty text where there is none."""
    found = _FAULT.search(text[:MAX_XML])
    if found is None:
        return ""
    parts = [" ".join(value.split()) for name, value in elements(text) if name.lower() in _FAULT_PARTS]
    return " ".join(part for part in parts if part)[:1024]


def envelope(body: str, declared: str = "") -> str:
    """A SOAP 1.2 message around `body`, which is put where `{s}` stands for the envelope's prefix.

    `declared` are further declarations as `namespaces` lists them; they keep their order, and one for the envelope
    its prefix.
    """
    spaces: dict[str, str] = {}
    for item in declared.split():
        prefix, _, uri = item.partition("=")
        if _PREFIX.fullmatch(prefix):
            spaces.setdefault(prefix, uri)
    own = next((prefix for prefix, uri in spaces.items() if uri in _ENVELOPES), None)
    if own is None:
        own = next(prefix for prefix in ("s", "env", "lv") if prefix not in spaces)
        spaces = {own: ENVELOPE, **spaces}
    attributes = "".join(f' xmlns:{prefix}="{fields.escape(uri)}"' for prefix, uri in spaces.items())
    return (
        f'<?xml version="1.0" encoding="utf-8"?><{own}:Envelope{attributes}>'
        f"<{own}:Body>{body.replace('{s}', own)}</{own}:Body></{own}:Envelope>"
    )
