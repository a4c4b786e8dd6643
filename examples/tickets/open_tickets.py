#!/usr/bin/env python3
"""Reads lanveto's findings from MQTT and opens one ticket for each: posts JSON to the URL of a ticket system.

    open_tickets.py BROKER PORT PREFIX URL      needs: pip install paho-mqtt

The password of the user `reader` is in READER_PASSWORD, the CA of the broker in BROKER_CA (without it: no TLS), the
ticket system's token in TICKET_TOKEN. The broker keeps what comes while this does not run (a session of 7 days), and an
event counts as read only after the ticket system has taken it. An event that comes twice has the same id: it is the
ticket's `external_id`, by which ticket systems recognise it.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

KINDS = ("finding-opened", "finding-closed", "scan-failed")
TRIES = 5
opened = set()


def post(url: str, ticket: dict[str, object]) -> bool:
    """Whether the ticket system took it."""
    request = urllib.request.Request(url, json.dumps(ticket).encode(), {"Content-Type": "application/json"})
    if token := os.environ.get("TICKET_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    for attempt in range(TRIES):
        try:
            with urllib.request.urlopen(request, timeout=10):
                return True
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            print(f"{ticket['external_id']}: {error}", file=sys.stderr)
            time.sleep(min(30, float(os.environ.get("RETRY_SECONDS", "1")) * 2**attempt))
    return False


def ticket(told: dict[str, object]) -> dict[str, object]:
    """The ticket of one event."""
    if told["kind"] == "scan-failed":
        title = f"lanveto: the scan of {told['site']} failed: nothing is known of its devices"
    else:
        verb = "closed" if told["kind"] == "finding-closed" else str(told.get("action") or "look at")
        title = f"lanveto: {verb}: {told.get('manufacturer')} device {told.get('ip') or told.get('device')}"
    return {
        "external_id": told["event"],
        "group": f"{told['site']}/{told.get('device')}/{told.get('policy')}",
        "state": "closed" if told["kind"] == "finding-closed" else "open",
        "title": title,
        "text": told.get("because") or told.get("reason") or "",
        "citation": told.get("citation"),
    }


def main(host: str, port: str, prefix: str, url: str) -> int:
    """Runs until it is ended, or until a ticket cannot be opened: whoever starts it starts it again."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="lanveto-tickets", protocol=paho.MQTTv5,
                         manual_ack=True)  # fmt: skip
    if password := os.environ.get("READER_PASSWORD"):
        client.username_pw_set("reader", password)
    if authority := os.environ.get("BROKER_CA"):
        client.tls_set(ca_certs=authority)
    failed = []

    def connected(client: paho.Client, data: object, flags: object, code: object, properties: object) -> None:
        client.subscribe([(f"{prefix}/+/event/{kind}", 1) for kind in KINDS])
        print("ready", flush=True)

    def heard(client: paho.Client, data: object, message: paho.MQTTMessage) -> None:
        told = json.loads(message.payload)
        if told["event"] not in opened:
            if not post(url, ticket(told)):
                failed.append(told["event"])
                client.disconnect()
                return
            opened.add(told["event"])
        client.ack(message.mid, message.qos)

    client.on_connect = connected
    client.on_message = heard
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = 7 * 86400
    client.connect(host, int(port), clean_start=False, properties=session)
    client.loop_forever()
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
