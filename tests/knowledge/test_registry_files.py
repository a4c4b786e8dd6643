from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scanner.errors import RulesProblem
from scanner.knowledge.registry import Registry, pack
from scanner.knowledge.registry_files import about, read_overrides
from scanner.resources import data_dir

ENTRY = 'overrides:\n  - {{prefix: "{}", organisation: Someone, because: seen, source: [{}]}}\n'


def test_the_overrides_that_ship_are_read() -> None:
    found = read_overrides(data_dir("oui") / "overrides.yaml")
    assert "Xiongmai" in found[24, 0x001231].organisation


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ENTRY.format("00:12", "x"), "no prefix of 24, 28 or 36 bits"),
        (ENTRY.format("00:12:3x", "x"), "no prefix of 24, 28 or 36 bits"),
        (ENTRY.format("00:12:31", ""), "source: is empty"),
        ("overrides: 3\n", "overrides"),
        ("overrides: [\n", "overrides.yaml"),
    ],
)
def test_a_broken_file_is_said_so_before_the_first_lookup(tmp_path: Path, text: str, words: str) -> None:
    packed, file = tmp_path / "registry.bin", tmp_path / "overrides.yaml"
    packed.write_bytes(pack({"001231": "Registered"}))
    file.write_text(text)
    with pytest.raises(RulesProblem, match=words):
        Registry(packed, file)
    with pytest.raises(RulesProblem, match="cannot be read"):
        Registry(packed, tmp_path / "none.yaml")


@pytest.mark.parametrize("spelled", ["00:12:31", "001231", "AA:BB:CC:D", "\\x3000:11:2"])
def test_every_spelling_of_a_prefix_is_found_by_a_lookup(tmp_path: Path, spelled: str) -> None:
    packed, file = tmp_path / "registry.bin", tmp_path / "overrides.yaml"
    packed.write_bytes(pack({"001231": "Registered"}))
    file.write_text(ENTRY.format(spelled, "x"))
    (bits, prefix), = read_overrides(file)
    hit = Registry(packed, file).lookup(f"{prefix << (48 - bits):012x}")
    assert hit is not None
    assert (hit.bits, hit.organisation, hit.override) == (bits, "Someone", "seen")
    assert hit.prefix.replace(":", "") == f"{prefix:0{bits // 4}x}"


def test_an_ordinary_lookup_reads_no_yaml() -> None:
    code = (
        "import sys; from scanner import knowledge; table = knowledge.load().registry\n"
        "assert table.lookup('3c:ef:8c:00:00:01').organisation.startswith('Zhejiang Dahua')\n"
        "print(sorted({'yaml', 'msgspec', 'dataclasses', 'hashlib'} & set(sys.modules)))\n"
        "assert 'Xiongmai' in table.lookup('00:12:31:00:00:01').organisation\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_a_missing_description_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RulesProblem, match="registry.json"):
        about(tmp_path)
