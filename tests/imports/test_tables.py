from __future__ import annotations

import pytest

from scanner.imports.tables import address_in, duid_mac, is_command, mac_in, moment, normal_address, prompt, spelled_mac


@pytest.mark.parametrize("text", ["3c:ef:8c:11:22:33", "3C-EF-8C-11-22-33", "3cef.8c11.2233", "3cef-8c11-2233", "3cef8c-112233", "3cef8c112233", "(3c:ef:8c:11:22:33)"])
def test_every_spelling_of_a_mac(text: str) -> None:
    found = mac_in(f"x {text} y")

    assert found is not None
    assert found[0] == "3c:ef:8c:11:22:33"


@pytest.mark.parametrize("text", ["00:12:33", "fe80:1:2:3:4:5:6:7", "2026-11-24-10-00-00", "3cef8c1122334455", "uuid-3cef8c112233-x", "192.0.2.1"])
def test_what_is_no_mac(text: str) -> None:
    assert mac_in(text) is None


def test_leading_zeros_may_be_missing() -> None:
    assert spelled_mac("c:1b:d8:1:2:3") == "0c:1b:d8:01:02:03"


@pytest.mark.parametrize(("text", "address"), [
    ("? (192.0.2.1) at", "192.0.2.1"), ("192.0.2.1,", "192.0.2.1"), ("fe80::1%eth0 dev", "fe80::1"), ("999.1.1.1", None), ("224.0.0.1", None),
    ("v1.2.3.4.5", None), ("0.0.0.0", None), ("12:30:05 2001:DB8::1", "2001:db8::1"), ("255.255.255.255", None),
])  # fmt: skip
def test_addresses(text: str, address: str | None) -> None:
    assert address_in(text) == address
    assert normal_address(text) in {address, None}


@pytest.mark.parametrize(("text", "time"), [
    ("1732440000", "2024-11-24T09:20:00Z"), ("2026/11/24 10:00:00", "2026-11-24T10:00:00Z"), ("2026-11-24T10:00:00+02:00", "2026-11-24T08:00:00Z"),
    ("yesterday", None), ("99999999999999", None), ("", None),
])  # fmt: skip
def test_moments(text: str, time: str | None) -> None:
    assert moment(text) == time


@pytest.mark.parametrize(("line", "name"), [
    ("core-1#show arp", "core-1"), ("admin@mx-1> show arp no-resolve", "mx-1"), ("<sw-2>display arp", "sw-2"), ("core-1(config)#do show arp", "core-1"),
    ("RP/0/RSP0/CPU0:core-1#show arp", "core-1"), ("(ctrl) #show arp", "ctrl"), ("SW#", None), ("192.0.2.1 dev eth0", None),
])  # fmt: skip
def test_prompts(line: str, name: str | None) -> None:
    found = prompt(line)

    assert (found[0] if found else None) == name


@pytest.mark.parametrize("line", ["SW#", "Router#exit", "(ctrl) #show arp", "FG100 # get system arp", "[admin@MikroTik] > /ip arp print",
    "admin@ex1:~$ arp -a", "{master:0}", "Tue Nov 24 10:00:00.123 UTC", "Connection to 192.0.2.1 closed."])  # fmt: skip
def test_what_a_terminal_adds(line: str) -> None:
    assert is_command(line)


@pytest.mark.parametrize("line", ["Lorem ipsum", "192.0.2.1 is down", "# a comment", "", "x" * 10_000 + "#"])
def test_what_no_terminal_adds(line: str) -> None:
    assert not is_command(line)


@pytest.mark.parametrize(("text", "mac"), [
    ("00:03:00:01:3c:ef:8c:11:22:33", "3c:ef:8c:11:22:33"), ("000300013cef8c112233", "3c:ef:8c:11:22:33"),
    ("00:01:00:01:2c:5e:01:02:3c:ef:8c:11:22:33", None), ("00:03:00:06:3c:ef:8c:11:22:33", None), ("", None), ("00:03:00:01", None),
])  # fmt: skip
def test_a_client_identifier_that_is_made_of_a_mac(text: str, mac: str | None) -> None:
    assert duid_mac(text) == mac
