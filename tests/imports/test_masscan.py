from __future__ import annotations

from collections.abc import Callable
from typing import Any

JSON = '''[
{   "ip": "192.0.2.1",   "timestamp": "1732440000", "ports": [ {"port": 80, "proto": "tcp", "status": "open", "reason": "syn-ack", "ttl": 64} ] }
,
{   "ip": "192.0.2.1",   "timestamp": "1732440001", "ports": [ {"port": 80, "proto": "tcp", "service": {"name": "http.server", "banner": "Hikvision-Webs"} } ] },
{   "ip": "192.0.2.2",   "timestamp": "1732440002", "ports": [ {"port": 443, "proto": "tcp", "service": {"name": "X509", "banner": "subject: CN=axis-accc8e010203, issuer: x"} } ] }
]
'''


def test_json(read: Callable[..., Any]) -> None:
    heard, source = read(JSON, "masscan")

    assert [(h.address, o.channel, o.value, o.port) for h in heard for o in h.observations] == [
        ("192.0.2.1", "tcp.open", "80", None), ("192.0.2.1", "http.header.server", "Hikvision-Webs", 80),
        ("192.0.2.2", "tls.subject", "CN=axis-accc8e010203", 443),
    ]  # fmt: skip
    assert heard[0].at == "2024-11-24T09:20:00Z"
    assert source.unknown == 0, source.shown


def test_a_file_that_masscan_could_not_finish(read: Callable[..., Any]) -> None:
    heard, source = read(JSON[:200], "masscan", recognised=False)

    assert [h.address for h in heard] == ["192.0.2.1"]
    assert source.unknown <= 1


def test_list(read: Callable[..., Any]) -> None:
    heard, source = read(
        "#masscan\nopen tcp 80 192.0.2.1 1732440000\nbanner tcp 22 192.0.2.1 1732440000 ssh SSH-2.0-dropbear_2019\\x0d\n# end\n", "masscan"
    )

    assert [(o.channel, o.value) for h in heard for o in h.observations] == [
        ("tcp.open", "80"), ("ssh.banner", "SSH-2.0-dropbear_2019\r"),
    ]  # fmt: skip
    assert source.unknown == 0
