from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.imports.arp import _ADDRESS_FIRST
from scanner.imports.tables import address_in, mac_in

PAIR = ("3c:ef:8c:11:22:33", "192.0.2.1")
OTHER = ("0c:1b:d8:01:02:03", "192.0.2.7")

TABLES = {
    "ip neigh": """192.0.2.1 dev eth0 lladdr 3c:ef:8c:11:22:33 REACHABLE
192.0.2.9 dev eth0  FAILED
192.0.2.7 dev eth0 lladdr 0c:1b:d8:01:02:03 STALE
""",
    "arp -a on Linux": """gw.example (192.0.2.1) at 3c:ef:8c:11:22:33 [ether] on eth0
? (192.0.2.9) at <incomplete> on eth0
? (192.0.2.7) at 0c:1b:d8:01:02:03 [ether] PERM on eth0
""",
    "arp -n": """Address                  HWtype  HWaddress           Flags Mask            Iface
192.0.2.1                ether   3c:ef:8c:11:22:33   C                     eth0
192.0.2.9                        (incomplete)                              eth0
192.0.2.7                ether   0c:1b:d8:01:02:03   C                     eth0
""",
    "/proc/net/arp": """IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         3c:ef:8c:11:22:33     *        eth0
192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0
192.0.2.7        0x1         0x2         0c:1b:d8:01:02:03     *        eth0
""",
    "macOS": """? (192.0.2.1) at 3c:ef:8c:11:22:33 on en0 ifscope [ethernet]
? (192.0.2.9) at (incomplete) on en0 ifscope [ethernet]
? (192.0.2.7) at c:1b:d8:1:2:3 on en0 ifscope [ethernet]
? (224.0.0.251) at 1:0:5e:0:0:fb on en0 ifscope permanent [ethernet]
""",
    "Windows": """
Interface: 192.0.2.10 --- 0x4
  Internet Address      Physical Address      Type
  192.0.2.1             3c-ef-8c-11-22-33     dynamic
  192.0.2.7             0c-1b-d8-01-02-03     dynamic
  192.0.2.255           ff-ff-ff-ff-ff-ff     static
  224.0.0.22            01-00-5e-00-00-16     static
""",
    "Windows in German": """
Schnittstelle: 192.0.2.10 --- 0x4
  Internetadresse       Physische Adresse     Typ
  192.0.2.1             3c-ef-8c-11-22-33     dynamisch
  192.0.2.7             0c-1b-d8-01-02-03     dynamisch
""",
    "Get-NetNeighbor": """
ifIndex IPAddress                                          LinkLayerAddress      State       PolicyStore
------- ---------                                          ----------------      -----       -----------
4       192.0.2.9                                          00-00-00-00-00-00     Unreachable ActiveStore
4       192.0.2.1                                          3C-EF-8C-11-22-33     Reachable   ActiveStore
4       192.0.2.7                                          0C-1B-D8-01-02-03     Stale       ActiveStore
""",
    "Cisco IOS": """core-1#show ip arp
Protocol  Address          Age (min)  Hardware Addr   Type   Interface
Internet  192.0.2.1               12   3cef.8c11.2233  ARPA   Vlan10
Internet  192.0.2.9                0   Incomplete      ARPA
Internet  192.0.2.7                -   0c1b.d801.0203  ARPA   Vlan10
""",
    "Cisco NX-OS": """IP ARP Table for context default
Total number of entries: 2
Address         Age       MAC Address     Interface       Flags
192.0.2.1       00:12:33  3cef.8c11.2233  Vlan10
192.0.2.7       00:01:02  0c1b.d801.0203  Vlan10
""",
    "Aruba CX": """
IPv4 Address     MAC                Port         Physical Port   State
---------------------------------------------------------------------------
192.0.2.1        3c:ef:8c:11:22:33  vlan10       1/1/1           reachable
192.0.2.7        0c:1b:d8:01:02:03  vlan10       1/1/2           reachable
Total Number Of ARP Entries Listed- 2.
""",
    "ProCurve": """ IP ARP table

  IP Address       MAC Address       Type    Port
  ---------------  ----------------- ------- ----
  192.0.2.1        3cef8c-112233     dynamic 5
  192.0.2.7        0c1bd8-010203     dynamic A7
""",
    "Juniper": """MAC Address       Address         Name                      Interface               Flags
3c:ef:8c:11:22:33 192.0.2.1       192.0.2.1                 irb.10 [ge-0/0/1.0]     none
0c:1b:d8:01:02:03 192.0.2.7       192.0.2.7                 irb.10 [ge-0/0/2.0]     none
Total entries: 2
""",
    "Huawei": """IP ADDRESS      MAC ADDRESS     EXPIRE(M) TYPE        INTERFACE   VPN-INSTANCE
------------------------------------------------------------------------------
192.0.2.1       3cef-8c11-2233  20        D-0         GE1/0/1
192.0.2.7       0c1b-d801-0203  20        D-0         GE1/0/2
------------------------------------------------------------------------------
Total:2         Dynamic:2       Static:0     Interface:0
""",
    "arp-scan": """Interface: eth0, type: EN10MB, MAC: 02:00:00:00:00:01, IPv4: 192.0.2.10
Starting arp-scan 1.10.0 with 256 hosts (https://github.com/royhills/arp-scan)
192.0.2.1\t3c:ef:8c:11:22:33\tZhejiang Dahua Technology Co., Ltd.
192.0.2.7\t0c:1b:d8:01:02:03\t(Unknown)

2 packets received by filter, 0 packets dropped by kernel
Ending arp-scan 1.10.0: 256 hosts scanned in 1.9 seconds (134 hosts/sec). 2 responded
""",
}


@pytest.mark.parametrize("tool", TABLES)
def test_every_tool_tells_the_same_pairs(tool: str, read: Callable[..., Any]) -> None:
    heard, source = read(TABLES[tool], "arp")

    pairs = [(h.mac, h.address) for h in heard if h.mac != "02:00:00:00:00:01"]
    assert pairs == [PAIR, OTHER]
    assert source.unknown == 0, source.shown


def test_powershell_writes_utf_16(read: Callable[..., Any]) -> None:
    heard, source = read(TABLES["Windows"].replace("\n", "\r\n").encode("utf-16"), "arp")

    assert [(h.mac, h.address) for h in heard] == [PAIR, OTHER]
    assert source.unknown == 0, source.shown


WINDOWS = {
    "cs": ("Rozhraní:", "internetová adresa", "fyzická adresa", "typ", "dynamická", "statická", "cp852"),
    "el": ("Διασύνδεση:", "Διεύθυνση Internet", "Φυσική διεύθυνση", "Τύπος", "δυναμικό", "στατικό", "cp737"),
    "es": ("Interfaz:", "Dirección de Internet", "Dirección física", "Tipo", "dinámico", "estático", "cp850"),
    "fr": ("Interface :", "Adresse Internet", "Adresse physique", "Type", "dynamique", "statique", "cp850"),
    "hu": ("Illesztőfelület:", "IP-cím", "Fizikai cím", "Típus", "dinamikus", "statikus", "cp852"),
    "ja": ("インターフェイス:", "インターネット アドレス", "物理アドレス", "種類", "動的", "静的", "cp932"),
    "ko": ("인터페이스:", "인터넷 주소", "물리적 주소", "유형", "동적", "정적", "cp949"),
    "pl": ("Interfejs:", "Adres internetowy", "Adres fizyczny", "Typ", "dynamiczne", "statyczne", "cp852"),
    "pt": ("Interface:", "Endereço IP", "Endereço físico", "Tipo", "dinâmico", "estático", "cp850"),
    "ru": ("Интерфейс:", "адрес в Интернете", "Физический адрес", "Тип", "динамический", "статический", "cp866"),
    "sv": ("Gränssnitt:", "IP-adress", "Fysisk adress", "Typ", "dynamisk", "statisk", "cp850"),
    "zh": ("接口:", "Internet 地址", "物理地址", "类型", "动态", "静态", "cp936"),
}


@pytest.mark.parametrize("kind", ["console", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("language", WINDOWS)
def test_windows_in_every_language(language: str, kind: str, read: Callable[..., Any]) -> None:
    """As `arp -a` writes it into a pipe (the console's code page), and as PowerShell keeps it."""
    interface, first, second, third, moving, fixed, page = WINDOWS[language]
    table = (
        f"\n{interface} 192.0.2.10 --- 0x4\n  {first:22}{second:22}{third}\n"
        f"  192.0.2.1             3c-ef-8c-11-22-33     {moving}\n  192.0.2.7             0c-1b-d8-01-02-03     {moving}\n"
        f"  192.0.2.255           ff-ff-ff-ff-ff-ff     {fixed}\n  239.255.255.250       01-00-5e-7f-ff-fa     {fixed}\n"
    )
    heard, source = read(table.replace("\n", "\r\n").encode(page if kind == "console" else kind), "arp")

    assert [(h.mac, h.address) for h in heard] == [PAIR, OTHER]
    assert source.unknown == 0, source.shown


def test_what_a_terminal_shows_around_a_table_is_no_unknown_line(read: Callable[..., Any]) -> None:
    around = (
        "RP/0/RSP0/CPU0:core#terminal length 0\nTue Nov 24 10:00:00.123 UTC\n(ctrl) #show arp\nFG100 # get system arp\n"
        "[admin@MikroTik] > /ip arp print\n{master:0}\nadmin@ex1>\nCP - Added via L2RIB, Control plane Adjacencies\n"
        "Connection to 192.0.2.254 closed.\n"
    )
    heard, source = read(around + TABLES["ip neigh"] + around, "arp")

    assert [(h.mac, h.address) for h in heard] == [PAIR, OTHER]
    assert source.unknown == 0, source.shown


@pytest.mark.parametrize("turned", [False, True])
def test_a_terminals_log_holds_tables_of_both_kinds(turned: bool, read: Callable[..., Any]) -> None:
    """Neither kind of line may cost the devices of the other, whichever comes first and names the format."""
    ports = "core-1#show mac address-table\n  10    3cef.8c11.2233    DYNAMIC     Gi1/0/1\n  20    c42f.90a7.b5d1    DYNAMIC     Gi1/0/2\n"
    parts = [TABLES["Cisco IOS"], ports * 20]
    heard, source = read("".join(parts[::-1] if turned else parts), "mac-table")

    assert {(h.mac, h.address) for h in heard if h.address} == {PAIR, OTHER}
    assert {(h.mac, h.place.port) for h in heard if not h.address} == {(PAIR[0], "Gi1/0/1"), ("c4:2f:90:a7:b5:d1", "Gi1/0/2")}
    assert source.unknown == 0, source.shown


def test_old_consoles_write_a_code_page(read: Callable[..., Any]) -> None:
    heard, _ = read(TABLES["Windows in German"].replace("dynamisch", "unvollständig x").encode("cp850"), "arp")

    assert [(h.mac, h.address) for h in heard] == [PAIR, OTHER]


def test_ipv6_neighbours(read: Callable[..., Any]) -> None:
    heard, _ = read("fe80::3eef:8cff:fe11:2233 dev eth0 lladdr 3c:ef:8c:11:22:33 router STALE\n", "arp")

    assert [(h.mac, h.address) for h in heard] == [(PAIR[0], "fe80::3eef:8cff:fe11:2233")]


def test_the_vlan_is_kept_where_an_interface_tells_it(read: Callable[..., Any]) -> None:
    heard, _ = read(TABLES["Cisco IOS"], "arp")

    assert [h.place.vlan for h in heard] == [10, 10]


def test_unknown_lines_are_counted_and_shown(read: Callable[..., Any]) -> None:
    heard, source = read(TABLES["ip neigh"] + "Lorem ipsum\n\x1b[31mdolor\x00 sit\n", "arp")

    assert len(heard) == 2
    assert source.unknown == 2
    assert source.shown == ["line 4: Lorem ipsum", "line 5: \\x1b[31mdolor\\x00 sit"]


@pytest.mark.parametrize(("line", "vlan"), [
    ("192.0.2.1 dev eth0.30 lladdr 3c:ef:8c:11:22:33 REACHABLE", 30), ("? (192.0.2.1) at 3c:ef:8c:11:22:33 on en0.40 [ethernet]", 40),
    ("192.0.2.1 3cef.8c11.2233 VLAN-interface20", 20), ("192.0.2.1 3cef.8c11.2233 br-vlan7", 7), ("192.0.2.1 3cef.8c11.2233 irb.5", 5),
    ("3c:ef:8c:11:22:33 192.0.2.1 ge-0/0/1.0 [vlan9]", 9), ("192.0.2.1 dev vlan11 lladdr 3c:ef:8c:11:22:33 STALE", 11), ("192.0.2.1 3cef.8c11.2233 BVI3", 3),
    ("192.0.2.1 3cef.8c11.2233 svi8", 8), ("192.0.2.1 3cef.8c11.2233 vlan4095", None), ("192.0.2.1 dev eth0 lladdr 3c:ef:8c:11:22:33 STALE", None),
])  # fmt: skip
def test_the_vlan_of_a_line(line: str, vlan: int | None, read: Callable[..., Any]) -> None:
    ((one,), _source) = read(line + "\n", "arp", recognised=False)

    assert (one.mac, one.address) == PAIR
    assert (one.place.vlan if one.place else None) == vlan


WORDS = st.sampled_from([
    "Internet", "192.0.2.1", "10.0.0.255", "0.0.0.1", "224.0.0.1", "255.255.255.255", "01.2.3.4", "999.1.1.1", "2001:db8::1", "fe80::1%eth0", "12:30:05",
    "3cef.8c11.2233", "3c:ef:8c:11:22:33", "c:1b:d8:1:2:3", "(192.0.2.7)", "192.0.2.9/24", "192.0.2.3,", "dev", "Vlan10", "-",
])  # fmt: skip


@given(st.lists(WORDS, min_size=1, max_size=6), st.sampled_from([" ", "  ", "\t"]), st.sampled_from(["", " "]))
def test_a_line_that_begins_with_its_address_is_read_as_any_other(words: list[str], gap: str, before: str) -> None:
    line = before + gap.join(words)
    first = _ADDRESS_FIRST.match(line)
    if first is None:
        return
    found = mac_in(line)
    assert mac_in(line, first.end()) == found
    if found is not None:
        assert address_in(line[: found[1]]) == first[1]
