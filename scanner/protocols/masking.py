"""Masks what a device gives away needlessly in its answers, so that it can be stored: nonces, cookies, session numbers.

Length and kind of characters stay, because they tell firmwares apart: a mask must never change who is recognised.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache

from scanner.model import Observation
from scanner.protocols.fields import mask_json, mask_xml, remask

SHARED = 512
"""Answers of which is remembered whether there is anything to mask: devices of one kind give the same."""
MAX_SHARED = 16_384
"""Characters above which that is not remembered."""

_SHAPE = str.maketrans("123456789bcdefBCDEF", "000000000aaaaaAAAAA")
_NONCE = re.compile(r"(?i)\b((?:c?nonce|opaque)\s{0,4}=\s{0,4})(\"?)([^\",;\s]{1,1024})")
_COOKIE = re.compile(r"(?im)^((?:set-)?cookie2?[ \t]{0,8}:[ \t]{0,8}[^=;\r\n]{1,128}=)([^;\r\n]{1,4096})")
_SESSION = re.compile(r"(?im)^((?:x-)?session(?:-?id)?[ \t]{0,8}:[ \t]{0,64})([^;\s]{1,512})")
_NAMES = ("salt", "challenge", "sessionID", "ssid", "owner", "token", "accessToken", "random")
_WORTH = re.compile(r"nonce|opaque|cookie|session|" + "|".join(_NAMES), re.I)


def shape(text: str) -> str:
    """Digits as `0` and the letters of hexadecimal numbers as `a` or `A`: as long as before, and of the same kind."""
    return text.translate(_SHAPE)


def nonce(text: str) -> str:
    """A nonce of the same shape; of one that is base64 of readable text, the text is masked and packed again."""
    if len(text) % 4 == 0:
        try:
            inner = base64.b64decode(text, validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            inner = ""
        if len(inner) >= 8 and inner.isprintable():
            # Only digits: words inside ("onvif-digest:") are the maker's.
            return base64.b64encode(re.sub(r"\d", "0", inner).encode()).decode()
    return shape(text)


def answer(observation: Observation) -> Observation:
    """An HTTP, RTSP or SOAP answer without nonces, cookie values, session numbers, salts and names of owners."""
    return remask(observation, _masked) if _concerned(observation.value) else observation


def _concerned(value: str) -> bool:
    return value.startswith("hex:") or (_known_worth if len(value) <= MAX_SHARED else _worth)(value)


def _worth(value: str) -> bool:
    return _WORTH.search(value) is not None


_known_worth = lru_cache(maxsize=SHARED)(_worth)


def _masked(text: str) -> str:
    text = _NONCE.sub(lambda m: m[1] + m[2] + nonce(m[3]), text)
    text = _COOKIE.sub(lambda m: m[1] + shape(m[2]), text)
    text = _SESSION.sub(lambda m: m[1] + shape(m[2]), text)
    if "<" in text:
        text = mask_xml(text, _NAMES)
    return mask_json(text, _NAMES) if '"' in text else text
