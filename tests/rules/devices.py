"""What the rule tests share: invented devices in every published shape, and what is done to them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from scanner.model import Level, Observation, Recording
from scanner.recordings import load

SURE = {Level.LIKELY, Level.CONFIRMED}


def recordings(name: str) -> list[Recording]:
    """The devices of `name`.yaml beside this file."""
    loaded = load(Path(__file__).with_name(f"{name}.yaml"))
    assert not loaded.problems, loaded.problems
    return list(loaded.recordings)


def device(*says: tuple[str, str]) -> Recording:
    """A device that says these values."""
    return Recording(id="x", observations=tuple(Observation(channel=c, value=v) for c, v in says))


def folded(recording: Recording) -> Recording:
    """The same device in lower case: rules that people publish are often folded."""
    lower = tuple(msgspec.structs.replace(o, value=o.value.lower()) for o in recording.observations)
    return msgspec.structs.replace(recording, observations=lower)


def misplaced(recording: Recording, *channels: str) -> Recording:
    """A device that says the same words where a user may write what he likes."""
    return device(*((channel, o.value[:60]) for channel in channels for o in recording.observations))
