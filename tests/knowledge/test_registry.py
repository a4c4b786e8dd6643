from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from scanner import knowledge
from scanner.errors import RulesProblem
from scanner.knowledge.registry import Registration, Registry, digest, installed, pack
from scanner.knowledge.registry_files import about
from scanner.resources import data_dir


@pytest.fixture(scope="module")
def registry() -> Registry:
    return knowledge.load().registry


def test_the_longest_prefix_wins(registry: Registry) -> None:
    scale = registry.lookup("40:2c:76:11:22:33")
    other = registry.lookup("40:2c:76:21:22:33")
    assert scale is not None
    assert other is not None
    assert scale.organisation == "Shanghai Dahua Scale Factory"
    assert (scale.prefix, scale.bits) == ("40:2c:76:1", 28)
    assert "Dahua" not in other.organisation
    aztek = registry.lookup("8c:1f:64:d8:01:23")
    assert aztek is not None
    assert aztek.bits == 36
    assert "AZTEK" in aztek.organisation


def test_a_parent_block_is_nobody(registry: Registry) -> None:
    with_gap = next(mac for mac in (f"70:b3:d5:{n:02x}:00:00" for n in range(256)) if registry.lookup(mac) is None)
    assert "divided among many" in registry.describe(with_gap)
    assert registry.describe("00:62:6e:00:00:01") == "not in the registry"


def test_local_looking_prefixes_that_are_registered_are_found(registry: Registry) -> None:
    hit = registry.lookup("02:c0:8c:00:00:01")
    assert hit is not None
    assert hit.organisation == "3COM"


@pytest.mark.parametrize(
    ("mac", "words"),
    [
        ("46:19:b6:01:02:03", "locally administered"),
        ("3e:ef:8c:01:02:03", "locally administered"),
        ("01:00:5e:00:00:fb", "group address"),
        ("11:00:aa:00:00:01", "group address"),
        ("ff:ff:ff:ff:ff:ff", "group address"),
        ("00:00:00:00:00:00", "no address"),
        ("banana", "not a MAC"),
    ],
)
def test_what_is_never_looked_up(registry: Registry, mac: str, words: str) -> None:
    assert registry.lookup(mac) is None
    assert words in registry.describe(mac)


def test_an_owner_that_is_not_the_maker_is_overridden(registry: Registry) -> None:
    hit = registry.lookup("00:12:31:08:bb:97")
    assert hit is not None
    assert "Xiongmai" in hit.organisation
    assert hit.override is not None


@pytest.mark.parametrize(
    ("organisation", "group"),
    [
        ("Zhejiang Dahua Technology Co., Ltd.", "dahua"),
        ("ZHEJIANG DAHUA TECHNOLOGYCO.,LTD", "dahua"),
        ("ZHEJIANG DAHUA ZHILIAN CO.,LTD", "dahua"),
        ("Hangzhou Hikvision Digital Technology Co.,Ltd.", "hikvision"),
        ("Hangzhou Ezviz Software Co.,Ltd.", "hikvision"),
        ("zte corporation", "zte"),
        ("ZHONGXING TELECOM LTD.", "zte"),
        ("Hytera Communications Co .,ltd", "hytera"),
        ("Shanghai Dahua Scale Factory", "shanghai-dahua-scale"),
        ("Avedis Zildjian Company", "zildjian"),
        ("Hochiki Corporation", "hochiki"),
        ("ZTEC Instruments, Inc.", "ztec-instruments"),
    ],
)
def test_names_belong_to_whole_organisations(organisation: str, group: str) -> None:
    vendors = knowledge.load().vendors
    hit = vendors.by_oui_org(organisation)
    assert hit is not None
    assert vendors.group_of(hit[0].id).group == group


@pytest.mark.parametrize("name", ["Dahua", "Shenztech Ltd", "Yoshiki Electronics Industry Ltd.", "Huawei Road", "zte"])
def test_substrings_are_nobody(name: str) -> None:
    hit = knowledge.load().vendors.by_oui_org(name)
    assert hit is None or hit[0].kind == "none"


def test_the_file_is_what_its_description_says(registry: Registry) -> None:
    said = about(data_dir("oui"))
    assert digest(data_dir("oui") / "registry.bin") == said.sha256
    assert sum(said.blocks.values()) == len(registry) > 50_000


def test_packing_is_exact_over_random_blocks(tmp_path: Path) -> None:
    chance = random.Random(1)
    blocks = {f"{chance.getrandbits(4 * n - 8):0{n}X}": f"Org {i} é" for i, n in enumerate([6, 7, 9] * 200)}
    path = tmp_path / "r.bin"
    path.write_bytes(pack(blocks))
    packed = Registry(path)
    for prefix, name in blocks.items():
        mac = prefix.ljust(12, "0")
        longest = max((p for p in blocks if mac.startswith(p)), key=len)
        hit = packed.lookup(mac)
        assert hit is not None
        assert hit.organisation == blocks[longest]
        assert name


@pytest.mark.parametrize("content", [b"", b"nonsense", b"LVOUI\x01\x00\x00" + b"\xff" * 16])
def test_a_damaged_file_is_said_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.bin"
    path.write_bytes(content)
    with pytest.raises(RulesProblem, match=r"build\.py|no registry"):
        Registry(path)


def test_agreement_with_an_independent_reader(registry: Registry) -> None:
    """mac-vendor-lookup reads its own copy of the 24-bit registry: what differs must be renamed, newer or withheld."""
    from mac_vendor_lookup import MacLookup

    oracle = MacLookup()
    oracle.load_vendors()
    oracle.loop.close()  # it makes one of its own and leaves it open
    prefixes: dict[bytes, bytes] = oracle.async_lookup.prefixes
    classes = {"same": 0, "renamed": 0, "withheld": 0, "parent": 0, "missing": 0}
    for raw, name in prefixes.items():
        digits, theirs = raw.decode(), name.decode(errors="replace").strip()
        hit = registry.lookup(digits + "FFFFFF")
        if theirs.lower() == "private":
            classes["withheld"] += 1
        elif "IEEE Registration Authority" in theirs:
            classes["parent"] += 1
        elif hit is None:
            classes["missing"] += 1
        elif hit.override or hit.organisation.casefold().split() == theirs.casefold().split():
            classes["same"] += 1
        else:
            classes["renamed"] += 1
    assert classes["missing"] == 0, classes
    assert classes["renamed"] < 0.01 * len(prefixes), classes
    assert classes["same"] > 0.97 * len(prefixes), classes


def test_a_longer_registered_block_goes_before_an_override(tmp_path: Path) -> None:
    packed, own = tmp_path / "r.bin", tmp_path / "own.yaml"
    packed.write_bytes(pack({"3CEF8C": "Registered", "3CEF8C1": "Part", "3CEF8C123": "Part of the part"}))
    own.write_text("overrides: [{prefix: '3c:ef:8c', organisation: Maker, because: seen, source: [https://example.org]}]")
    table = Registry(packed, own)
    found = [table.lookup(f"3c-ef-8c-{rest}") for rest in ("12-30-00", "13-00-00", "20-00-00")]
    assert [hit and hit.organisation for hit in found] == ["Part of the part", "Part", "Maker"]
    assert len({*found, Registration("3c:ef:8c:1", 28, "Part")}) == 3
    assert repr(found[1]) == "Registration('3c:ef:8c:1', 28, 'Part', None)"


def test_the_registry_in_use_is_the_same_alone(registry: Registry, own_data: Path) -> None:
    alone = installed()
    for mac in ("3c:ef:8c:11:22:33", "00:12:31:08:bb:97", "40:2c:76:11:22:33", "70:b3:d5:ff:00:00", "banana"):
        assert alone.lookup(mac) == registry.lookup(mac)
    own_data.mkdir(parents=True)
    (own_data / "oui-overrides.yaml").write_text(
        "overrides: [{prefix: '3c:ef:8c', organisation: Somebody Else, because: seen, source: [https://example.org]}]\n"
    )
    hit = installed().lookup("3c:ef:8c:00:00:01")
    assert hit is not None
    assert hit.organisation == "Somebody Else"


def test_a_lookup_imports_no_more_than_it_needs(own_data: Path) -> None:
    code = """
import sys
before = set(sys.modules)
from scanner.knowledge.registry import installed
assert installed().lookup("3c:ef:8c:11:22:33").bits == 24
print(*(set(sys.modules) - before))
"""
    assert not own_data.exists()
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    needed = {"__future__", "mmap", "bisect", "_bisect"}
    assert {name for name in done.stdout.split() if name.partition(".")[0] != "scanner"} <= needed
