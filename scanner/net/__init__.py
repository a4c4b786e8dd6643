"""The only sockets of a scan: raw frames, streams, datagrams, the neighbour table; pace and bounds live here."""
