"""Guessing passwords is hopeless: ten tries a minute and address (promises, R26)."""

from __future__ import annotations

import pytest

from gatewayd.ocpp.lockout import ADDRESSES_MAX, TRIES, WINDOW_S, Lockout, household


def test_ten_tries_a_minute_and_no_more_whatever_the_rhythm() -> None:
    for pause_s in (0.0, 0.5, 3.0, 6.0, 20.0):
        lockout, tries, now = Lockout(), [], 0.0
        while now < 600:
            if lockout.wait_s("a", now) == 0:
                tries.append(now)
                lockout.note_wrong("a", now)
            now += pause_s or 0.01
        for begin in tries:
            assert sum(begin <= each < begin + WINDOW_S for each in tries) <= TRIES


def test_the_wait_is_told_and_ends() -> None:
    lockout = Lockout()
    for second in range(TRIES):
        assert lockout.wait_s("a", second) == 0
        lockout.note_wrong("a", second)
    assert lockout.wait_s("a", 10.0) == 50.0
    assert lockout.wait_s("a", 59.9) > 0
    assert lockout.wait_s("a", 60.0) == 0


def test_addresses_are_apart() -> None:
    lockout = Lockout()
    for _ in range(TRIES):
        lockout.note_wrong("a", 0)
    assert lockout.wait_s("a", 1) > 0
    assert lockout.wait_s("b", 1) == 0


def test_of_too_many_addresses_the_quietest_are_forgotten() -> None:
    lockout = Lockout()
    for _ in range(TRIES):
        lockout.note_wrong("guesser", 0)
    for number in range(ADDRESSES_MAX - 1):
        lockout.note_wrong(f"{number}", 1)
    assert lockout.wait_s("guesser", 2) > 0
    lockout.note_wrong("guesser", 2)
    for number in range(ADDRESSES_MAX - 1):
        lockout.note_wrong(f"more {number}", 3)
    assert lockout.wait_s("guesser", 4) > 0
    lockout.note_wrong("one too many", 5)
    assert lockout.wait_s("guesser", 6) == 0


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::7", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("", ""),
        ("nowhere", "nowhere"),
    ],
)
def test_an_ipv6_device_is_counted_once_whatever_addresses_it_takes(address: str, counted: str) -> None:
    assert household(address) == counted
