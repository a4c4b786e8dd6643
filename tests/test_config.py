from __future__ import annotations

from pathlib import Path

import pytest

from scanner import ports
from scanner.config import MANNERS, Plan, Speed, check_ports, parse_ports
from scanner.errors import UsageProblem


def test_the_default_plan_is_polite() -> None:
    plan = Plan()

    assert plan.arp_rate == 500
    assert plan.manners.requests == 5
    assert plan.ports[0] == 80
    assert not set(plan.ports) & set(ports.FORBIDDEN)


@pytest.mark.parametrize("text", ["9100", "80,9107", "100-105", "502", "47808"])
def test_forbidden_ports_are_refused_by_name(text: str) -> None:
    with pytest.raises(UsageProblem, match="never spoken to"):
        parse_ports(text)


@pytest.mark.parametrize("text", ["", "http", "0", "65536", "90-80", "1-65535", "80,,81", "-80", "8²", "9" * 5000])
def test_ports_that_are_none_get_a_sentence(text: str) -> None:
    with pytest.raises(UsageProblem, match="--ports"):
        parse_ports(text)


def test_ports_keep_the_order_written_and_stand_once() -> None:
    assert parse_ports("8000-8002,80,8001") == (8000, 8001, 8002, 80)
    assert check_ports((80,)) == (80,)


def test_gentle_and_a_high_rate_contradict_each_other() -> None:
    assert Plan(speed=Speed.GENTLE).arp_rate == 10
    assert Plan(speed=Speed.GENTLE, rate=5).arp_rate == 5
    with pytest.raises(UsageProblem, match="--gentle"):
        Plan(speed=Speed.GENTLE, rate=100)


def test_fast_lifts_rates_only() -> None:
    fast = MANNERS[Speed.FAST]

    assert fast.requests is None
    assert fast.arp > MANNERS[Speed.NORMAL].arp


@pytest.mark.parametrize(
    "wrong", [{"rate": 0}, {"rate": -1}, {"rate": 2e6}, {"timeout": 0}, {"timeout": 1e9}, {"ports": ()},
              {"site": "a/b"}, {"site": ""}, {"handshakes": 0}, {"ports": (502,)}]
)  # fmt: skip
def test_impossible_numbers_are_usage_problems(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageProblem):
        Plan(**wrong)  # type: ignore[arg-type]


def test_a_simulated_device_has_only_its_mapped_ports() -> None:
    plan = Plan(port_map={"127.0.0.9": {80: 20080}})

    assert plan.real_port("127.0.0.9", 80) == 20080
    assert plan.real_port("127.0.0.9", 22) is None
    assert plan.real_port("127.0.0.8", 22) == 22


def test_places_are_checked_before_anything_is_sent(tmp_path: Path) -> None:
    Plan(record=tmp_path / "new", audit_log=tmp_path / "audit.log")

    assert not (tmp_path / "new").exists(), "a rehearsal leaves nothing behind"
    with pytest.raises(UsageProblem, match="--audit-log"):
        Plan(audit_log=tmp_path)
    with pytest.raises(UsageProblem, match="does not exist"):
        Plan(audit_log=tmp_path / "no" / "audit.log")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageProblem, match="--record"):
        Plan(record=tmp_path / "file")
    with pytest.raises(UsageProblem, match="is no folder"):
        Plan(record=tmp_path / "file" / "deeper")
