"""Labels: hints with scope, period, confidence and source; never makers."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from scanner.errors import RulesProblem
from scanner.knowledge import brands, vendors
from scanner.knowledge.brands import Brands
from scanner.knowledge.companies import OuiMeans
from scanner.resources import data_dir

D = datetime.date


@pytest.fixture(scope="module")
def labels() -> Brands:
    return brands.load([data_dir("rules")])


def write(folder: Path, text: str, name: str = "x.yaml") -> Path:
    (folder / "brands").mkdir(exist_ok=True)
    (folder / "brands" / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("said", "brand"),
    [
        ("CPPLUS", "cp-plus"),
        ("CP_PLUS", "cp-plus"),
        ("CP Plus", "cp-plus"),
        ("QSee", "q-see"),
        ("LOREX", "lorex"),
        ("Lechange", "imou"),
        ("RVi", "rvi"),
        ("RVI", "rvi"),
        ("IC Realtime", "ic-realtime"),
        ("ICRealtime", "ic-realtime"),
        ("LT Security", "lts"),
        ("Interlogix", "truvision"),
        ("HIKVISION", "hikvision"),
        ("TP-LINK", "tp-link"),
        ("MERCURY", "mercury"),
        ("General", None),
        ("Private", None),
        ("IPC", None),
        ("", None),
        ("Lorexx", None),
    ],
)
def test_names(labels: Brands, said: str, brand: str | None) -> None:
    assert labels.id_of(said) == brand


@pytest.mark.parametrize(
    ("organisation", "brand"),
    [
        ("Amcrest Technologies", "amcrest"),
        ("Lorex Technology Inc.", "lorex"),
        ("NSS Sp. z o.o.", "bcs"),
        ("Hangzhou Ezviz Software Co.,Ltd.", "ezviz"),
        ("Aditya Infotech Ltd.", "cp-plus"),
        ("Ring LLC", "ring"),
        ("JOREX LOREX INDIA PRIVATE LIMITED", None),
        ("Hangzhou Hikvision Digital Technology Co.,Ltd.", None),
    ],
)
def test_registrants(labels: Brands, organisation: str, brand: str | None) -> None:
    found = labels.by_oui_org(organisation)
    assert (found.id if found else None) == brand


def test_a_sellers_prefix_never_names_a_maker(labels: Brands) -> None:
    """Where a label's hardware is made by others, its registered prefix must not make its owner the maker."""
    graph = vendors.load([data_dir("rules")])
    for brand in labels:
        for organisation in brand.oui_orgs:
            known = graph.by_oui_org(organisation)
            foreign = [m for m in brand.makers if known and graph.group_of(m.vendor).group != known[0].group]
            if known is not None and foreign:
                assert known[1] != OuiMeans.WHOLE_DEVICE, (brand.id, organisation)


def test_every_relation_has_scope_confidence_and_source(labels: Brands) -> None:
    relations = [(b, m) for b in labels for m in b.makers]
    assert len(relations) > 120
    for brand, made in relations:
        assert made.scope, brand.id
        assert made.sources, brand.id
        assert all(len(source) > 5 for source in made.sources), (brand.id, made.sources)
    assert any(not m.verified for _, m in relations)


def test_periods(labels: Brands) -> None:
    honeywell = labels.get("honeywell")
    assert honeywell is not None
    assert "dahua" in {m.vendor for m in honeywell.makers_on(D(2021, 1, 1))}
    assert "dahua" not in {m.vendor for m in honeywell.makers_on(D(2023, 1, 1))}


def test_hints(labels: Brands) -> None:
    lorex, axis = labels.get("lorex"), labels.get("axis")
    assert lorex is not None
    assert axis is not None
    assert "dahua" in (lorex.hint("N841A8") or "")
    assert "look closer" in (lorex.hint("XYZ") or "")
    assert axis.hint("P3225") is None


def test_made_by(labels: Brands) -> None:
    assert {"amcrest", "lorex", "cp-plus", "intelbras"} <= {b.id for b in labels.made_by("dahua")}
    assert {"lts", "annke", "truvision"} <= {b.id for b in labels.made_by("hikvision")}


def test_software_is_no_hardware(labels: Brands) -> None:
    zoneminder = labels.get("zoneminder")
    assert zoneminder is not None
    assert zoneminder.software
    assert not zoneminder.makers


def test_short_source_words_are_written_out(tmp_path: Path) -> None:
    text = (
        "sources: {REF: 'https://example.org/list'}\nbrands:\n- id: a\n  names: [A]\n"
        "  makers: [{vendor: x, scope: all, confidence: low, verified: true, sources: [REF page 3, elsewhere]}]\n"
    )
    brand = brands.load([write(tmp_path, text)]).get("a")
    assert brand is not None
    assert brand.makers[0].sources == ("https://example.org/list page 3", "elsewhere")


def test_an_overlay_replaces_a_label(tmp_path: Path) -> None:
    labels = brands.load([data_dir("rules"), write(tmp_path, "brands: [{id: lorex, names: [Ours]}]\n")])
    assert labels.id_of("ours") == "lorex"
    assert labels.id_of("Lorex") == "lorex", "an id is a name too"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("brands: [{id: A B, names: [x]}]\n", ("x.yaml", "A B", "no id")),
        ("brands: [{id: a, names: [x], colour: red}]\n", ("x.yaml", "'a'", "colour")),
        ("brands: [{id: a, names: [x]}, {id: a, names: [y]}]\n", ("x.yaml", "'a'", "already")),
        ("brands: [{id: a, names: [x]}, {id: b, names: ['X!']}]\n", ("'b'", "belongs to the brand a")),
        (
            "brands: [{id: a, names: [x], model_patterns: [{regex: '(', maker: x, verified: true, source: s}]}]\n",
            ("x.yaml", "'a'", "regular expression"),
        ),
        (
            "brands: [{id: a, names: [x], makers: "
            "[{vendor: x, scope: s, confidence: low, verified: true, sources: []}]}]\n",
            ("x.yaml", "'a'", "sources"),
        ),
        ("brands: 3\n", ("x.yaml", "brands")),
    ],
)
def test_broken_files_name_file_entry_key_and_reason(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(RulesProblem) as caught:
        brands.load([write(tmp_path, text)])
    for part in parts:
        assert part in str(caught.value)
