from __future__ import annotations

import pytest

from scanner.knowledge.names import check_id, did_you_mean, loose_key, name_key, near


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ZHEJIANG DAHUA TECHNOLOGYCO.,LTD", "Zhejiang Dahua Technology Co., Ltd."),
        ("Hytera Communications Co .,ltd", "HYTERA COMMUNICATIONS CO., LTD."),
        ("SHENZHEN BILIAN ELECTRONIC CO.，LTD", "Shenzhen Bilian Electronic Co.,Ltd"),
        ("IS'Vision", "IS’Vision"),
        ("Geutebrück GmbH", "GEUTEBRÜCK GMBH"),
    ],
)
def test_spellings_of_one_name(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ZTE", "ZTEC"), ("Dahua", "Shanghai Dahua Scale Factory"), ("海康威视", "海康"), ("dji", "Zildjian")],
)
def test_a_part_is_not_the_name(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


def test_legal_forms_are_left_out_at_the_end_only() -> None:
    assert loose_key("Dahua Technology Co., Ltd.") == loose_key("dahua technology")
    assert loose_key("Limited Edition Ltd") == "limitededition"
    assert loose_key("Co") == "co"


def test_suggestions() -> None:
    assert near("hikvison", ["Hikvision", "Dahua"]) == ("Hikvision",)
    assert did_you_mean("hikvison", ["Hikvision"]) == "; did you mean Hikvision?"
    assert did_you_mean("qqqq", ["Hikvision"]) == ""


@pytest.mark.parametrize("text", ["", "Hikvision", "tp_link", "-a", "a--b", "é"])
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        check_id(text)
