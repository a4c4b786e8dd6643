"""What reaches a person when something is wrong: what it was, where, and what to do. None of it ends in a traceback.

An error ends the command; a warning or failure (`Notice`) stands in the report, or is said while the command goes
on. Each ends with its code, and docs/errors.md has a heading for each code. A notice is made by `notice` alone, and
what carries one (`Coverage.warnings`, `Scan.failures`, `complain`) takes nothing else: one without a code is a type
error.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NewType

from scanner.values import one_line

Notice = NewType("Notice", str)
"""A sentence for a person that ends with its code: `interface eth0 went down … [E-LINK]`."""


class Code(StrEnum):
    """Every code; `E-` where something was not done, `W-` where it was and the reader should know."""

    USAGE = "E-USAGE"
    INPUT = "E-INPUT"
    RULES = "E-RULES"
    SCAN = "E-SCAN"
    STORE = "E-STORE"
    SYSTEM = "E-SYSTEM"
    INTERNAL = "E-INTERNAL"
    FAILED = "E-FAILED"
    LINK = "E-LINK"
    ROUTE = "E-ROUTE"
    NETWORK = "E-NETWORK"
    TABLE = "E-TABLE"
    WRITE = "E-WRITE"
    NMAP = "E-NMAP"
    SNMP = "E-SNMP"
    BUNDLE = "E-BUNDLE"
    STALE = "W-STALE"
    CLOCK = "W-CLOCK"
    RESUMED = "W-RESUMED"
    CHECKPOINT = "W-CHECKPOINT"
    PROXY = "W-PROXY-ARP"
    SHARED_ADDRESS = "W-SHARED-ADDRESS"
    SHARED_MAC = "W-SHARED-MAC"
    EVERY_PORT = "W-EVERY-PORT"
    FOREIGN = "W-FOREIGN"
    QUIET = "W-QUIET"
    NEIGHBOURS = "W-NEIGHBOURS"
    LOST = "W-LOST"
    UNASKED = "W-UNASKED"
    NOTHING = "W-NOTHING-HEARD"
    IMPORT = "W-IMPORT"
    ALONE = "W-MAC-ALONE"
    ASSETS = "W-ASSETS"
    WAIVER = "W-WAIVER"
    REJUDGED = "W-REJUDGED"
    MEMORY = "W-MEMORY"
    SINK = "W-SINK"
    OUTBOX = "W-OUTBOX"
    PACE = "W-PACE"
    IGNORED = "W-IGNORED"


class LanvetoError(Exception):
    """A failure with a sentence for the user; the command line prints it and leaves with `exit_code`."""

    exit_code = 2
    code = Code.FAILED


class UsageProblem(LanvetoError):
    """The command line or the configuration asks for something that cannot be."""

    code = Code.USAGE


class InputProblem(LanvetoError):
    """A file cannot be read or does not say what it should; the text names file, entry, key and reason."""

    code = Code.INPUT


class RulesProblem(InputProblem):
    """Knowledge (a vendor, fingerprint, policy or registry file) is broken."""

    code = Code.RULES


class ScanIncomplete(LanvetoError):
    """The scan could not be completed; partial results were written."""

    exit_code = 3
    code = Code.SCAN


class StoreProblem(LanvetoError):
    """The history cannot be read or written; nothing in it is half written. The text names the store and what to do."""

    code = Code.STORE


def coded(text: str, code: str) -> str:
    """The sentence with its code, as a person sees it."""
    return f"{text} [{code}]"


_CODED = re.compile(r"^(.*) \[([EW]-[A-Z][A-Z-]*)\]$", re.DOTALL)


def notice(code: Code, text: str) -> Notice:
    """A warning or failure. A text that has a code already (a scan's, told again by its service) keeps that one."""
    return Notice(text if code_of(text) is not None else coded(text, code))


def notice_of(problem: LanvetoError) -> Notice:
    """An error that did not end the command."""
    return notice(problem.code, str(problem))


def code_of(text: str) -> Code | None:
    """The code at a sentence's end; None without one that there is."""
    found = _CODED.match(text)
    try:
        return Code(found[2]) if found else None
    except ValueError:
        return None


def without_code(text: str) -> str:
    """The sentence without its code."""
    found = _CODED.match(text)
    return found[1] if found and code_of(text) is not None else text


def brief(said: str, characters: int) -> str:
    """The sentence on one line, safe to print, cut to so many characters and its code kept."""
    code = code_of(said)
    text = one_line(without_code(said), characters)
    return text if code is None else coded(text, code)
