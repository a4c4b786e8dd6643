"""Errors that reach a person: what was wrong, where, and what to do. None of them ends in a traceback.

Each kind has a code, printed after its sentence; docs/errors.md has a heading for each.
"""

from __future__ import annotations


class LanvetoError(Exception):
    """A failure with a sentence for the user; the command line prints it and leaves with `exit_code`."""

    exit_code = 2
    code = "E-FAILED"


class UsageProblem(LanvetoError):
    """The command line or the configuration asks for something that cannot be."""

    code = "E-USAGE"


class InputProblem(LanvetoError):
    """A file cannot be read or does not say what it should; the text names file, entry, key and reason."""

    code = "E-INPUT"


class RulesProblem(InputProblem):
    """Knowledge (a vendor, fingerprint, policy or registry file) is broken."""

    code = "E-RULES"


class ScanIncomplete(LanvetoError):
    """The scan could not be completed; partial results were written."""

    exit_code = 3
    code = "E-SCAN"


class StoreProblem(LanvetoError):
    """The history cannot be read or written; nothing in it is half written. The text names the store and what to do."""

    code = "E-STORE"


INTERNAL = "E-INTERNAL"
"""A defect of ours, or a machine without memory."""
SYSTEM = "E-SYSTEM"
"""What the operating system refused."""


def coded(text: str, code: str) -> str:
    """The sentence with its code, as a person sees it."""
    return f"{text} [{code}]"
