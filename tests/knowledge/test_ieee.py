from __future__ import annotations

import json

import pytest

from scanner.errors import InputProblem
from scanner.knowledge import ieee

CSV = (
    "Registry,Assignment,Organization Name,Organization Address\r\n"
    'MA-L,3CEF8C,"Zhejiang Dahua Technology Co., Ltd.","No.1199 Waterfront Road\nHangzhou  CN 310053 "\r\n'
    'MA-M,402C761,Shanghai Dahua Scale Factory,"say ""Scale"""\r\n'
    "MA-S,8C1F64D80,AZTEK SA,\r\n"
    "IAB,0050C2001,JMBS Developpements,\r\n"
    "CID,CA0000,A Company Id,\r\n"
)
TXT_24 = (
    "OUI/MA-L                                                    Organization                                 \n"
    "company_id                                                  Organization                                 \n\n"
    "3C-EF-8C   (hex)\t\tZhejiang Dahua Technology Co., Ltd.\n"
    "3CEF8C     (base 16)\t\tZhejiang Dahua Technology Co., Ltd.\n\t\t\t\tNo.1199\n\n"
)
TXT_28 = (
    "40-2C-76   (hex)\t\tShanghai Dahua Scale Factory\n100000-1FFFFF     (base 16)\t\tShanghai Dahua Scale Factory\n"
)
TXT_36 = "8C-1F-64   (hex)\t\tAZTEK SA\nD80000-D80FFF     (base 16)\t\tAZTEK SA\n"


def test_csv_of_every_registry() -> None:
    assert ieee.read(CSV.encode(), "oui.csv") == {
        "3CEF8C": "Zhejiang Dahua Technology Co., Ltd.",
        "402C761": "Shanghai Dahua Scale Factory",
        "8C1F64D80": "AZTEK SA",
        "0050C2001": "JMBS Developpements",
    }
    assert ieee.read(b"\xef\xbb\xbf" + CSV.encode(), "bom.csv") == ieee.read(CSV.encode(), "oui.csv")


def test_the_text_twins_say_the_same() -> None:
    csv = ieee.read(CSV.encode(), "oui.csv")
    for text in (TXT_24, TXT_28, TXT_36):
        found = ieee.read(text.encode(), "oui.txt")
        assert len(found) == 1
        assert found.items() <= csv.items()


def test_oui_data_gives_the_first_line_of_a_record() -> None:
    raw = json.dumps({"3CEF8C": "Dahua\nStreet\nCN", "402c761": "Scale"})
    assert ieee.read(raw.encode(), "index.json") == {"3CEF8C": "Dahua", "402C761": "Scale"}


def test_of_a_prefix_that_stands_twice_the_first_counts() -> None:
    twice = CSV + "MA-L,3CEF8C,Somebody,\r\n"
    assert ieee.read(twice.encode(), "x")["3CEF8C"].startswith("Zhejiang")


def test_names_cannot_act_on_a_terminal() -> None:
    assert ieee.clean("Evil\x1b[2J\r\n  Corp\x9b\u202e ") == "Evil [2J Corp"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "none of the forms"),
        (b"hello\n", "none of the forms"),
        (b"<!DOCTYPE html><html>log in</html>", "web page"),
        (b"LVOUI\x01\x00\x00", "no text"),
        (b"\x1f\x8b\x08\x00\x00", "no text"),
        (CSV.encode()[:-9], "cut off"),
        (TXT_24.encode()[:-20], "cut off"),
        (CSV.replace("Organization Name", "Name").encode(), "first line"),
        (CSV.splitlines()[0].encode() + b"\n", "no prefix"),
        (b"Registry,Assignment,Organization Name,Organization Address\nCID,CA0000,A Company Id,\n", "no prefix"),
        (CSV.encode() + b"MA-L,XYZ,Org,\r\n" * 5, "unreadable"),
        (CSV.encode() + b"MA-L,3CEF8D,,\r\n" * 5, "unreadable"),
        (CSV.encode() + b'MA-L,123456,"' + b"x" * 200_000 + b'"\r\n', "damaged"),
        (b'{"3CEF8C": "Dahua"', "damaged"),
        (b'{"3CEF8C": ["Dahua"]}', "damaged"),
        (b'{"a":' * 100_000, "damaged"),
    ],
)
def test_what_is_no_registry_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(InputProblem, match=rf"file\.x: .*{words}"):
        ieee.read(data, "file.x")
