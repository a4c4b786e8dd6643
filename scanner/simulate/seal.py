"""TLS of a simulated device, without a socket: sealed bytes in, plain bytes and sealed bytes out."""

from __future__ import annotations

import contextlib
import ssl

HANDSHAKE = 0x16
"""First byte of a TLS client's first message (RFC 8446, 5.1); anything else on a TLS port is spoken in the open."""


class Seal:
    """The server's side of one TLS connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self.ready = False
        """The handshake is done."""
        self.broken = False
        """The handshake failed, or the peer closed."""

    def open(self, data: bytes) -> bytes:
        """The plain bytes that sealed `data` brought; afterwards `pending` has what must be sent."""
        self._in.write(data)
        plain = bytearray()
        try:
            if not self.ready:
                self._tls.do_handshake()
                self.ready = True
            while piece := self._tls.read(65_536):
                plain += piece
            self.broken = True  # an empty read is the peer's farewell
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.broken = True
        return bytes(plain)

    def close(self, data: bytes) -> bytes:
        """Plain bytes, sealed."""
        try:
            self._tls.write(data)
        except ssl.SSLError:
            self.broken = True
        return self.pending()

    def farewell(self) -> bytes:
        """The sealed end of the connection."""
        with contextlib.suppress(ssl.SSLError):  # the peer has not said its own yet
            self._tls.unwrap()
        return self.pending()

    def pending(self) -> bytes:
        """What must be sent to the peer now."""
        return self._out.read()
