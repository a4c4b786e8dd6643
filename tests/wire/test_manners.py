"""What a scan may not do, by capture; how it ends when it is told to; what it leaves behind."""

from __future__ import annotations

import json
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from scanner import ports
from scanner.config import MANNERS, Speed
from scanner.model import Recording
from scanner.protocols import protocols
from scanner.simulate.lab import Lab

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]
NETWORK = "10.77.0.0/25"
SOME = {
    "hik-turret", "dahua-bullet", "lorex-recorder", "axis-dome", "hanwha-dome", "brother-printer", "controller",
    "garbage", "redirect-away", "zte-modem",
}  # fmt: skip


@pytest.fixture
def few(fleet: tuple[Recording, ...]) -> Iterator[Lab]:
    """Ten devices on a segment."""
    chosen = [r for r in fleet if r.id in SOME]
    assert len(chosen) == len(SOME)
    with Lab(chosen, network=NETWORK, requests=5) as lab:
        yield lab


def test_an_excluded_host_hears_nothing_and_all_that_others_hear_is_logged(
    few: Lab, me: Any, capture: Any, place: Path
) -> None:
    address, by_mac = few.devices["hik-turret"], few.devices["axis-dome"]
    log = place / "audit.log"
    words = ("--exclude", address.ip, "--exclude", "ac:cc:8e", "--audit-log", str(log))
    with capture(few.ready.enter) as caught:
        report, _ = me.scan(NETWORK, *words, enter=few.ready.enter)

    assert len(caught.frames) > 200
    assert sent_to(caught, address) == []
    # Who has this MAC is known only when it has answered by ARP: after that it hears nothing.
    assert not [frame for frame in caught.frames if frame[1] == by_mac.mac]
    assert {kind for kind, _, target in caught.frames if target == by_mac.ip} <= {"0806"}
    told = {device["ip"] for device in report["devices"]}
    assert told == {placed.ip for placed in few.devices.values()} - {address.ip, by_mac.ip}
    lines = [line.split("\t") for line in log.read_text(encoding="utf-8").splitlines()]
    logged = {line[2].partition(":")[0] for line in lines}
    bare = [kind for kind, _, target in caught.frames if target == "-"]
    assert set(bare) == {"8033"}
    assert len(bare) == len([line for line in lines if line[1] == "frame"])
    heard = {target for _, _, target in caught.frames if target != "-" and not target.startswith("224.")}
    assert heard - logged == set()
    # Neither did printers and controllers hear anything on the ports on which they act.
    assert few.violations() == []


def test_no_frame_goes_to_a_host_that_was_not_asked_for(few: Lab, me: Any, capture: Any) -> None:
    with capture(few.ready.enter) as caught:
        me.scan("10.77.0.1-10.77.0.10", enter=few.ready.enter)

    near = {f"10.77.0.{number}" for number in range(1, 11)}
    groups = {group for p in protocols().values() for q in p.questions() for group in (*q.groups, *q.join)}
    everybody = {"255.255.255.255", "10.77.0.127"} | groups
    igmp = {target for _, _, target in caught.frames if target.startswith("224.0.0.")}
    assert {target for kind, _, target in caught.frames if kind != "8033"} - near - everybody - igmp == set()
    assert {mac for kind, mac, _ in caught.frames if kind == "8033"} == {"ff:ff:ff:ff:ff:ff"}


def test_a_dry_run_sends_nothing(few: Lab, me: Any, capture: Any) -> None:
    with capture(few.ready.enter) as caught:
        done = me.run("scan", NETWORK, "--dry-run", enter=few.ready.enter)

    assert done.returncode == 0
    assert "nothing was sent" in done.stdout
    assert [frame for frame in caught.frames if not frame[2].startswith("224.")] == []


def test_ctrl_c_ends_it_within_a_second_with_what_is_known(few: Lab, me: Any, capture: Any) -> None:
    words = ("scan", NETWORK, "--profile", "us-federal-contractor", "--format", "json", "--rate", "20")
    with capture(few.ready.enter) as caught:
        process = me.start(*words, enter=few.ready.enter)
        time.sleep(5)
        assert process.poll() is None
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        took = time.monotonic() - asked

    assert process.returncode == 130, err
    assert asked - 1 < caught.last < asked + 4  # a second; other tests share the machine
    assert took < 9
    report = json.loads(out)
    assert report["scan"]["interrupted"] is True
    assert 0 < len(report["devices"]) <= len(SOME)
    assert "Traceback" not in err


def test_a_network_on_which_nobody_answers_is_not_all_clear(few: Lab, me: Any) -> None:
    done = me.run("scan", "10.77.0.64/27", "--timeout", "1", enter=few.ready.enter)

    assert done.returncode == 0
    assert "nothing answered" in done.stdout.lower()
    assert "clear" not in done.stdout.lower().replace("nothing is clear", "")


def test_a_finding_fails_the_run_and_the_table_is_safe_to_print(few: Lab, me: Any) -> None:
    words = ("--profile", "us-federal-contractor", "--fail-on", "remove")
    harmless = me.run("scan", few.devices["axis-dome"].ip, *words, enter=few.ready.enter)
    done = me.run("scan", NETWORK, *words, enter=few.ready.enter)

    assert harmless.returncode == 0, harmless.stdout + harmless.stderr
    assert done.returncode == 1, done.stdout + done.stderr
    assert "hikvision" in done.stdout
    assert {character for character in done.stdout if character < " " or character == "\x7f"} <= {"\n"}


def test_results_stand_in_the_stream_when_ctrl_c_comes_and_the_scan_continues(
    few: Lab, me: Any, capture: Any, place: Path
) -> None:
    out, excluded = place / "devices.jsonl", few.devices["hik-turret"]
    # Some answer at once, and many ports of the others take seconds: it cannot be over before Ctrl-C comes.
    many = "80,443,1000-1060"
    words = ("scan", NETWORK, "--format", "jsonl", "--timeout", "1", "--exclude", excluded.ip, "--ports", many)
    process = me.start(*words, "--output", str(out), enter=few.ready.enter)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (out.exists() and out.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    told = [json.loads(line) for line in out.read_text().splitlines()]

    assert process.returncode == 130, err
    assert 0 < len(told) <= len(SOME)
    refused = me.run("scan", "10.77.0.0/26", "--resume", "last", enter=few.ready.enter)
    assert refused.returncode == 2
    assert "the interrupted scan had other targets (10.77.0.0/25, now 10.77.0.0/26)" in refused.stderr
    with capture(few.ready.enter) as caught:
        done = me.run("scan", "--resume", "last", "--format", "jsonl", enter=few.ready.enter)
    assert done.returncode == 0, done.stderr
    found = {json.loads(line)["ip"] for line in done.stdout.splitlines()}
    assert found == {d.ip for d in few.devices.values()} - {excluded.ip}
    assert caught.frames
    assert sent_to(caught, excluded) == []
    again = me.run("scan", "--resume", "last", enter=few.ready.enter)
    assert (again.returncode, "no interrupted scan" in again.stderr) == (2, True)


def sent_to(caught: Any, device: Any) -> list[tuple[str, str, str]]:
    """Frames of the scanner for this device alone."""
    return [frame for frame in caught.frames if frame[2] == device.ip or frame[1] == device.mac]


def busiest(moments: Sequence[float]) -> int:
    """The most events in any one second, whenever it begins."""
    return max((sum(start <= other < start + 1 for other in moments) for start in moments), default=0)


def asked_by_arp(caught: Any) -> list[float]:
    """When ARP requests to everybody went out."""
    both = zip(caught.frames, caught.moments, strict=True)
    return [at for (kind, mac, _), at in both if kind == "0806" and mac == "ff:ff:ff:ff:ff:ff"]


def by_device(caught: Any) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for address, _, at in caught.syns():
        found[address].append(at)
    return found


def test_a_gentle_scan_keeps_to_what_arp_inspection_allows(few: Lab, me: Any, capture: Any) -> None:
    manners = MANNERS[Speed.GENTLE]
    with capture(few.ready.enter) as caught:
        report, _ = me.scan("10.77.0.1-10.77.0.40", "--gentle", "--ports", "80,443", enter=few.ready.enter)

    requests = asked_by_arp(caught)
    assert len(requests) >= 40
    assert manners.arp == 10
    assert busiest(requests) <= manners.arp
    assert caught.syns()
    assert busiest([at for _, _, at in caught.syns()]) <= manners.connects
    assert max(busiest(moments) for moments in by_device(caught).values()) <= (manners.device_connects or 0)
    assert set(caught.together().values()) <= {0, 1}
    assert len(report["devices"]) == len(SOME)


@pytest.mark.parametrize("words", [(), ("--fast",), ("--no-raw",)])
def test_one_connection_at_a_time_and_never_to_a_forbidden_port(
    few: Lab, me: Any, capture: Any, words: tuple[str, ...]
) -> None:
    excluded = few.devices["hik-turret"]
    with capture(few.ready.enter) as caught:
        report, _ = me.scan(NETWORK, *words, "--exclude", excluded.ip, enter=few.ready.enter)

    assert sent_to(caught, excluded) == []
    assert len(report["devices"]) == len(SOME) - 1
    together = caught.together()
    assert few.devices["axis-dome"].ip in together
    assert len([most for most in together.values() if most == 1]) >= 4
    assert {address: most for address, most in together.items() if most > 1} == {}
    assert {port for _, port, _ in caught.syns()} & ports.FORBIDDEN.keys() == set()
    assert few.violations() == []
    if "--fast" not in words:
        manners = MANNERS[Speed.NORMAL]
        assert busiest(asked_by_arp(caught)) <= manners.arp + manners.arp / 50
        assert busiest([at for _, _, at in caught.syns()]) <= manners.connects + manners.connects / 50
        assert max(busiest(moments) for moments in by_device(caught).values()) <= (manners.device_connects or 0)


def test_a_forbidden_port_is_not_spoken_to_even_where_it_is_named(few: Lab, me: Any, capture: Any) -> None:
    named = f"80,{','.join(map(str, ports.FORBIDDEN))}"
    with capture(few.ready.enter) as caught:
        done = me.run("scan", NETWORK, "--ports", named, "--timeout", "1", enter=few.ready.enter)

    assert {port for _, port, _ in caught.syns()} & ports.FORBIDDEN.keys() == set(), done.stderr
    assert few.violations() == []
