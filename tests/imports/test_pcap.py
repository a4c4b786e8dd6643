from __future__ import annotations

import contextlib
import gzip
import io
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from scanner import knowledge
from scanner.errors import InputProblem
from scanner.identify import identify
from scanner.imports import pcap as importer
from scanner.imports.base import Head, Input
from scanner.picture import Picture
from tests.imports.frames import CAMERA, arp, datagram, ipv4, packed, pcap, pcapng, request, segment, udp

SADP = b'<?xml version="1.0"?><ProbeMatch><DeviceDescription>DS-2CD</DeviceDescription></ProbeMatch>'
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<title>x</title>"
FRAMES = [arp(), datagram(SADP, 37020, 50_000), segment(PAGE, 80, 40_000)]
CHANNELS = [[], ["sadp.response"], ["http.response"]]


def channels(heard: list[Any]) -> list[list[str]]:
    return [[o.channel for o in h.observations] for h in heard]


@pytest.mark.parametrize("data", [
    pcap(FRAMES), pcap(FRAMES, order=">"), pcap(FRAMES, nano=True), pcap(FRAMES, order=">", nano=True), pcapng(FRAMES), pcapng(FRAMES, order=">"),
    gzip.compress(pcap(FRAMES)), pcapng(FRAMES) + pcapng(FRAMES, order=">", begin=1_795_600_000.0),
])  # fmt: skip
def test_every_form_says_the_same(data: bytes, read: Callable[..., Any]) -> None:
    heard, source = read(data, "pcap")

    assert channels(heard)[:3] == CHANNELS
    assert heard[0].at == "2026-11-24T10:00:00Z"
    assert (source.unknown, source.notes) == (0, [])


def test_cooked_and_raw_link_layers(read: Callable[..., Any]) -> None:
    ip = ipv4(udp(SADP, 37020, 50_000), 17, "192.0.2.1", "192.0.2.9")
    cooked = b"\0\0\0\x01\0\x06" + packed(CAMERA) + b"\0\0\x08\0" + ip
    cooked2 = b"\x08\0\0\0\0\0\0\x02\0\x01\0\x06" + packed(CAMERA) + b"\0\0" + ip
    for link, frame, mac in ((113, cooked, CAMERA), (276, cooked2, CAMERA), (101, ip, None), (12, ip, None), (228, ip, None), (0, b"\x02\0\0\0" + ip, None)):
        (only,), _ = read(pcap([frame], link=link), "pcap")

        assert (only.mac, only.address) == (mac, "192.0.2.1"), link


def test_a_link_layer_that_scapy_knows(read: Callable[..., Any]) -> None:
    ip = ipv4(udp(SADP, 37020, 50_000), 17, "192.0.2.1", "192.0.2.9")
    (only,), source = read(pcap([b"\xff\x03\x00\x21" + ip], link=9), "pcap")  # PPP

    assert only.address == "192.0.2.1"
    assert "scapy" in source.notes[0]


@pytest.mark.parametrize(("link", "why"), [(105, "802.11"), (127, "802.11"), (5555, "nothing is known")])
def test_link_layers_in_which_nothing_can_be_heard(link: int, why: str, read: Callable[..., Any]) -> None:
    with pytest.raises(InputProblem, match=why):
        read(pcap(FRAMES, link=link), "pcap")


def test_what_a_stream_had_said_is_told_although_the_file_breaks(read: Callable[..., Any]) -> None:
    """The page has not all its bytes when the file breaks."""
    page = PAGE.replace(b"Content-Length: 9", b"Content-Length: 900")
    data = pcap([arp(), segment(page, 80, 40_000)]) + struct.pack("<IIII", 0, 0, 1 << 30, 1 << 30)
    source = Input("x", io.BytesIO(data), Head(data, "", "x"))
    heard: list[Any] = []
    with pytest.raises(InputProblem, match="2 frames before it were read"):
        heard.extend(importer.IMPORTER.read(source))
    assert channels(heard) == [[], ["http.response"]]


@pytest.mark.parametrize("data", [pcap(FRAMES), pcapng(FRAMES)], ids=["pcap", "pcapng"])
def test_a_capture_that_is_cut_off_anywhere_keeps_what_stands_before(data: bytes, read: Callable[..., Any]) -> None:
    for end in range(4, len(data), 7):
        if end < 24 and data[:1] != b"\x0a":
            with pytest.raises(InputProblem, match="ends inside"):
                read(data[:end], "pcap", recognised=False)
            continue
        heard, source = read(data[:end], "pcap", recognised=False)
        assert channels(heard) in [CHANNELS[:n] for n in range(4)]
        if len(heard) < 3 and end < len(data) - 60:
            assert not source.notes or "cut off" in source.notes[0]
    heard, source = read(data[:-30], "pcap")
    assert "cut off" in source.notes[0]
    assert channels(heard)[:2] == CHANNELS[:2]


def test_a_frame_of_impossible_length(read: Callable[..., Any]) -> None:
    data = bytearray(pcap(FRAMES))
    place = 24 + 16 + len(FRAMES[0]) + 8
    data[place : place + 4] = b"\xff\xff\xff\x7f"
    heard = []
    source = Input("x", io.BytesIO(bytes(data)), Head(bytes(data), "", "x"))
    feed = importer.IMPORTER.read(source)
    heard.append(next(feed))
    with pytest.raises(InputProblem, match="frame 2 claims to have"):
        next(feed)
    assert heard[0].mac == CAMERA


def test_snap_lengths_are_told(read: Callable[..., Any]) -> None:
    long = datagram(SADP[:-13] + b"<X>" + b"x" * 500 + b"</X></ProbeMatch>", 37020, 50_000)
    heard, source = read(pcap([long], snap=120), "pcap")

    assert heard[0].observations[0].truncated
    assert "snap length" in source.notes[0]


def test_a_clock_that_runs_backwards_is_told(read: Callable[..., Any]) -> None:
    heard, source = read(pcap(FRAMES, step=-100.0), "pcap")

    assert len(heard) == 3
    assert "backwards 2 times" in source.notes[0]


def test_frames_twice_are_one(read: Callable[..., Any]) -> None:
    heard, _ = read(pcap([frame for frame in FRAMES for _ in range(3)]), "pcap")
    picture = Picture()
    for told in heard:
        picture.enter(told, "x")

    (only,) = picture.recordings()[0]
    assert sorted(o.channel for o in only.observations) == ["http.response", "mac", "sadp.response"]


@pytest.mark.parametrize("seed", range(30))
def test_noise_breaks_nothing(seed: int, read: Callable[..., Any]) -> None:
    chance = random.Random(seed)
    frames = []
    for frame in FRAMES * 20:
        noisy = bytearray(frame)
        for _ in range(chance.randrange(6)):
            noisy[chance.randrange(len(noisy))] = chance.randrange(256)
        frames.append(bytes(noisy[: chance.randrange(len(noisy) + 1)]))
    data = bytearray(pcap(frames) if seed % 2 else pcapng(frames))
    for _ in range(seed // 10):
        data[chance.randrange(30, len(data))] = chance.randrange(256)
    with contextlib.suppress(InputProblem):
        read(bytes(data), "pcap", recognised=False)


@pytest.mark.parametrize("data", [b"snoop\0\0\0" + bytes(60), b"\x34\xcd\xb2\xa1" + bytes(60)])
def test_other_formats_are_named(data: bytes, read: Callable[..., Any]) -> None:
    with pytest.raises(InputProblem, match="editcap"):
        read(data, "pcap")


def test_a_device_whose_answer_was_cut_off_says_so(read: Callable[..., Any]) -> None:
    page = b"HTTP/1.1 200 OK\r\nServer: Webs\r\nContent-Length: 900\r\n\r\n" + b"<p>".ljust(900, b".")
    picture = Picture()
    heard, source = read(pcap([request(), segment(page, 80, 40_000)], snap=200), "pcap")
    for one in heard:
        picture.enter(one, source.name)
    recordings, _ = picture.recordings()

    (notes,) = [notes for r in recordings if (notes := identify(r, knowledge.load(())).notes)]
    assert "its answer on port 80 is cut off: another scan, or a capture with tcpdump -s 0, may hear more" in notes[-1]
