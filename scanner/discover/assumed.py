"""`--assume-up`: every address is asked as if somebody had been found there, for hosts that answer no search.

Who then answers nothing at all is not taken for a device.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from scanner.config import Plan
from scanner.discover.base import Expected, Ground, Scene, Way
from scanner.discover.book import Sighting

METHOD = "assumed"


class Assumed(Way):
    """Looks for nobody: enters every address."""

    name = METHOD
    order = 90

    def suits(self, ground: Ground, plan: Plan) -> bool:
        """Everywhere, where the user says so."""
        return plan.assume_up

    def expect(self, ground: Ground, plan: Plan) -> Expected:
        """Nothing is sent to look for hosts; a portion is asked while the next one is entered."""
        return Expected(f"{ground.count} addresses are asked as if hosts had been found there (--assume-up)", 0.0)

    async def search(self, ground: Ground, scene: Scene) -> str | None:
        """Enter every address."""
        for number in ground.numbers():
            scene.book.sighted(Sighting(str(IPv4Address(number)), None, METHOD, packets=0))
        for address in ground.v6:
            scene.book.sighted(Sighting(address, None, METHOD, packets=0))
        return "hosts were asked without having been found (--assume-up)"


WAY = Assumed
