"""The table of actions: effect of a measure × does it bind × is it in force × how sure is the identity.

A weaker identity, or a doubt about the listing, never yields a stricter action than a stronger one.
"""

from __future__ import annotations

from scanner.model import Action, Effect, Level

MUST_GO = frozenset({Effect.USE_BANNED, Effect.REMOVAL_ORDERED})
"""Effects that ask for removal."""
NO_MORE = frozenset({Effect.PROCUREMENT_BANNED, Effect.AUTHORISATION_BANNED, Effect.IMPORT_MARKETING_BANNED})
"""Effects that ask to buy (sell, import) no more of it."""


def asked(effect: Effect, *, ahead: bool) -> Action:
    """What a measure asks of an organisation it binds about a device it certainly covers."""
    if effect in MUST_GO:
        return Action.PLAN if ahead else Action.REMOVE
    if effect in NO_MORE:
        return Action.PLAN if ahead else Action.DO_NOT_BUY
    return Action.NOTE


def action(effect: Effect, level: Level, *, bound: bool | None, ahead: bool, doubt: bool) -> Action:
    """The action of one verdict.

    `bound`: None where the organisation has not said what it is. `ahead`: the date lies in the future. `doubt`:
    something about the listing (the company meant, the relation, the day) is not verified.
    """
    if level is Level.UNKNOWN:
        return Action.NONE
    wanted = asked(effect, ahead=ahead)
    if bound is not True or wanted is Action.NOTE:
        return Action.NOTE
    if doubt or level is Level.POSSIBLE:
        return Action.INVESTIGATE
    if wanted is Action.REMOVE and level is not Level.CONFIRMED:
        return Action.INVESTIGATE
    return wanted
