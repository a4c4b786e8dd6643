from __future__ import annotations

import socket
import struct

import pytest

from scanner.net import netlink


def test_the_loopback_link_is_there() -> None:
    names = [m.attributes[3].rstrip(b"\0") for m in netlink.dump(netlink.GETLINK)]

    assert b"lo" in names


def test_neighbours_of_a_link_are_a_part_of_all() -> None:
    everything = netlink.neighbours()

    assert {n.index for n in netlink.neighbours(1)} <= {1}
    assert set(netlink.neighbours(1)) <= set(everything)


def test_broken_answers_end_quietly() -> None:
    assert netlink.nested(b"") == {}
    assert netlink.nested(struct.pack("=HH", 2, 1)) == {}
    assert netlink.nested(struct.pack("=HH", 400, 1) + b"ab") == {1: b"ab"}
    assert netlink.nested(struct.pack("=HH4s", 8, 0x8001, b"abcd")) == {1: b"abcd"}


def test_an_error_of_the_kernel_is_an_oserror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(netlink._REPLY, 9999, 16)
    with pytest.raises(OSError, match=r"."):
        netlink.dump(9999, socket.AF_INET)
