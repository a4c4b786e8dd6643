from __future__ import annotations

from scanner import ports


def test_what_is_asked_and_what_is_forbidden_never_meet() -> None:
    assert not set(ports.ASKED) & set(ports.FORBIDDEN)
    assert set(ports.LIFE) <= set(ports.ASKED)


def test_every_port_has_a_reason() -> None:
    assert all(reason.strip() for reason in [*ports.ASKED.values(), *ports.FORBIDDEN.values()])


def test_printers_and_controllers_are_forbidden() -> None:
    assert {*range(9100, 9108), 102, 502, 20000, 44818, 47808} == set(ports.FORBIDDEN)
