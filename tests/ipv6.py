"""IPv6 in a laboratory: what makes a segment's kernels speak it at once."""

from __future__ import annotations

UP = """
for what in accept_dad disable_ipv6; do
  for name in all s0 d0; do
    f=/proc/sys/net/ipv6/conf/$name
    if [ -d $f ]; then echo 0 > $f/$what; fi
  done
done
for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  if ip -6 -o address show scope link | grep -v tentative | grep -q fe80; then break; fi
  sleep 0.1
done
"""
"""Shell: IPv6 on, without duplicate detection; ends when a link-local address stands."""
