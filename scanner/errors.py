"""Errors that reach a person: what was wrong, where, and what to do. None of them ends in a traceback."""

from __future__ import annotations


class LanvetoError(Exception):
    """A failure with a sentence for the user; the command line prints it and leaves with `exit_code`."""

    exit_code = 2


class UsageProblem(LanvetoError):
    """The command line or the configuration asks for something that cannot be."""


class InputProblem(LanvetoError):
    """A file cannot be read or does not say what it should; the text names file, entry, key and reason."""


class RulesProblem(InputProblem):
    """Knowledge (a vendor, fingerprint, policy or registry file) is broken."""


class ScanIncomplete(LanvetoError):
    """The scan could not be completed; partial results were written."""

    exit_code = 3


class StoreProblem(LanvetoError):
    """The history cannot be read or written; nothing in it is half written. The text names the store and what to do."""
