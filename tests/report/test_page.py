from __future__ import annotations

from collections.abc import Callable

import pytest

from scanner.model import Device, Report
from scanner.report import page


def test_bars_are_in_order_and_the_rest_is_counted_together() -> None:
    made = page.bars([("a", True), ("a", False), ("b", False)])
    assert [(b.label, b.count, b.flagged, b.share) for b in made] == [("a", 2, 1, 100), ("b", 1, 0, 50)]
    assert [b.label for b in page.bars([("a", False), ("b", False)], ["b", "a"])] == ["b", "a"]
    many = page.bars((f"m{n:02}", False) for n in range(20))
    assert len(many) == page.MAX_BARS
    assert (many[-1].label, many[-1].count) == ("9 others", 9)


@pytest.mark.parametrize(
    ("ip", "network"),
    [("192.0.2.42", "192.0.2.0/24"), ("2001:db8::1", "2001:db8::/64"), ("fe80::1%eth0", "fe80::/64"), (None, "no address")],
)
def test_devices_are_counted_by_network(make_device: Callable[..., Device], ip: str | None, network: str) -> None:
    assert page.subnet(make_device(ip=ip)) == network


@pytest.mark.parametrize("text", ["javascript:x", "data:text/html,x", "//x", "https://a\nb", None, ""])
def test_only_the_web_is_linked_to(text: str | None) -> None:
    assert page.link(text) is None
    assert page.link("https://www.congress.gov/x") == "https://www.congress.gov/x"


def test_the_answer_names_the_profile(make_report: Callable[..., Report]) -> None:
    assert page.answer(make_report()).startswith("For us-federal-contractor: ")
