from __future__ import annotations

from collections.abc import Callable
from typing import Any

LEASES = '''# The format of this file is documented in the dhcpd.leases(5) manual page.
authoring-byte-order little-endian;
lease 192.0.2.1 {
  starts 2 2026/11/24 10:00:00;
  ends 2 2026/11/24 12:00:00;
  binding state active;
  next binding state free;
  hardware ethernet 02:00:00:00:00:01;
}
lease 192.0.2.1 {
  starts 2 2026/11/24 13:00:00;
  binding state active;
  hardware ethernet 3c:ef:8c:11:22:33;
  uid "\\001<\\357\\214\\021\\"3";
  set vendor-class-identifier = "AXIS,Network Camera,P3343,5.20.3";
  client-hostname "cam-1";
}
lease 192.0.2.2 {
  binding state abandoned;
  hardware ethernet 3c:ef:8c:11:22:44;
}
'''


def test_the_last_lease_of_an_address_holds(read: Callable[..., Any]) -> None:
    heard, source = read(LEASES, "dhcpd")

    (only,) = heard
    assert (only.mac, only.address, only.at) == ("3c:ef:8c:11:22:33", "192.0.2.1", "2026-11-24T13:00:00Z")
    assert {o.channel: o.value for o in only.observations} == {
        "dhcp.vendor_class": "AXIS,Network Camera,P3343,5.20.3", "dhcp.hostname": "cam-1",
    }  # fmt: skip
    assert source.unknown == 0, source.shown


def test_a_file_that_is_cut_off_keeps_what_stands_before(read: Callable[..., Any]) -> None:
    heard, source = read(LEASES[: LEASES.index("lease 192.0.2.2") + 40], "dhcpd")

    assert [h.address for h in heard] == ["192.0.2.1"]
    assert "cut off" in source.notes[0]


def test_leases_of_ipv6_and_hosts_with_a_fixed_address(read: Callable[..., Any]) -> None:
    text = r'''ia-na "\001\000\000\000\000\003\000\001<\357\214\021\"3" {
  cltt 2 2026/11/24 10:00:00;
  iaaddr 2001:db8::5 {
    binding state active;
    max-life 600;
  }
}
ia-na 01:00:00:00:00:01:00:01:2c:5e:01:02:3c:ef:8c:11:22:44 {
  iaaddr 2001:db8::6 {
    binding state active;
  }
}
host cam-7 {
  dynamic;
  hardware ethernet 3c:ef:8c:11:22:77;
  fixed-address 192.0.2.7;
}
host cam-8 { hardware ethernet 3c:ef:8c:11:22:88; fixed-address 192.0.2.8; }
host gone {
  deleted;
  hardware ethernet 3c:ef:8c:11:22:99;
}
'''
    heard, source = read(text, "dhcpd")

    assert [(h.mac, h.address) for h in heard] == [
        ("3c:ef:8c:11:22:33", "2001:db8::5"), (None, "2001:db8::6"), ("3c:ef:8c:11:22:77", "192.0.2.7"), ("3c:ef:8c:11:22:88", "192.0.2.8"),
    ]  # fmt: skip
    assert source.unknown == 0, source.shown
