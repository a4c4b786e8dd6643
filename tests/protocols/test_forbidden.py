from __future__ import annotations

import time

import pytest

from scanner.protocols import forbidden
from scanner.protocols.soap import envelope


def get(path: str, *headers: str, method: str = "GET", body: str = "") -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"{method} {path} HTTP/1.1\r\nHost: 192.0.2.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    "path",
    [
        "/System/configurationFile?auth=YWRtaW46MTEK",
        "/system/CONFIGURATIONFILE",
        "/%53ystem/configurationFile",
        "/%2553ystem/configurationFile",
        "//System//configurationFile",
        "/onvif-http/snapshot?Profile_1",
        "/onvifsnapshot/media_service/snapshot?channel=1",
        "/anything?auth=YWRtaW46MTEK",
        "/SDK/webLanguage",
        "/ISAPI/Security/sessionLogin/capabilities?username=x",
        "/ISAPI/Security/userCheck",
        "/ISAPI/Security/users",
        "/ISAPI/System/reboot",
        "/PSIA/Custom/SelfExt/userCheck",
        "/RPC2_Login",
        "/RPC2",
        "/web_caps/webCapsConfig",
        "/current_config/passwd",
        "/current_config/Account1",
        "/mtd/Config/Account1",
        "/cgi-bin/audio.cgi?action=getAudio",
        "/cgi-bin/main-cgi?json={}",
        "/cgi-bin/configManager.cgi?action=setConfig",
        "/cgi-bin/magicBox.cgi?action=reboot",
        "/cgi-bin/magicBox.cgi?action=getDeviceType&x=reboot",
        "/cgi-bin/magicBox.cgi",
        "/login?user=admin",
        "/x?password=",
        "/api.cgi?cmd=Login",
        "/a/../../etc/passwd",
        "/cgi-bin/reboot.cgi",
        "/maintenance/factory",
        "http://admin:12345@192.0.2.1/",
        "http://192.0.2.1/RPC2_Login",
    ],
)
def test_paths_that_are_never_asked_for(path: str) -> None:
    assert forbidden.path(path) is not None
    assert forbidden.request(get(path)) is not None


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/favicon.ico",
        "/doc/page/login.asp",
        "/doc/page/login.asp?_1600000000",
        "/index.asp",
        "/login.html",
        "/login.cgi",
        "/cgi-bin/luci/",
        "/ISAPI/System/deviceInfo",
        "/ISAPI/System/activateStatus?format=json",
        "/cgi-bin/magicBox.cgi?action=getDeviceType",
        "/LAPI/V1.0/System/DeviceBasicInfo",
        "/init-cgi/pw_init.cgi?msubmenu=statuscheck&action=view",
        "/onvif/device_service",
        "/control/userimage.html",
        "/admin/index.html?Language=0",
        "http://192.0.2.1:8080/index.html",
    ],
)
def test_paths_that_may_be_asked_for(path: str) -> None:
    assert forbidden.path(path) is None
    assert forbidden.request(get(path)) is None


@pytest.mark.parametrize(
    "header", ["Authorization: Basic YTpi", "authorization:Digest x", "Proxy-Authorization: x", "Cookie: a=b"]
)
def test_credentials_and_cookies_are_never_sent(header: str) -> None:
    assert "HTTP" in str(forbidden.request(get("/", header)))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST", "TRACE"])
def test_nothing_but_reads(method: str) -> None:
    assert forbidden.request(get("/", method=method)) is not None


def test_of_posts_only_the_open_ones() -> None:
    path = "/axis-cgi/basicdeviceinfo.cgi"
    assert forbidden.request(get(path, method="POST", body='{"method":"getAllUnrestrictedProperties"}')) is None
    assert forbidden.request(get(path, method="POST", body='{"method":"getAllProperties"}')) is not None
    assert forbidden.request(get("/x", method="POST", body='{"method":"global.login"}')) is not None


@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        ("<tds:GetSystemDateAndTime/>", True),
        ("<tds:GetDeviceInformation></tds:GetDeviceInformation>", True),
        ("<GetScopes/>", True),
        ("<tds:GetUsers/>", False),
        ("<tds:SystemReboot/>", False),
        ("<tds:SetSystemDateAndTime/>", False),
        ("", False),
    ],
)
def test_of_onvif_only_the_open_reads(body: str, allowed: bool) -> None:
    why = forbidden.request(get("/onvif/device_service", method="POST", body=envelope(body)))
    assert (why is None) is allowed, why


def test_no_token_goes_with_a_message() -> None:
    token = envelope("<tds:GetScopes/>").replace(
        "<s:Body>", "<s:Header><wsse:Security><wsse:UsernameToken/></wsse:Security></s:Header><s:Body>"
    )
    assert forbidden.request(get("/onvif/device_service", method="POST", body=token)) == "ONVIF: credentials"


def test_what_is_no_http_is_not_judged_here() -> None:
    assert forbidden.request(b"\x00\x01") is None


@pytest.mark.parametrize("unit", ["/", "../", "%25", "?a=", "/isapi/system/", "reset-", "&", "<s:body>", "//"])
def test_hostile_repetitions_take_no_time(unit: str) -> None:
    began = time.thread_time()
    forbidden.path("/" + unit * (65_536 // len(unit)))
    forbidden.request(get("/", method="POST", body=unit * (65_536 // len(unit))))
    assert time.thread_time() - began < 5
