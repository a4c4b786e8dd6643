"""Everything lanveto knows, as typed data: loaded when first used, from our rules and the user's overlays.

Nothing is imported here but what is asked for: a lookup in the registry costs no more than the lookup.
"""

TYPE_CHECKING = False  # as typing has it, without the import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scanner.knowledge.whole import Knowledge as Knowledge
else:

    def __getattr__(name: str) -> object:
        """`Knowledge`, once it is wanted."""
        if name != "Knowledge":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from scanner.knowledge.whole import Knowledge

        return Knowledge


def load(overlays: "Sequence[Path]" = ()) -> "Knowledge":
    """Our rules with the user's folders laid over them, later ones on top.

    What the user has fetched since (`lanveto rules update`, `lanveto oui update`) stands in for what shipped with
    lanveto wherever it is newer. Raises `RulesProblem` where that copy is damaged.
    """
    from scanner.knowledge import shelf
    from scanner.knowledge.whole import Knowledge

    return Knowledge((shelf.rules(), *overlays), shelf.registry(), shelf.overrides())
