from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable
from typing import Any

from scanner.protocols import tls


def test_answers_and_certificates(read: Callable[..., Any]) -> None:
    pem, _key = tls.self_signed("CN=axis-accc8e010203,O=Axis Communications AB")
    raw = base64.b64encode(ssl.PEM_cert_to_DER_cert(pem.decode())).decode()
    lines = [
        {"ip": "192.0.2.1", "data": {"http": {"status": "success", "protocol": "http", "timestamp": "2026-11-24T10:00:00Z", "result": {
            "response": {"status_line": "401 Unauthorized", "status_code": 401, "headers": {"server": ["Webs"], "www_authenticate": ['Digest realm="IP Camera"'],
                         "unknown": [{"key": "x-own", "value": ["1"]}]}, "body": "<title>x</title>", "request": {"url": {"path": "/"}}}}}}},
        {"ip": "192.0.2.2", "data": {"tls": {"status": "success", "protocol": "tls", "result": {"handshake_log": {"server_certificates": {"certificate": {"raw": raw}}}}},
                                     "ssh": {"status": "success", "protocol": "ssh", "result": {"server_id": {"raw": "SSH-2.0-dropbear"}}}}},
        {"ip": "192.0.2.3", "data": {"http": {"status": "connection-timeout", "protocol": "http", "error": "x"}}},
    ]  # fmt: skip
    heard, source = read("\n".join(map(json.dumps, lines)) + "\n{broken\n", "zgrab2")

    first, second, third = heard
    (answer,) = first.observations
    assert (answer.channel, answer.port, answer.request) == ("http.response", 80, "GET /")
    assert answer.value.startswith('HTTP/1.1 401 Unauthorized\r\nserver: Webs\r\nwww-authenticate: Digest realm="IP Camera"\r\nx-own: 1\r\n\r\n')
    said = {o.channel: o.value for o in second.observations}
    assert said["ssh.banner"] == "SSH-2.0-dropbear"
    assert "axis-accc8e010203" in said["tls.subject"]
    assert third.observations == ()
    assert source.unknown == 1
