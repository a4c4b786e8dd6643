"""lanveto: who made the devices on this network, how do we know, and what does the law ask of us."""

__version__ = "0.1.0"
