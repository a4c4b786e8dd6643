from __future__ import annotations

import contextlib
import ssl

import pytest

from scanner.simulate.seal import HANDSHAKE, Seal


class Client:
    """The other side, without a socket too."""

    def __init__(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)

    def shake(self, seal: Seal) -> None:
        for _ in range(4):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            seal.open(self.outgoing.read())
            self.incoming.write(seal.pending())


def test_bytes_come_through_both_ways(context: ssl.SSLContext) -> None:
    seal, client = Seal(context), Client()
    client.shake(seal)
    assert seal.ready
    client.tls.write(b"GET /")
    sealed = client.outgoing.read()

    assert seal.open(sealed[:7]) == b""
    assert seal.open(sealed[7:]) == b"GET /"
    client.incoming.write(seal.close(b"hello"))
    assert client.tls.read(99) == b"hello"


def test_a_handshake_begins_with_its_mark() -> None:
    client = Client()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()

    assert client.outgoing.read()[0] == HANDSHAKE


def test_the_farewell_of_either_side_ends_it(context: ssl.SSLContext) -> None:
    seal, client = Seal(context), Client()
    client.shake(seal)
    client.incoming.write(seal.farewell())
    assert client.tls.read(99) == b""
    with contextlib.suppress(ssl.SSLError):
        client.tls.unwrap()
    seal.open(client.outgoing.read())

    assert seal.broken


def test_what_is_no_tls_breaks_it_without_an_exception(context: ssl.SSLContext) -> None:
    seal = Seal(context)

    assert seal.open(b"\x16\x03\x01\x00\x05hello") == b""
    assert seal.broken
    seal.close(b"too late")
    seal.farewell()
