"""Messages wait in order, slots hold what is true now, and a full box says what it lost."""

from __future__ import annotations

import json

from scanner.store import Store, outbox
from scanner.store.outbox import Draft


def _event(number: int) -> Draft:
    return Draft(uid=f"e{number}", site="hq", kind="device-changed", body=b"{}")


def _slot(name: str, body: bytes) -> Draft:
    return Draft(uid=f"{name}-{body.decode()}", site="hq", kind="state", slot=name, body=body)


def _uids(store: Store, sink: str = "a", limit: int = 100) -> list[str]:
    return [w.draft.uid for w in outbox.take(store, sink, limit)]


def test_without_a_sink_nothing_waits(store: Store) -> None:
    outbox.put(store, [_event(1)])
    outbox.register(store, ["a"])
    assert _uids(store) == []
    assert outbox.forget(store, "a")


def test_what_is_true_now_is_kept_for_a_sink_to_come(store: Store) -> None:
    outbox.put(store, [_slot("x", b"1"), _event(1), _slot("y", b"1")])
    outbox.put(store, [_slot("x", b"2"), _slot("y", b"")])
    outbox.register(store, ["a"])
    assert _uids(store) == ["x-2"]


def test_messages_stay_in_order_until_they_are_taken(store: Store) -> None:
    outbox.register(store, ["a", "b"])
    outbox.put(store, [_event(n) for n in range(1200)])
    assert _uids(store, limit=3) == ["e0", "e1", "e2"]
    assert _uids(store, limit=3) == ["e0", "e1", "e2"]
    outbox.advance(store, "a", outbox.take(store, "a", 2)[-1].number)
    assert _uids(store, "a", 1) == ["e2"]
    assert _uids(store, "b", 1) == ["e0"]
    assert [(s.name, s.waiting) for s in outbox.standing(store)] == [("a", 1198), ("b", 1200)]
    outbox.advance(store, "b", outbox.take(store, "b", 5000)[-1].number)
    outbox.put(store, [_event(5000)])
    assert _uids(store, "b") == ["e5000"]


def test_a_slot_holds_only_the_newest(store: Store) -> None:
    outbox.register(store, ["a"])
    outbox.put(store, [_slot("x", b"1"), _event(1), _slot("y", b"1"), _slot("x", b"2")])
    outbox.put(store, [_slot("x", b"3")])
    assert _uids(store) == ["e1", "y-1", "x-3"]
    outbox.advance(store, "a", outbox.take(store, "a", 9)[-1].number)
    assert _uids(store) == []
    assert [[w.draft.uid for w in some] for some in outbox.current(store, "a")] == [["y-1", "x-3"], []]
    outbox.register(store, ["late"])  # a new sink is told what is true now
    assert _uids(store, "late") == ["y-1", "x-3"]
    assert [[w.draft.uid for w in some] for some in outbox.current(store, "late")] == [[], ["y-1", "x-3"]]


def test_an_emptied_slot_leaves_when_every_sink_knows(store: Store) -> None:
    outbox.register(store, ["a"])
    outbox.put(store, [_slot("x", b"1")])
    outbox.advance(store, "a", outbox.take(store, "a", 9)[-1].number)
    outbox.put(store, [_slot("x", b"")])
    assert [w.draft.body for w in outbox.take(store, "a", 9)] == [b""]
    outbox.advance(store, "a", outbox.take(store, "a", 9)[-1].number)
    assert outbox.current(store, "a") == ([], [])


def test_a_full_box_drops_the_oldest_events_and_says_so(store: Store) -> None:
    outbox.register(store, ["a", "quick"])
    outbox.put(store, [_event(0), _event(1)], bound=5)
    outbox.advance(store, "quick", outbox.take(store, "quick", 9)[-1].number)
    outbox.put(store, [_slot("x", b"1")], bound=5)
    assert outbox.put(store, [_event(n) for n in range(2, 7)], bound=5) == 2
    waiting = outbox.take(store, "a", 99)
    assert [w.draft.uid for w in waiting] == ["x-1", "e2", "e3", "e4", "e5", "e6", "events-lost-2"]
    assert json.loads(waiting[-1].draft.body)["lost"] == 2
    assert {s.name: s.lost for s in outbox.standing(store)} == {"a": 2, "quick": 0}
    outbox.put(store, [_event(7)], bound=5)
    assert _uids(store)[-1] == "events-lost-3"


def test_what_a_sink_refuses_is_kept_to_be_seen(store: Store) -> None:
    outbox.register(store, ["a"])
    outbox.put(store, [_event(1)])
    (waiting,) = outbox.take(store, "a", 9)
    outbox.set_aside(store, "a", waiting, "not authorised")
    outbox.advance(store, "a", waiting.number)
    ((sink, _, kind, uid, reason),) = outbox.refusals(store)
    assert (sink, kind, uid, reason) == ("a", "device-changed", "e1", "not authorised")
    assert outbox.standing(store)[0].refused == 1
    assert outbox.forget(store, "a")
    assert not outbox.forget(store, "a")
    assert outbox.refusals(store) == []
