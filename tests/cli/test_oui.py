from __future__ import annotations

import pytest

from scanner.cli import main


def test_lookup_knows_long_prefixes_vendors_and_random_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["oui", "lookup", "3c:ef:8c:11:22:33", "40-2c-76-1f-00-01", "3eef.8c11.2233"]) == 0
    dahua, scale, local = capsys.readouterr().out.splitlines()
    assert "Zhejiang Dahua Technology" in dahua
    assert "vendor dahua" in dahua
    assert "Shanghai Dahua Scale" in scale
    assert "vendor dahua" not in scale.replace("shanghai-dahua", "")
    assert "/28" in scale
    assert "3e:ef:8c:11:22:33" in local
    assert "Dahua" not in local


def test_nonsense_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["oui", "lookup", "banana"]) == 2
    assert "banana" in capsys.readouterr().err
