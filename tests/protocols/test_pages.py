from __future__ import annotations

import base64
import time

import pytest

from scanner.protocols import pages
from scanner.protocols.messages import Message
from scanner.protocols.pages import Place, icon, is_icon, leads_to, resolve

HOST = "192.0.2.42"
FRONT = Place(80, False, "/")
HIKVISION = (
    "\ufeff<!doctype html>\r\n<html>\r\n<head>\r\n\t<title></title>\r\n</head>\r\n<body>\r\n</body>\r\n<script>\r\n"
    '\twindow.location.href = "/doc/page/login.asp?_" + (new Date()).getTime();\r\n</script>\r\n</html>'
)


def page(body: str, code: str = "200 OK", **headers: str) -> Message:
    return Message(code, tuple((k.replace("_", "-"), v) for k, v in headers.items()), body.encode(), whole_head=True)


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/doc/page/login.asp", Place(80, False, "/doc/page/login.asp")),
        ("login.html?x=1#top", Place(80, False, "/login.html?x=1")),
        ("http://192.0.2.42/a", Place(80, False, "/a")),
        ("http://192.0.2.42:8080/", Place(8080, False, "/")),
        ("https://192.0.2.42/", Place(443, True, "/")),
        ("https://192.0.2.42", Place(443, True, "/")),
        ("https://", Place(443, True, "/")),
        ("HTTPS://192.0.2.42:8443/x", Place(8443, True, "/x")),
        ("//192.0.2.42/y", Place(80, False, "/y")),
        ("http://0.0.0.0/login_security.html", Place(80, False, "/login_security.html")),
        ("/a b", Place(80, False, "/a%20b")),
        ("/系统", Place(80, False, "/%E7%B3%BB%E7%BB%9F")),
        (" /x\r\nEvil: 1 ", Place(80, False, "/xEvil:%201")),
    ],
)
def test_links_of_the_same_host(target: str, place: Place) -> None:
    assert resolve(target, HOST, FRONT) == place


@pytest.mark.parametrize(
    "target",
    [
        "http://192.0.2.43/",
        "http://evil.example/",
        "//evil.example/x",
        "http://192.0.2.42.evil.example/",
        "http://192.0.2.42@evil.example/",
        "http://admin:12345@192.0.2.42/",
        "https://[192.0.2.42/",
        "http://192.0.2.42:99999/",
        "http://192.0.2.42:0/",
        "javascript:alert(1)",
        "ftp://192.0.2.42/",
        "data:text/html,x",
        "/",
        "",
        "/RPC2_Login",
        "/ISAPI/Security/sessionLogin/capabilities?username=x",
        "/cgi-bin/reboot.cgi",
        "/" + "x" * 600,
    ],
)
def test_links_that_are_not_followed(target: str) -> None:
    assert resolve(target, HOST, FRONT) is None


def test_names_and_literals_of_every_form_are_compared_as_what_they_are() -> None:
    assert resolve("http://[FE80:0::1]/a", "fe80::1%eth0", FRONT) == Place(80, False, "/a")
    assert resolve("http://[fe80::2]/a", "fe80::1%eth0", FRONT) is None
    assert resolve("/a", "fe80::1%eth0", FRONT) == Place(80, False, "/a")
    assert resolve("http://CAMERA.local/a", "camera.local", FRONT) == Place(80, False, "/a")


@pytest.mark.parametrize("code", ["301 Moved", "302 Found", "303 See Other", "307 X", "308 X", "302"])
def test_redirects_lead_on(code: str) -> None:
    assert leads_to(page("", code, Location="/index.asp"), HOST, FRONT) == Place(80, False, "/index.asp")


def test_a_location_without_redirect_leads_nowhere() -> None:
    assert leads_to(page("", "200 OK", Location="/index.asp"), HOST, FRONT) is None
    assert leads_to(page("", "302 Found"), HOST, FRONT) is None
    assert leads_to(page(HIKVISION, "401 Unauthorized"), HOST, FRONT) is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (HIKVISION, "/doc/page/login.asp"),
        (HIKVISION.lower(), "/doc/page/login.asp"),
        ('<meta http-equiv="refresh" content="0; url=/login.html">', "/login.html"),
        ("<META content='1;URL=login.htm' HTTP-EQUIV=Refresh>", "/login.htm"),
        ('<meta http-equiv="refresh" content="0;url=&#x2f;a&amp;b">', "/a&b"),
        ("<script>top.location='main.html'</script>", "/main.html"),
        ("<script>location.replace( '/ui/' );</script>", "/ui/"),
        ("<body onload=\"window.location='/login.php'\">", "/login.php"),
        ("<script>function go(){document.location.href='/go.htm'} go()</script>", "/go.htm"),
    ],
)
def test_refreshes_and_scripts_that_only_redirect(body: str, path: str) -> None:
    assert leads_to(page(body), HOST, FRONT) == Place(80, False, path)


@pytest.mark.parametrize(
    "body",
    [
        "<a href=/x onclick=\"location.href='/x'\">x</a>",
        "<button>x</button><script>function f(){location.href='/page2.html'}</script>",
        "<form></form><script>location.href='/x'</script>",
        '<script>if (location.href == "/x") {}</script>',
        "<script>location.href='http://evil.example/'</script>",
        "<script>location.hash='#/login'</script>",
        "<script>location.href='/'</script>",
        "<script>location.href='/logout.html'</script>",
        " " * 9000 + "<script>location.href='/x'</script>",
        '<meta http-equiv="refresh" content="30">',
        '<meta name="url" content="url=/x">',
        "",
    ],
)
def test_pages_that_lead_nowhere(body: str) -> None:
    assert leads_to(page(body), HOST, FRONT) is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("<html></html>", "/favicon.ico"),
        ('<link rel="shortcut icon" href="/img/fav.ico?v=2">', "/img/fav.ico?v=2"),
        ("<link href=fav.png rel=icon type=x>", "/doc/fav.png"),
        ('<LINK REL="ICON" HREF="../favicon.ico">', "/favicon.ico"),
        ('<link rel="stylesheet" href="x.css"><link rel="apple-touch-icon" href="a.png">', "/doc/a.png"),
    ],
)
def test_the_icon_of_a_page(body: str, path: str) -> None:
    assert icon(page(body), HOST, Place(80, False, "/doc/login.asp")) == Place(80, False, path)


@pytest.mark.parametrize(
    "href", ["data:image/png;base64,AAAA", "http://evil.example/favicon.ico", "https://192.0.2.42/favicon.ico"]
)
def test_icons_elsewhere_are_not_asked_for(href: str) -> None:
    assert icon(page(f'<link rel="icon" href="{href}">'), HOST, FRONT) is None


def test_an_icon_is_no_page() -> None:
    assert is_icon(page(""), "/favicon.ico", b"\0\0\x01\0")
    assert is_icon(page("", Content_Type="image/png"), "/logo", b"\x89PNG")
    assert is_icon(page(""), "/f.svg", b"<?xml?><svg>")
    assert not is_icon(page(""), "/favicon.ico", b"\xef\xbb\xbf\r\n<html>")
    assert not is_icon(page("", Content_Type="text/html"), "/logo", b"\0\0\x01\0")


def murmur3(data: bytes) -> int:
    """MurmurHash3 x86 32 with seed 0, written from its public description, signed."""
    mask, value = 0xFFFFFFFF, 0

    def scramble(k: int) -> int:
        k = k * 0xCC9E2D51 & mask
        return (k << 15 | k >> 17) * 0x1B873593 & mask

    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        value ^= scramble(int.from_bytes(data[i : i + 4], "little"))
        value = ((value << 13 | value >> 19) & mask) * 5 + 0xE6546B64 & mask
    value ^= scramble(int.from_bytes(data[whole:], "little")) if data[whole:] else 0
    value ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = (value ^ value >> shift) * factor & mask
    value ^= value >> 16
    return value - (1 << 32) if value >> 31 else value


def test_hashes_follow_the_conventions_of_the_public_lists() -> None:
    assert murmur3(b"foo") == -156908512  # a value that is widely published
    icon_bytes = bytes(range(200))
    plain = base64.b64encode(icon_bytes).decode()
    lines = "".join(plain[i : i + 76] + "\n" for i in range(0, len(plain), 76))
    assert dict(pages.hashes(page(""), icon_bytes)) == {
        "http.favicon.mmh3": str(murmur3(lines.encode())),
        "http.favicon.md5": "fb7001d34b8e82c9b579be5005d5b0a5",
    }


def test_of_a_cut_off_icon_there_is_no_hash_and_of_a_long_one_only_the_stated_part() -> None:
    assert not list(pages.hashes(page("", Content_Length="5"), b"abcd"))
    assert list(pages.hashes(page("", Content_Length="4"), b"abcdef")) == list(pages.hashes(page(""), b"abcd"))
    assert list(pages.hashes(page("", Content_Length="9", Content_Encoding="gzip"), b"abcd"))


def test_titles_are_plain_text_on_one_line() -> None:
    assert pages.title("<TITLE lang=en>\r\n DS218&nbsp;-&nbsp;Synology\t&amp; </TITLE>") == "DS218 - Synology &"
    assert pages.title("<title></title>") == ""
    assert pages.title("<titles>x") == ""


@pytest.mark.parametrize(
    "unit",
    [
        "<title ", "<meta ", "<link ", "<meta http-equiv=refresh ", "url=", "location=", "location.href = ", "href=",
        "<link rel=", "<", '"', " ", "on", "onabc ", "<link rel=icon href=", "location='", "&amp;", "rel=a ",
    ],
)  # fmt: skip
def test_hostile_pages_take_no_time(unit: str) -> None:
    body = page(unit * (65_536 // len(unit)))
    small = page(unit * (8000 // len(unit)))
    began = time.thread_time()
    for message in (body, small):
        leads_to(message, HOST, FRONT)
        icon(message, HOST, FRONT)
        pages.title(message.body.decode())
    assert time.thread_time() - began < 5
