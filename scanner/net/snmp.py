"""SNMP with the user's own secret, by pysnmp (extra `snmp`): reads tables of routers and switches, never writes.

Tier 3: only hosts that the user names are asked, one request at a time to each, and only for the tables that are
named by the caller. Secrets come from the environment or from a file and are shown nowhere.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scanner.errors import ScanIncomplete, UsageProblem

PORT = 161
ROWS_A_REQUEST = 25
MAX_ROWS = 500_000
"""Rows of one agent; a table that has no end is one of a broken agent."""

COMMUNITY, USER = "LANVETO_SNMP_COMMUNITY", "LANVETO_SNMP_USER"
_KEYS = ("community", "user", "auth_protocol", "auth_password", "priv_protocol", "priv_password")
_AUTH = {"md5": "usmHMACMD5AuthProtocol", "sha": "usmHMACSHAAuthProtocol", "sha224": "usmHMAC128SHA224AuthProtocol",
         "sha256": "usmHMAC192SHA256AuthProtocol", "sha384": "usmHMAC256SHA384AuthProtocol",
         "sha512": "usmHMAC384SHA512AuthProtocol"}  # fmt: skip
_PRIV = {"des": "usmDESPrivProtocol", "aes": "usmAesCfb128Protocol", "aes128": "usmAesCfb128Protocol",
         "aes192": "usmAesCfb192Protocol", "aes256": "usmAesCfb256Protocol"}  # fmt: skip


@dataclass(frozen=True)
class Secret:
    """A v2c community, or a v3 user with what it proves and hides itself by; never shown."""

    community: str | None = field(default=None, repr=False)
    user: str | None = None
    auth_protocol: str = "sha"
    auth_password: str | None = field(default=None, repr=False)
    priv_protocol: str = "aes"
    priv_password: str | None = field(default=None, repr=False)


def secret(path: Path | None, environment: Mapping[str, str] = os.environ) -> Secret:
    """The secret of a file (TOML with the keys of `Secret`, or one line: a community), else of the environment.

    Raises `UsageProblem` where there is none or where it cannot be.
    """
    if path is not None:
        given = _file(path)
    else:
        given = {key: value for key in _KEYS if (value := environment.get(f"LANVETO_SNMP_{key.upper()}"))}
    where = str(path) if path is not None else "the environment"
    if not given.get("community") and not given.get("user"):
        raise UsageProblem(
            f"SNMP needs your own secret: a community in ${COMMUNITY}, a v3 user in ${USER} (with "
            f"LANVETO_SNMP_AUTH_PASSWORD "
            "and LANVETO_SNMP_PRIV_PASSWORD), or --secret-file FILE; never on the command line"
        )
    found = Secret(**given)
    for kind, name, known in (
        ("auth_protocol", found.auth_protocol, _AUTH),
        ("priv_protocol", found.priv_protocol, _PRIV),
    ):
        if name.lower() not in known:
            raise UsageProblem(f"{where}: {kind} {name!r} is none of {', '.join(known)}")
    for kind, password in (("auth_password", found.auth_password), ("priv_password", found.priv_password)):
        if found.user and password is not None and len(password) < 8:
            raise UsageProblem(f"{where}: {kind} has fewer than 8 characters (RFC 3414, 11.2)")
    if found.user and found.priv_password and not found.auth_password:
        raise UsageProblem(f"{where}: priv_password without auth_password: SNMPv3 does not hide without proving")
    return found


def _file(path: Path) -> dict[str, str]:
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(
            f"--secret-file {path}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and "=" not in lines[0]:
        return {"community": lines[0].strip()}
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageProblem(f"--secret-file {path}: is neither one line nor TOML: {error}") from error
    for key, value in found.items():
        if key not in _KEYS:
            raise UsageProblem(f"--secret-file {path}: unknown key {key!r}; there are {', '.join(_KEYS)}")
        if not isinstance(value, str):
            raise UsageProblem(f"--secret-file {path}: {key}: put it in quotes")
    return found


async def walk(
    host: str, shown: Secret, roots: Sequence[str], *, port: int = PORT, patience: float = 3.0, retries: int = 1
) -> AsyncIterator[tuple[str, str]]:
    """(OID in digits, value) of every row below the roots; bytes that are no text as `0x…`.

    Raises `ScanIncomplete` where the agent does not answer, refuses the secret, or has tables without end; what was
    yielded stays. Raises `UsageProblem` without pysnmp.
    """
    try:
        from pysnmp.hlapi.v3arch import asyncio as snmp
    except ImportError as error:
        raise UsageProblem("SNMP needs the extra: pip install 'lanveto[snmp]'") from error
    engine = snmp.SnmpEngine()
    transport: Any = snmp.Udp6TransportTarget if ":" in host else snmp.UdpTransportTarget
    rows = 0
    try:
        target = await transport.create((host, port), timeout=patience, retries=retries)
        for root in roots:
            last: tuple[int, ...] = ()
            rows_of = snmp.bulk_walk_cmd(
                engine, _credentials(snmp, shown), target, snmp.ContextData(), 0, ROWS_A_REQUEST,
                snmp.ObjectType(snmp.ObjectIdentity(root)), lexicographicMode=False, lookupMib=False,
            )  # fmt: skip
            async for failed, status, _index, bindings in rows_of:
                if failed:
                    raise ScanIncomplete(f"{host}: SNMP: {failed}")
                if status:
                    break  # no such table
                for name, value in bindings:
                    oid = tuple(name)
                    kind = type(value).__name__
                    if oid <= last or kind in {"EndOfMibView", "NoSuchObject", "NoSuchInstance"}:
                        break
                    last = oid
                    rows += 1
                    if rows > MAX_ROWS:
                        raise ScanIncomplete(f"{host}: SNMP: more than {MAX_ROWS} rows: the rest was not read")
                    yield ".".join(map(str, oid)), _value(value)
    except ScanIncomplete:
        raise
    except Exception as error:
        raise ScanIncomplete(f"{host}: SNMP: {str(error) or type(error).__name__}") from error
    finally:
        engine.close_dispatcher()


def _credentials(snmp: Any, shown: Secret) -> Any:
    if shown.user is None:
        return snmp.CommunityData(shown.community, mpModel=1)
    return snmp.UsmUserData(
        shown.user, shown.auth_password, shown.priv_password,
        authProtocol=getattr(snmp,
        _AUTH[shown.auth_protocol.lower()]) if shown.auth_password else snmp.usmNoAuthProtocol,
        privProtocol=getattr(snmp,
        _PRIV[shown.priv_protocol.lower()]) if shown.priv_password else snmp.usmNoPrivProtocol,
    )  # fmt: skip


def _value(value: Any) -> str:
    if hasattr(value, "asOctets"):
        data = bytes(value.asOctets())
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return "0x" + data.hex()
        # Six bytes may be a MAC that happens to be printable.
        plain = all(c >= " " or c in "\r\n\t" for c in text) and "\x7f" not in text and len(data) != 6
        return text if plain else "0x" + data.hex()
    return str(value.prettyPrint() if hasattr(value, "prettyPrint") else value)
