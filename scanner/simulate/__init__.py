"""Recordings as devices that answer on the wire: a segment with MACs of their own, or loopback addresses."""
