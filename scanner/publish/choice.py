"""Which messages a sink gets: only some actions, policies, levels or kinds of events. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from scanner.model import Action, Level


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter of one sink; an empty list lets everything pass."""

    actions: tuple[Action, ...] = ()
    """Findings that ask for one of these, or did before."""
    policies: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    """How sure the maker must be, for findings and devices."""
    kinds: tuple[str, ...] = ()
    """Events of these kinds: device-appeared, finding-opened, scan-failed, …"""

    def wants_event(self, told: Mapping[str, Any]) -> bool:
        """Whether an event passes; scans and losses always do, unless `kinds` leaves them out."""
        kind = str(told.get("kind", ""))
        if self.kinds and kind not in self.kinds and kind != "events-lost":
            return False
        if kind.startswith("finding-"):
            actions = {told.get("action"), told.get("previous")}
            return self._level(told) and self._policy(told) and (not self.actions or bool(actions & set(self.actions)))
        return self._level(told) if kind.startswith("device-") else True

    def wants_finding(self, told: Mapping[str, Any]) -> bool:
        """Whether an open finding passes."""
        return self._level(told) and self._policy(told) and (not self.actions or told.get("action") in self.actions)

    def wants_state(self, told: Mapping[str, Any]) -> bool:
        """Whether a device's state passes."""
        return self._level(told) and (not self.actions or told.get("action") in self.actions)

    def _level(self, told: Mapping[str, Any]) -> bool:
        return not self.levels or told.get("level") in self.levels

    def _policy(self, told: Mapping[str, Any]) -> bool:
        return not self.policies or told.get("policy") in self.policies
