"""The HTML report as a browser has it: nothing a device says runs, breaks out or is lost; it sorts, filters and prints."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from scanner.errors import Notice
from scanner.model import (
    Coverage,
    Device,
    Identity,
    Level,
    Match,
    Method,
    Observation,
    Reading,
    Report,
    Scan,
    Verdict,
    Waiver,
    WaiverUse,
)
from scanner.report.html import FORMAT

PAYLOADS = [
    "<script>document.title='owned'</script>",
    "\"><img src=x onerror=\"document.title='owned'\">",
    "'><svg onload=document.title='owned'>",
    "</title></style></script></textarea><script>document.title='owned'</script>",
    "{{ 7*7 }}{% raw %}${document.title='owned'}",
    "<!--<style>*{display:none}</style><meta http-equiv=refresh content=0;url=//evil.example>",
    "<base href=//evil.example><form id=t><input name=q></form>",
    "javascript:document.title='owned'",
    "\u202e\u2066\u200b\x1b[2Jclear",
    "x\r\n</td></tr></table><h2>All clear</h2>",
]
CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip


def _browser(folder: Path, *arguments: str) -> str:
    if shutil.which("chromium") is None:
        pytest.skip("needs chromium")
    profile = folder / "profile"
    command = ["chromium", *CHROMIUM, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout


def _hostile(make_report: Callable[..., Report], make_device: Callable[..., Device], text: str) -> Report:
    """A report with the text in every field that a device, a file or a user fills."""
    device = make_device()
    seen = Observation(channel="http.title", value=text, port=80, request=text)
    match = Match(fingerprint=text, grade=device.identity.matches[0].grade, family="http", manufacturer=text,
                  readings=(Reading("http.title", text, seen),))  # fmt: skip
    waiver = Waiver(device=text, policy=text, reason=text, who=text, expires="2027-01-01")
    (verdict,) = device.verdicts
    told: Verdict = replace(
        verdict, policy=text, title=text, entity=text, path=(text,), citation=text, because=text, source=text, waiver=waiver
    )
    identity = Identity(manufacturer=text, brand=text, kind=text, model=text, firmware=text, serial=text,
                        level=Level.CONFIRMED, matches=(match,), conflicts=(match,), notes=(text,))  # fmt: skip
    recording = replace(device.recording, id=text, ip=None, mac=text, addresses=(text,), observations=(seen,))
    devices = (
        replace(device, key=text, recording=recording, identity=identity, verdicts=(told, verdict), columns=((text, text),)),
        make_device(ip="192.0.2.9", id_="plain", mac="3c:ef:8c:00:00:09"),
    )
    cover = Coverage(unknown=(text,), silent=(text,), methods=(Method(name=text, ran=False, note=text),),
                     blind_spots=(text,), warnings=(Notice(text),))  # fmt: skip
    scan = Scan(id=text, started="2026-11-24T00:00:00Z", site=text, targets=(text,), excluded=(text,), profiles=(text,),
                failures=(Notice(text),), operator=text)  # fmt: skip
    use = WaiverUse(waiver=waiver, devices=(text,))
    return replace(make_report(), scan=scan, devices=devices, coverage=cover, waivers=(use,))


class _Shape(HTMLParser):
    """Tags and attribute names of a page: its structure, without its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_in_every_field_changes_no_structure(
    payload: str, make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    plain = _Shape(FORMAT.render(_hostile(make_report, make_device, "harmless"))).tags
    page = FORMAT.render(_hostile(make_report, make_device, payload))
    assert _Shape(page).tags == plain
    assert not set(page) & {"\x1b", "\u202e", "\u2066", "\u200b"}
    assert 'href="javascript' not in page


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("turn", range(4))
def test_nor_in_any_field_that_the_model_has(payload: str, turn: int, whole_report: Callable[..., Report]) -> None:
    plain = _Shape(FORMAT.render(whole_report("harmless", turn))).tags
    assert [tag for tag, _ in _Shape(FORMAT.render(whole_report(payload, turn))).tags] == [tag for tag, _ in plain]


def test_no_payload_runs_in_a_browser(
    tmp_path: Path, make_report: Callable[..., Report], make_device: Callable[..., Device],
    whole_report: Callable[..., Report],
) -> None:  # fmt: skip
    reports = [_hostile(make_report, make_device, payload) for payload in PAYLOADS]
    reports += [whole_report(payload, turn) for payload in PAYLOADS for turn in (0, 1)]
    whole = replace(reports[-2], devices=tuple(d for r in reports for d in r.devices),
                    measures=tuple(m for r in reports for m in r.measures),
                    waivers=tuple(w for r in reports for w in r.waivers))  # fmt: skip
    (tmp_path / "r.html").write_text(FORMAT.render(whole), encoding="utf-8")
    seen = _browser(tmp_path, "--dump-dom", f"file://{tmp_path}/r.html")
    assert "<title>owned" not in seen
    assert "<h2>All clear" not in seen
    assert "evil.example>" not in seen
    assert seen.count("<script>") == 1
    assert "192.0.2.9" in seen
    assert re.findall(r"<h1[ >]", seen) == ["<h1>"]
    assert "Unknown is no clearance" in seen
    assert 'class="js"' in seen, "our own script ran: the policy lets exactly it"


def test_the_policy_stops_what_escaping_would_miss(tmp_path: Path, make_report: Callable[..., Report]) -> None:
    broken = FORMAT.render(make_report()).replace(
        "</main>", "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"></main>"
    )
    (tmp_path / "r.html").write_text(broken, encoding="utf-8")
    assert "<title>owned" not in _browser(tmp_path, "--dump-dom", f"file://{tmp_path}/r.html")


DRIVER = """
var q=document.getElementById('q'),a=document.getElementById('fa'),out=[];
function shown(){return Array.from(document.querySelectorAll('#t tbody tr')).filter(r=>!r.hidden).map(r=>r.cells[0].textContent).join(' ');}
a.value='remove';a.dispatchEvent(new Event('change'));out.push(shown());
document.getElementById('reset').click();
document.querySelector('#t thead th button').click();out.push(shown());
document.querySelector('#t thead th button').click();out.push(shown());
q.value='axis';q.dispatchEvent(new Event('input'));
setTimeout(function(){out.push(shown());out.push(document.getElementById('said').textContent);
document.title=out.join('|');},300);
"""


def test_it_sorts_and_filters(
    tmp_path: Path, make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    devices = [make_device(ip="192.0.2.10"), make_device(ip="192.0.2.9", id_="b"),
               make_device(ip="192.0.2.100", id_="c", action=None, manufacturer="axis")]  # fmt: skip
    page = re.sub(r"<meta http-equiv=[^>]*>", "", FORMAT.render(make_report(*devices)))
    (tmp_path / "r.html").write_text(page.replace("</body>", f"<script>{DRIVER}</script></body>"), encoding="utf-8")
    seen = _browser(tmp_path, "--virtual-time-budget=3000", "--dump-dom", f"file://{tmp_path}/r.html")
    title = re.search(r"<title>(.*?)</title>", seen)
    assert title is not None
    assert title[1].split("|") == [
        "192.0.2.9 192.0.2.10", "192.0.2.9 192.0.2.10 192.0.2.100", "192.0.2.100 192.0.2.10 192.0.2.9", "192.0.2.100",
        "1 of 3 devices match",
    ]  # fmt: skip


MANY = """
var out=[];function rows(){return document.querySelectorAll('#t tbody tr').length;}
function parts(){return document.querySelectorAll('#sections > .d').length;}
out.push(rows(),parts(),document.querySelectorAll('noscript').length);
location.hash='#d700';
setTimeout(function(){var d=document.getElementById('d700');out.push(parts(),d.querySelector('h3').textContent.split(':')[0]);
document.getElementById('more').click();out.push(rows());
var q=document.getElementById('q');q.value='10.0.2.188';q.dispatchEvent(new Event('input'));
setTimeout(function(){out.push(rows(),document.querySelector('#t tbody tr a').getAttribute('href'));
dispatchEvent(new Event('beforeprint'));out.push(rows(),parts());
dispatchEvent(new Event('afterprint'));out.push(rows());
document.title=out.join('|');},300);},100);
"""


def test_many_devices_are_built_when_they_are_looked_at(
    tmp_path: Path, make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    evil = "</noscript></table><script>document.title='owned'</script>"
    devices = [make_device(ip=f"10.0.{n >> 8}.{n & 255}", id_=f"d{n}", model=evil) for n in range(1, 801)]
    page = re.sub(r"<meta http-equiv=[^>]*>", "", FORMAT.render(make_report(*devices)))
    (tmp_path / "r.html").write_text(page.replace("</body>", f"<script>{MANY}</script></body>"), encoding="utf-8")
    seen = _browser(tmp_path, "--virtual-time-budget=3000", "--dump-dom", f"file://{tmp_path}/r.html")
    title = re.search(r"<title>(.*?)</title>", seen)
    assert title is not None
    # 10.0.2.188 is number 700; without script all stand in the page.
    assert title[1] == "300|300|0|301|10.0.2.188|600|1|#d700|800|800|1"
    assert page.count("<tr data-a") == page.count('<section class="d" id=') == 800


def test_it_prints_with_every_device(tmp_path: Path, make_report: Callable[..., Report]) -> None:
    (tmp_path / "r.html").write_text(FORMAT.render(make_report()), encoding="utf-8")
    _browser(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path}/r.pdf", f"file://{tmp_path}/r.html")
    text = subprocess.run(["pdftotext", "-raw", tmp_path / "r.pdf", "-"], capture_output=True, text=True, check=True)
    told = re.sub(r"\s+", "", text.stdout)  # lines are broken where the paper ends
    for part in ("camerasonarecorder'sownports", "LogintoND011111111111", "Recordofinquiry", "Signature"):
        assert part in told
    assert "Search" not in told, "the tools of the screen stay there"


@pytest.mark.parametrize("own", [0, 2, 5])
def test_the_table_of_devices_can_be_read_on_paper(
    own: int, tmp_path: Path, make_report: Callable[..., Report], make_device: Callable[..., Device]
) -> None:
    """A column without a width of its own once had none left: one letter a line, over the next column."""
    device = replace(make_device(), columns=tuple((f"own{n}", f"value{n}") for n in range(own)))
    (tmp_path / "r.html").write_text(FORMAT.render(make_report(device)), encoding="utf-8")
    _browser(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path}/r.pdf", f"file://{tmp_path}/r.html")
    text = subprocess.run(["pdftotext", "-layout", tmp_path / "r.pdf", "-"], capture_output=True, text=True, check=True)
    row = r"192\.0\.2\.42 +3c:ef:8c:11:22:33 +dahua +lorex +NR900 +confirmed +remove +us-889-a1b"
    assert re.search(row + (" +value0 +value1" if own == 2 else ""), text.stdout)


def test_what_stands_where(make_report: Callable[..., Report]) -> None:
    page = FORMAT.render(make_report(failures=("eth0 went down",), interrupted=True))
    places = [page.index(f'id="{name}"') for name in
              ("answer", "coverage", "numbers", "devices", "asked", "evidence", "measures", "waivers", "inquiry")]  # fmt: skip
    assert places == sorted(places)
    assert "For us-federal-contractor: 1 device(s), 1 identified; asked of you: 1 remove." in page
    assert "Not completed: eth0 went down" in page
    assert "was interrupted" in page
    for part in ("rtsp.header.www-authenticate: Digest realm", "OPTIONS port 554", "dahua-rtsp-realm", "exclusive",
                 "Pub. L. 115-232, Sec. 889(a)(1)(B)"):  # fmt: skip
        assert part in page


def test_nothing_is_fetched_from_anywhere(make_report: Callable[..., Report]) -> None:
    page = FORMAT.render(make_report())
    assert "default-src 'none'" in unescape(page)
    assert not re.search(r"\b(?:src|srcset|data|action)=|@import|url\(|<link|<iframe|style=", page)
    assert not re.search(r"\son\w+=", page)


def test_it_can_be_read_without_eyes(make_report: Callable[..., Report]) -> None:
    page = FORMAT.render(make_report())
    assert '<html lang="en">' in page
    for part in ("<main>", "<header>", "<footer>", '<nav aria-label="Contents">', 'class="skip"', 'role="status"'):
        assert part in page
    assert page.count("<h1>") == 1
    assert all('scope="' in head for head in re.findall(r"<th\b[^>]*>", page))
    labels, fields = set(re.findall(r'<label for="(\w+)"', page)), set(re.findall(r'<(?:input|select) id="(\w+)"', page))
    assert labels == fields
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(c * 2 for c in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_of_text_and_badges_is_wcag_aa(root: Path) -> None:
    style = (root / "scanner" / "report" / "templates" / "style.css").read_text(encoding="utf-8")
    named = dict(re.findall(r"--(\w+):(#[0-9a-f]{3,6})", style))
    backgrounds = re.findall(r"\.b(?:\.[\w-]+)?\{[^}]*?background:(#[0-9a-f]{3,6})", style)
    pairs = [(c, "#fff") for c in backgrounds if c != "#fff"]
    pairs += [(named[n], b) for n in ("ink", "soft", "accent", "flag") for b in ("#fff", named["wash"])]
    assert len(pairs) >= 12
    for one, other in pairs:
        light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (one, other)


def test_waivers_are_shown_and_expired_ones_too(make_report: Callable[..., Report]) -> None:
    report = make_report()
    (device,) = report.devices
    for expired, word in ((False, "Waived"), (True, "A waiver expired")):
        waiver = Waiver(device="192.0.2.42", policy="all", reason="moves in May", who="CISO", expires="2027-01-01",
                        expired=expired)  # fmt: skip
        marked = replace(device, verdicts=(replace(device.verdicts[0], waiver=waiver),))
        page = FORMAT.render(replace(report, devices=(marked,), waivers=(WaiverUse(waiver=waiver, devices=(device.key,)),)))
        assert word in page
        assert "moves in May (CISO)" in page
        assert ("remove</td>" in page) is expired


def test_nothing_answered_is_not_all_clear(make_report: Callable[..., Report]) -> None:
    page = FORMAT.render(replace(make_report(), devices=()))
    assert "Nothing answered" in page
    assert "all clear" not in page.lower()
