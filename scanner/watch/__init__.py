"""The long-running service behind `lanveto watch`: scans on a schedule, and delivery of what they change in between.

    schedule.py   when the next scan begins (pure)
    log.py        lines on standard error, text or JSON; a condition once when it begins, once when it ends
    notify.py     what systemd wants to know of a service
    service.py    the loop: one scan at a time, sinks served meanwhile, signals, the store and its troubles

A scan is a call that the service is given: `lanveto watch` runs `lanveto scan` as a process of its own, so that memory
stays flat, the rules are read anew each time, and nothing a device says can take the service down. Tests give it
another one.
"""

from __future__ import annotations
