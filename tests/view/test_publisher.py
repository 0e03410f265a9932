"""Bounded, counted, told: what a subscriber that does not read can cost."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

from gatewayd.view import publisher
from gatewayd.view.publisher import KEPT_BYTES, LINES_AT_ONCE, LINES_PER_S, Publisher, Subscriber, line


def subscribed(to: Publisher, *streams: str, charge_point: int | None = None) -> Subscriber:
    subscriber = Subscriber()
    to.enter(subscriber)
    to.subscribe(subscriber, frozenset(streams), charge_point)
    return subscriber


def taken(subscriber: Subscriber) -> list[dict[str, Any]]:
    """All that waits."""
    text = b""
    while piece := subscriber.take():
        text += piece
    return [json.loads(each) for each in text.splitlines()]


def test_everybody_hears_the_streams_asked_for_and_no_others() -> None:
    told = Publisher()
    one, both, none = subscribed(told, "frames"), subscribed(told, "frames", "modbus"), subscribed(told)
    told.say("frames", lambda: {"n": 1}, 0.0, 3)
    told.say("modbus", lambda: {"n": 2}, 0.0)
    told.say("events", lambda: {"n": 3}, 0.0)
    assert [taken(each) for each in (one, both, none)] == [[{"n": 1}], [{"n": 1}, {"n": 2}], []]


def test_one_charge_point_and_what_is_about_none() -> None:
    told = Publisher()
    third = subscribed(told, "events", charge_point=3)
    for about in (3, 4, None):
        told.say("events", lambda about=about: {"about": about}, 0.0, about)  # type: ignore[misc]
    assert taken(third) == [{"about": 3}, {"about": None}]


def test_a_line_is_made_once_and_only_if_somebody_hears_it() -> None:
    told, made = Publisher(), []

    def make() -> dict[str, int]:
        made.append(1)
        return {"n": len(made)}

    told.say("frames", make, 0.0)
    assert made == []
    hearers = [subscribed(told, "frames") for _ in range(20)]
    told.say("frames", make, 0.0)
    assert made == [1]
    for each in hearers:
        told.leave(each)
    told.say("frames", make, 0.0)
    assert made == [1]
    assert told.wanted == frozenset()


def test_who_hears_what_is_told_on_every_change() -> None:
    seen: list[frozenset[str]] = []
    told = Publisher(lambda: seen.append(told.wanted))
    one = subscribed(told, "modbus")
    told.subscribe(one, frozenset({"frames"}), None)
    told.leave(one)
    assert seen == [{"modbus"}, {"frames"}, frozenset()]


def test_what_is_not_taken_is_dropped_counted_and_told_where_it_is_missing() -> None:
    told = Publisher()
    lazy = subscribed(told, "status")
    big = {"n": "x" * 1000}
    fits = KEPT_BYTES // len(line(big))
    for _ in range(fits + 7):
        told.say("status", lambda: big, 0.0)
    assert lazy.take().count(b"\n") > 0
    told.say("status", lambda: {"n": "after"}, 0.0)
    lines = taken(lazy)
    assert lines[-2:] == [{"type": "dropped", "dropped": 7}, {"n": "after"}]
    assert told.dropped_total == 7
    assert not lazy.waits


def test_it_is_told_even_if_nothing_comes_any_more() -> None:
    told = Publisher()
    lazy = subscribed(told, "status")
    told.say("status", lambda: {"n": "x" * KEPT_BYTES}, 0.0)
    assert taken(lazy) == [{"type": "dropped", "dropped": 1}]
    assert taken(lazy) == []


def test_a_stream_has_a_budget_and_what_is_beyond_is_missed_by_all_who_hear_it() -> None:
    told = Publisher()
    one, other = subscribed(told, "modbus"), subscribed(told, "modbus")
    made = 0

    def make() -> dict[str, int]:
        nonlocal made
        made += 1
        return {}

    for _ in range(int(LINES_AT_ONCE) + 300):
        told.say("modbus", make, 10.0)
    assert made == LINES_AT_ONCE
    assert taken(one)[-1] == taken(other)[-1] == {"type": "dropped", "dropped": 300}
    for _ in range(int(LINES_PER_S)):
        told.say("modbus", make, 11.0)
    assert made == LINES_AT_ONCE + LINES_PER_S
    told.say("modbus", make, 11.0)
    assert made == LINES_AT_ONCE + LINES_PER_S
    told.say("status", make, 11.0)  # nobody hears it
    assert told.dropped_total == 2 * 301


def test_a_long_frame_counts_as_many_lines() -> None:
    told = Publisher()
    one = subscribed(told, "frames")
    for _ in range(100):
        told.say("frames", lambda: {"n": 1}, 0.0, size=16384)
    assert [each.get("n") for each in taken(one)] == [1] * 30 + [None]
    told.say("frames", lambda: {"n": 2}, 0.0, size=511)
    assert taken(one) == [{"n": 2}]


def test_answers_are_never_dropped() -> None:
    full = Subscriber()
    full.offer(b"x" * KEPT_BYTES)
    full.offer(b"y")
    full.put(b'{"answer": 1}\n')
    assert full.full
    assert full.take() == b"x" * KEPT_BYTES
    assert full.take() == b'{"answer": 1}\n'
    assert json.loads(full.take())["dropped"] == 1


def test_half_a_character_of_a_peer_is_still_a_line() -> None:
    assert json.loads(line({"text": "\ud800x"})) == {"text": "\ud800x"}


def flood(seconds: int = 20) -> int:
    """Bytes that twenty subscribers who never read make the publisher hold after a flood."""
    told = Publisher()
    for _ in range(20):
        subscribed(told, *publisher.STREAMS)
    tracemalloc.start()
    try:
        for second in range(seconds):
            for n in range(1000):
                told.say("frames", lambda: {"text": "x" * 600}, second + n / 1000)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_twenty_who_never_read_hold_one_buffer() -> None:
    assert flood() < 3 * KEPT_BYTES  # the lines are shared


def test_the_twin_without_a_bound_is_found(monkeypatch: object) -> None:
    kept, publisher.KEPT_BYTES = publisher.KEPT_BYTES, 1 << 40
    try:
        assert flood() > 3 * KEPT_BYTES
    finally:
        publisher.KEPT_BYTES = kept
