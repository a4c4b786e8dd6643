"""What is never sent over HTTP: credentials, login steps, changes, and what makers regard as a leak or an attack.

The same list keeps our own client from following a link there and fails a simulated device that hears it.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from scanner.protocols import messages, soap

READS = frozenset({
    "getsystemdateandtime", "getdeviceinformation", "getscopes", "getcapabilities", "getservices", "gethostname",
    "getservicecapabilities", "getwsdlurl", "getendpointreference",
})  # fmt: skip
"""ONVIF operations that may be asked without credentials, in lower case."""
OPEN_POSTS = ("/axis-cgi/basicdeviceinfo.cgi",)
"""Paths that answer a POST to anybody and change nothing."""

_PATHS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.I), why)
    for pattern, why in (
        (r"/system/configurationfile", "a dump of the configuration"),
        (r"/onvif-?http/|/onvif-?snapshot|/snapshot|/snap\.jpg|/streaming/channels/\d+/picture", "a picture"),
        (r"/sdk/weblanguage", "an attack"),
        (r"/isapi/security/|/security/(?:sessionlogin|usercheck)|/usercheck\b", "a step of a login"),
        (r"/isapi/system/(?!deviceinfo\b|activatestatus\b|status\b|capabilities\b)", "more than may be read"),
        (r"/rpc[23]\b|/rpc[23]_|/dologin|/api\.cgi\?|/cgi-bin/api", "a step of a login"),
        (r"/web_caps/", "what its maker regards as a leak"),
        (r"/current_config|/mtd/|/etc/passwd|\.\./", "an attack"),
        (r"/cgi-bin/(?:audio|main-cgi|configmanager|hi3510|nobody|supervisor|guest)", "more than may be read"),
        (r"/cgi-bin/magicbox\.cgi(?!\?action=get[a-z]{1,40}$)", "more than may be read"),
        (r"/boafrm/|/goform/|/hnap1|/userrpm/|/tmui/|/luci/.*(?:auth|token)", "a form of its settings"),
    )
)
_QUERY = re.compile(
    r"[?&;](?:auth|authorization|user(?:name)?|usr|loginuse|pass(?:word|wd)?|pwd|loginpas|login|token|session(?:id)?"
    r"|setconfig|factory|reboot|reset|restore)=",
    re.I,
)
_CHANGES = re.compile(
    r"\b(?:reboot|restart|reset|restore|factory|upgrade|delete|shutdown|poweroff|logout|setconfig)\b", re.I
)
_HEADERS = {
    "authorization": "credentials", "proxy-authorization": "credentials", "x-wsse": "credentials",
    "cookie": "a cookie", "x-auth-token": "credentials", "x-api-key": "credentials",
}  # fmt: skip
_BODY = re.compile(rb"global\.log(?:in|out)|\"(?:password|passwd|authorityType)\"", re.I)
_SECURITY = re.compile(r"<(?:[\w.-]{1,64}:)?(?:security|usernametoken|password)[\s/>]", re.I)


def path(target: str) -> str | None:
    """Why this path (or URL) must never be asked for, or None."""
    plain = unquote(unquote(target[:4096]))
    address = re.match(r"(?i)[a-z][a-z0-9+.-]{0,15}://([^/?#]{0,512})", plain)
    if address:
        if "@" in address[1]:
            return "credentials"
        plain = plain[address.end() :] or "/"
    plain = re.sub(r"/{2,}|/\./", "/", plain.replace("\\", "/"))
    for pattern, why in _PATHS:
        if pattern.search(plain):
            return why
    if _QUERY.search(plain):
        return "credentials or a change in the query"
    return "a change" if _CHANGES.search(plain) else None


def request(data: bytes) -> str | None:
    """What is forbidden about a whole HTTP request, or None; also for ONVIF's."""
    method, target, message = messages.request(data)
    if not method:
        return None
    for name, _value in message.headers:
        if name.lower() in _HEADERS:
            return f"HTTP: {_HEADERS[name.lower()]} in {name}"
    why = path(target)
    if why is not None:
        return f"HTTP: {method} {target[:120]}: {why}"
    if method in {"GET", "HEAD"}:
        return None
    if method != "POST":
        return f"HTTP: {method} is more than a read"
    if soap.is_envelope(messages.text(message, message.body)):
        return soap_request(messages.text(message, message.body))
    if _BODY.search(message.body):
        return "HTTP: a step of a login"
    if target.split("?")[0].lower() not in OPEN_POSTS:
        return f"HTTP: POST {target[:120]} is more than a read"
    return None if b"getAllUnrestrictedProperties" in message.body else "HTTP: a method that needs a login"


def soap_request(text: str) -> str | None:
    """What is forbidden about a SOAP message: credentials, and every operation but the open reads."""
    if _SECURITY.search(text):
        return "ONVIF: credentials"
    operation = soap.operation(text)
    return None if operation.lower() in READS else f"ONVIF: the operation {operation or 'of no name'} is no open read"
