from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_leases(read: Callable[..., Any]) -> None:
    heard, source = read(
        "1732447200 3c:ef:8c:11:22:33 192.0.2.1 cam-1 01:3c:ef:8c:11:22:33\n1732447200 c4:2f:90:a7:b5:d1 192.0.2.2 * *\n"
        "duid 00:01:00:01:2c:0f\n1732447200 16814195 2001:db8::5 cam-1 00:01:00:01\n1732447200 T16814196 2001:db8::6 * 00:03:00:01:3c:ef:8c:11:22:44\nwhat\n",
        "dnsmasq",
    )

    assert [(h.mac, h.address, [o.value for o in h.observations]) for h in heard] == [
        ("3c:ef:8c:11:22:33", "192.0.2.1", ["cam-1"]), ("c4:2f:90:a7:b5:d1", "192.0.2.2", []),
        (None, "2001:db8::5", ["cam-1"]), ("3c:ef:8c:11:22:44", "2001:db8::6", []),
    ]  # fmt: skip
    assert source.shown == ["line 6: what"]
