"""The traps of the registry's names, from address to maker: near names, shared blocks, chips, sellers."""

from __future__ import annotations

import pytest

from scanner import knowledge
from scanner.knowledge import Knowledge

OWN = {
    "hikvision": "44:19:B6 C0:6D:ED 54:C4:15 0C:A6:4C 64:F2:FB 24:B1:05 BC:29:78 34:BD:20 B0:B3:53:6",
    "dahua": "3C:EF:8C 08:ED:ED 30:DD:AA 40:7A:A4 4C:99:E8 F8:CE:07 20:2C:05 A8:CA:87",
    "huawei": "00:18:82 00:E0:FC 00:3D:E1 00:22:A1 64:F8:1C",
    "zte": "00:15:EB 00:D0:D0 AC:64:DD:5",
    "hytera": "64:69:BC 9C:06:6E",
    "fiberhome": "00:2F:D9 00:0A:C2 14:F8:93",
    "uniview": "48:EA:63 6C:F1:7E 88:26:3F C4:79:05",
    "tiandy": "3C:DA:6D BC:51:6C E4:E6:6C",
    "dji": "04:A8:5A 34:91:F0 20:1F:55 F8:40:68",
    "axis": "00:40:8C AC:CC:8E B8:A4:4F E8:27:25",
    "hanwha": "00:09:18 E4:30:22 44:B4:23",
    "doorbird": "1C:CA:E3:7 58:D8:A7",
    "amazon": "3C:A0:70 18:7F:88",
    "google": "18:B4:30 64:16:66",
    "raysharp": "00:23:63",
    "hogotech": "4C:EA:41:C",
    "shanghai-dahua-scale": "40:2C:76:1",
    "zildjian": "F4:1A:79:7",
}
"""Maker → prefixes of its own, each spelling of its name among them."""

LOOKALIKES = (
    # as found by a part of the name
    *(
        "84:32:EA",
        "00:0D:20",
        "18:20:12",
        "00:26:75",
        "00:30:0A",
        "E0:8E:3C",
        "4C:EA:41:E",
        "00:1A:E7",
        "8C:1F:64:D8:0",
    ),
    *(
        "00:09:47",
        "00:1F:07",
        "78:39:2D:2",
        "84:85:0A",
        "8C:1F:64:16:6",
        "00:08:C4",
        "54:CE:69",
        "00:0A:A6",
        "AC:EF:92:3",
    ),
    *("00:24:47", "00:09:BA", "00:13:52", "94:2D:3A", "20:5A:8F", "7C:82:74", "00:1A:EE", "E0:3C:1C:1", "00:04:1E"),
    *("8C:1F:64:17:A", "C0:B3:57", "00:C0:99", "44:6F:D8:A", "78:66:AE"),
    # as found by the address of the registrant: Huawei Road, ZTE Industrial Park, Dahua-jianghong Park, Ishikawa
    *("80:7B:85:3", "00:09:F5", "D0:F1:21", "9C:F6:DD:1", "00:00:FC", "00:80:E1", "94:F5:51", "18:A2:8A", "C8:2C:2B:7"),
    *("00:21:42", "00:80:92", "84:25:3F"),
    # as found by resemblance
    *("7C:F4:62", "44:03:77:6", "F8:EF:B1", "60:A4:34:2", "00:41:B4", "00:80:03", "D8:D4:E6", "50:2D:F4", "FC:7D:6C"),
    *("80:FF:A8", "88:5D:90:6", "C0:61:9A:E"),
    # neighbours in a shared block of 24 bits: 40:2C:76, AC:64:DD, B0:B3:53
    *("40:2C:76:0", "40:2C:76:2", "40:2C:76:7", "AC:64:DD:7", "AC:64:DD:E", "AC:64:DD:1", "B0:B3:53:B", "B0:B3:53:0"),
    *("B0:B3:53:D", "B0:B3:53:A", "B0:B3:53:5"),
    # the network chip's or the module's
    *("3C:7A:AA", "5C:FF:FF", "00:0C:43", "0C:AE:7D", "00:03:7F", "00:95:69", "80:91:33", "20:F4:1B"),
    # once related, now somebody else
    *("34:73:79", "44:1A:4C", "10:91:66", "B8:CC:38"),
)
RESTRICTED = {"hikvision", "dahua", "huawei", "zte", "hytera", "fiberhome", "uniview", "tiandy", "dji"}


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge.load()


def _maker(prefix: str, known: Knowledge) -> str | None:
    hit = known.registry.lookup(prefix.replace(":", "").ljust(12, "0"))
    owner = known.vendors.by_oui_org(hit.organisation) if hit is not None else None
    return known.group_id(owner[0].id) if owner is not None else None


@pytest.mark.parametrize(("maker", "prefix"), [(m, p) for m, prefixes in OWN.items() for p in prefixes.split()])
def test_every_spelling_of_a_maker_is_its_own(maker: str, prefix: str, known: Knowledge) -> None:
    assert _maker(prefix, known) == maker


@pytest.mark.parametrize("prefix", LOOKALIKES)
def test_whoever_looks_like_one_is_not(prefix: str, known: Knowledge) -> None:
    hit = known.registry.lookup(prefix.replace(":", "").ljust(12, "0"))
    assert hit is not None
    assert hit.bits == 4 * len(prefix.replace(":", ""))
    assert _maker(prefix, known) not in RESTRICTED


@pytest.mark.parametrize(
    ("prefix", "brand"),
    [
        ("00:1F:54", "lorex"),
        ("20:DE:88", "ic-realtime"),
        ("14:07:08", "cp-plus"),
        ("8C:11:CB", "abus"),
        ("3C:A0:70", "blink"),
    ],
)
def test_a_sellers_prefix_names_the_label(prefix: str, brand: str, known: Knowledge) -> None:
    hit = known.registry.lookup(prefix + ":00:00:00")
    assert hit is not None
    label = known.brands.by_oui_org(hit.organisation)
    assert label is not None
    assert label.id == brand
    assert _maker(prefix, known) not in RESTRICTED


def test_a_block_of_twenty_eight_bits_is_not_its_neighbours(known: Knowledge) -> None:
    makers = {_maker(f"1C:CA:E3:{digit:X}", known) for digit in range(16)}
    assert makers == {"doorbird", None}
