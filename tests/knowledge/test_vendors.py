"""The vendor graph: names, registrants, relations by date, and the rules that ship."""

from __future__ import annotations

import datetime
import re
import time
from pathlib import Path

import pytest

from scanner.errors import RulesProblem
from scanner.knowledge import vendors
from scanner.knowledge.companies import Business, OuiMeans
from scanner.knowledge.names import name_key
from scanner.knowledge.vendors import VendorGraph
from scanner.resources import data_dir

D = datetime.date


@pytest.fixture(scope="module")
def graph() -> VendorGraph:
    return vendors.load([data_dir("rules")])


def write(folder: Path, text: str, name: str = "x.yaml") -> Path:
    (folder / "vendors").mkdir(exist_ok=True)
    (folder / "vendors" / name).write_text(text, encoding="utf-8")
    return folder


ONE = """group: acme
entities:
- {{id: acme, label: Acme, names: [Acme Ltd]}}
- id: acme-child
  label: Child
  names: [Child Ltd]
  oui_orgs: [Child Ltd]
  oui_means: part
  relations: [{{type: parent, target: acme, {dates}source: x, confidence: high, verified: {seen}}}]
"""


@pytest.mark.parametrize(
    ("name", "entity"),
    [
        ("hikvision", "hikvision"),
        ("海康威视", "hikvision"),
        ("杭州海康威视数字技术股份有限公司", "hikvision"),
        ("Hangzhou Hikvision Digital Technology Company", "hikvision"),
        ("hangzhou hikvision digital technology", "hikvision"),
        ("萤石", "ezviz"),
        ("大华", "dahua"),
        ("乐橙", "imou"),
        ("Lechange", "imou"),
        ("华为", "huawei"),
        ("中兴", "zte"),
        ("海能达", "hytera"),
        ("宇视", "uniview"),
        ("UNV", "uniview"),
        ("天地伟业", "tiandy"),
        ("tp-link", "tp-link-technologies"),
        ("TP-Link Systems Inc.", "tp-link-systems"),
        ("cloudwalk", "cloudwalk"),
        ("云从", "cloudwalk"),
        ("Samsung Techwin", "hanwha"),
        ("Hewlett-Packard", "hp"),
    ],
)
def test_names(graph: VendorGraph, name: str, entity: str) -> None:
    found = graph.resolve(name)
    assert found is not None
    assert found.id == entity


FOUNDING = [
    *("Hikvision", "Dahua", "Huawei", "CloudWalk", "FiberHome", "Nanjing FiberHome Starrysky", "NetPosa", "SenseNets"),
    *("Intellifusion", "IS'Vision", "Ministry of Public Security's Institute of Forensic Science"),
    *("Aksu Huafu Textiles", "ZTE", "Hytera"),
]


@pytest.mark.parametrize("name", FOUNDING)
def test_every_entity_of_the_founding_documents(graph: VendorGraph, name: str) -> None:
    found = graph.resolve(name) or graph.resolve(name + " Communication Development")
    assert found is not None
    assert found.recognised_by
    assert (found.kind in {Business.NONE, Business.SERVICES}) == (found.id in {"mps-forensic-institute", "aksu-huafu"})


@pytest.mark.parametrize(
    ("organisation", "group", "entity", "means"),
    [
        ("Hangzhou Hikvision Digital Technology Co.,Ltd.", "hikvision", "hikvision", OuiMeans.WHOLE_DEVICE),
        ("HANGZHOU  HIKVISION digital technology co ltd", "hikvision", "hikvision", OuiMeans.WHOLE_DEVICE),
        ("Hangzhou Ezviz Software Co.,Ltd.", "hikvision", "ezviz", OuiMeans.WHOLE_DEVICE),
        ("ZHEJIANG DAHUA TECHNOLOGYCO.,LTD", "dahua", "dahua", OuiMeans.WHOLE_DEVICE),
        ("hangzhou huacheng network technology co., ltd", "dahua", "imou", OuiMeans.WHOLE_DEVICE),
        ("HUAWEI TECHNOLOGIES CO.,LTD", "huawei", "huawei", OuiMeans.PART),
        ("ZHONGXING TELECOM LTD.", "zte", "zte", OuiMeans.PART),
        ("TP-Link Systems Inc", "tp-link", "tp-link-systems", OuiMeans.PART),
        ("Honor Device Co., Ltd.", "honor", "honor", OuiMeans.PART),
        ("Hytera Communications Co .,ltd", "hytera", "hytera", OuiMeans.WHOLE_DEVICE),
        ("Autel lntelligent Technology Corp.,Ltd", "autel", "autel-intelligent", OuiMeans.WHOLE_DEVICE),
        ("Axis Communications AB", "axis", "axis", OuiMeans.WHOLE_DEVICE),
        ("Lorex Technology Inc.", "lorex", "lorex", OuiMeans.NONE),
        ("Quectel Wireless Solutions Co.,Ltd.", "quectel", "quectel", OuiMeans.NONE),
        ("Hisilicon Technologies Co., Ltd", "hisilicon", "hisilicon", OuiMeans.NONE),
        ("FLIR Systems Inc", "flir", "flir", OuiMeans.NONE),
        ("Avaya Inc", "avaya", "avaya", OuiMeans.WHOLE_DEVICE),
    ],
)
def test_registrants(graph: VendorGraph, organisation: str, group: str, entity: str, means: OuiMeans) -> None:
    found = graph.by_oui_org(organisation)
    assert found is not None
    assert (found[0].group, found[0].id, found[1]) == (group, entity, means)


FALSE_FRIENDS = [
    *("ANHUI WANZTEN P&T CO., LTD", "Aztech Associates Inc.", "Aztek, Inc.", "AZTEQ Mobile", "Kaztek Systems"),
    *("Chengdu Shiketong Technology Co.,Ltd", "Hikari Alphax Inc.", "Hikari Co.,Ltd.", "MAKU Informationstechik GmbH"),
    *("Naztec, Inc.", "Shenztech Ltd", "Shikino High-Tech Co., Ltd.", "Yoshiki Electronics Industry Ltd."),
    *("Beijing Autelan Technology Inc.", "Nautel LTD", "Teltronic AG", "Teltronics, Inc.", "N3com"),
    *("HEFEI DATANG STORAGE TECHNOLOGY CO.,LTD", "Zhejiang Haikang Science And Technology Co.,Ltd"),
    *("GENETEC Corporation", "Motorola Solutions Inc.", "Shenzhen Kedakeda Technology Co., Ltd."),
    *("Navtech Radar Ltd.", "Hi-Profile Achievement (M) Sdn Bhd"),
]


@pytest.mark.parametrize("organisation", FALSE_FRIENDS)
def test_false_friends_are_nobody_we_know(graph: VendorGraph, organisation: str) -> None:
    assert graph.by_oui_org(organisation) is None


@pytest.mark.parametrize(
    ("organisation", "group"),
    [
        ("Shanghai Dahua Scale Factory", "shanghai-dahua-scale"),
        ("Avedis Zildjian Company", "zildjian"),
        ("ZTEC Instruments, Inc.", "ztec-instruments"),
        ("Hochiki Corporation", "hochiki"),
        ("BEIJING HUAWOO TECHNOLOGIES CO.LTD", "beijing-huawoo"),
        ("JOREX LOREX INDIA PRIVATE LIMITED", "jorex-lorex-india"),
        ("New H3C Technologies Co., Ltd", "h3c"),
    ],
)
def test_near_names_are_themselves(graph: VendorGraph, organisation: str, group: str) -> None:
    found = graph.by_oui_org(organisation)
    assert found is not None
    assert found[0].group == group


@pytest.mark.parametrize(
    ("start", "goal", "on", "found"),
    [
        ("ezviz", "hikvision", D(2026, 1, 1), True),
        ("hikvision", "ezviz", D(2026, 1, 1), False),
        ("hikvision", "cetc", D(2026, 1, 1), True),
        ("ezviz", "cetc", D(2026, 1, 1), True),
        ("lorex", "dahua", D(2017, 12, 31), False),
        ("lorex", "dahua", D(2018, 1, 1), True),
        ("lorex", "dahua", D(2022, 12, 1), False),
        ("honor", "huawei", D(2020, 11, 30), True),
        ("honor", "huawei", D(2020, 12, 1), False),
        ("h3c", "huawei", D(2008, 1, 1), False),
        ("sepura", "hytera", D(2021, 6, 1), True),
        ("datang", "cict", D(2026, 1, 1), True),
        ("datang", "fiberhome", D(2026, 1, 1), False),
        ("tp-link-systems", "tp-link-technologies", D(2026, 1, 1), False),
        ("axis", "hikvision", D(2026, 1, 1), False),
    ],
)
def test_relations_by_date(graph: VendorGraph, start: str, goal: str, on: datetime.date, found: bool) -> None:
    assert (graph.path(start, goal, on) is not None) is found


def test_a_path_in_words(graph: VendorGraph) -> None:
    assert graph.path("ezviz", "ezviz", D(2026, 1, 1)) == ()
    assert graph.path("lorex", "dahua", D(2020, 1, 1)) == ("Lorex → subsidiary of Dahua (2018 to 2022-11)",)
    steps = graph.trace("pyronix", "hikvision", D(2026, 1, 1))
    assert steps is not None
    assert not steps[0].verified
    assert "not verified" in steps[0].sentence


@pytest.fixture(scope="module")
def registrants() -> set[str]:
    """Every organisation of the packed registry."""
    data = (data_dir("oui") / "registry.bin").read_bytes()
    size = int.from_bytes(data[20:24], "little")  # the last count of the header
    return {name.decode() for name in data[-size:].split(b"\n") if name}


def test_every_registrant_is_in_the_registry(graph: VendorGraph, registrants: set[str]) -> None:
    known = {name_key(name) for name in registrants} | {
        name_key("Hangzhou Xiongmai Technology Co.,Ltd"),  # by an override of ours
        name_key("Avigilon Corporation"),
    }
    missing = [o for e in graph.entities() for o in e.oui_orgs if name_key(o) not in known]
    assert not missing, "a misspelt registrant would miss its devices"


def test_no_registrant_of_a_listed_group_is_left_out(graph: VendorGraph, registrants: set[str]) -> None:
    """After an update of the registry, new spellings of these names want a decision."""
    words = re.compile(
        r"\b(hikvision|hikrobot|ezviz|dahua|huacheng network|huawei|hisilicon|zte|hytera|fiberhome|uniview|tiandy|dji"
        r"|cloudwalk|intellifusion|sensetime|iflytek|nuctech|megvii|tp-link|mercusys|autel|inspur|quectel)\b",
        re.IGNORECASE,
    )
    assert [name for name in sorted(registrants) if words.search(name) and graph.by_oui_org(name) is None] == []


def test_what_ships_loads_quickly() -> None:
    best = min(_timed() for _ in range(3))
    assert best < 0.3


def _timed() -> float:
    began = time.perf_counter()
    vendors.load([data_dir("rules")])
    return time.perf_counter() - began


def test_an_overlay_replaces_a_group(tmp_path: Path) -> None:
    write(tmp_path, "group: axis\nentities: [{id: axis, label: Ours, names: [Ours Ltd]}]\n")
    graph = vendors.load([data_dir("rules"), tmp_path])
    assert graph.groups["axis"].title == "Ours"
    assert graph.by_oui_org("Axis Communications AB") is None
    assert graph.group("hikvision") is not None


def test_an_overlay_adds_a_group(tmp_path: Path) -> None:
    graph = vendors.load([data_dir("rules"), write(tmp_path, ONE.format(dates="", seen="true"))])
    assert graph.path("acme-child", "acme", D(2026, 1, 1)) == ("Child → subsidiary of Acme (since when is not known)",)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("group: acme\nentities: []\n", ("x.yaml", "entities")),
        ("group: Acme Co\nentities: [{id: a, label: A, names: [A]}]\n", ("x.yaml", "no id")),
        ("group: acme\nentities: [{id: acme, label: A, names: [A], colour: red}]\n", ("x.yaml", "acme", "colour")),
        ("group: acme\nentities: [{id: acme, label: A, names: 5}]\n", ("x.yaml", "acme", "names")),
        ("group: acme\nentities: [{id: acme, label: A, names: [A], kind: sponge}]\n", ("x.yaml", "kind", "sponge")),
        ("group: acme\nentities: [5]\n", ("x.yaml",)),
        ("- 1\n", ("x.yaml",)),
        ("group: [\n", ("x.yaml", "YAML")),
        (ONE.format(dates="", seen="true").replace("target: acme", "target: nobody"), ("acme-child", "nobody")),
        (ONE.format(dates="since: 2020, until: 2019, ", seen="true"), ("x.yaml", "acme-child", "lies after")),
        (ONE.format(dates="", seen="true").replace("id: acme-child", "id: acme"), ("acme", "taken")),
        (ONE.format(dates="", seen="true").replace("names: [Child Ltd]", "names: [Acme Ltd]"), ("Acme Ltd", "acme")),
    ],
)
def test_broken_files_name_file_entry_key_and_reason(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    write(tmp_path, text)
    with pytest.raises(RulesProblem) as caught:
        vendors.load([tmp_path])
    for part in parts:
        assert part in str(caught.value)


def test_a_relation_stated_from_both_sides_is_refused(tmp_path: Path) -> None:
    text = ONE.format(dates="", seen="true").replace(
        "names: [Acme Ltd]}",
        "names: [Acme Ltd], relations: "
        "[{type: subsidiary, target: acme-child, source: x, confidence: high, verified: true}]}",
    )
    with pytest.raises(RulesProblem, match="related twice"):
        vendors.load([write(tmp_path, text)])


def test_two_groups_cannot_share_a_registrant(tmp_path: Path) -> None:
    write(tmp_path, "group: a\nentities: [{id: a, label: A, names: [A1], oui_orgs: ['X Co., Ltd.']}]\n", "a.yaml")
    write(tmp_path, "group: b\nentities: [{id: b, label: B, names: [B1], oui_orgs: ['x co ltd']}]\n", "b.yaml")
    with pytest.raises(RulesProblem, match="belongs to a already"):
        vendors.load([tmp_path])


def test_two_sideways_steps_do_not_add_up(tmp_path: Path) -> None:
    way = "relations: [{{type: affiliate, target: {}, source: x, confidence: high, verified: true}}]"
    text = (
        "group: a\nentities:\n- {id: a, label: A, names: [A1], " + way.format("b") + "}\n"
        "- {id: b, label: B, names: [B1], " + way.format("c") + "}\n- {id: c, label: C, names: [C1]}\n"
    )
    graph = vendors.load([write(tmp_path, text)])
    assert graph.path("a", "b", D(2026, 1, 1)) == ("A → affiliate of B (since when is not known)",)
    assert graph.path("b", "a", D(2026, 1, 1)) is not None
    assert graph.path("a", "c", D(2026, 1, 1)) is None


def test_no_folder_is_no_error(tmp_path: Path) -> None:
    assert len(vendors.load([tmp_path])) == 0
