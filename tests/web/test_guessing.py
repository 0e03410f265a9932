"""R26, the page: whoever guesses passwords gets ten tries a minute and address, and nobody guesses a token.

Twins: a page whose limit was lifted, and one whose tokens have 64 bits.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import trio
import trio.testing

from gatewayd.ocpp import lockout
from gatewayd.ocpp.lockout import TRIES, WINDOW_S
from gatewayd.web import sessions
from gatewayd.web.sessions import Sessions
from tests.web.door import PASSWORD, Answer, Door

BITS = 128
TOKENS = 200
"""A bit that is the same in so many is no random one."""
SECONDS = 130


async def claimed(folder: Path) -> Door:
    door = Door(folder)
    await door.tokens()
    return door


async def by_form(door: Door, password: str, name: str = "admin") -> int:
    """The status; a form that signs in leads on, by 303."""
    return (await door.knock("POST", "/login", {"name": name, "password": password})).status


async def by_api(door: Door, password: str, name: str = "admin") -> Answer:
    body = json.dumps({"user": name, "password": password}).encode()
    return await door.call("POST", "/api/v1/session", body=body)


async def most_in_a_minute(door: Door, clock: trio.testing.MockClock, seconds: int = SECONDS) -> int:
    """Somebody guesses once a second, by both doors and many names; so many in one minute were looked at, at most."""
    looked_at = []
    for second in range(seconds):
        guess = f"guess {second}"
        status = await by_form(door, guess) if second % 2 else (await by_api(door, guess, f"user{second}")).status
        assert status in (401, 429)
        if status == 401:
            looked_at.append(trio.current_time())
        clock.jump(1)
    return max(sum(begin <= each < begin + WINDOW_S for each in looked_at) for begin in looked_at)


async def test_ten_guesses_a_minute_by_form_and_api_together(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    assert await most_in_a_minute(await claimed(tmp_path), mock_clock) == TRIES == 10


async def test_whoever_has_to_wait_is_told_and_nobody_else_is_kept_out(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    door = await claimed(tmp_path)
    for number in range(TRIES):
        assert await by_form(door, f"guess {number}") == 401
    answer = await by_api(door, PASSWORD)
    assert answer.status == 429  # the right one is not looked at either
    assert answer.headers["retry-after"] == "60"
    door.address = "192.0.2.8"
    assert await by_form(door, PASSWORD) == 303
    door.address = "192.0.2.7"
    mock_clock.jump(WINDOW_S)
    assert await by_form(door, PASSWORD) == 303


async def test_guesses_at_the_same_time_are_counted_one_by_one(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    door, statuses = await claimed(tmp_path), []

    async def guess(number: int) -> None:
        statuses.append((await by_api(door, f"guess {number}")).status)

    async with trio.open_nursery() as nursery:
        for number in range(4 * TRIES):
            nursery.start_soon(guess, number)
    assert sorted(statuses) == [401] * TRIES + [429] * 3 * TRIES


async def test_all_addresses_of_an_ipv6_device_are_one(tmp_path: Path, mock_clock: trio.testing.MockClock) -> None:
    door = await claimed(tmp_path)
    for number in range(TRIES):
        door.address = f"2001:db8::{number}"
        assert await by_form(door, "guess") == 401
    door.address = "2001:db8::ffff"
    assert await by_form(door, PASSWORD) == 429
    door.address = "2001:db8:0:1::1"
    assert await by_form(door, PASSWORD) == 303


async def test_the_twin_without_a_limit_is_found(
    tmp_path: Path, mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockout, "TRIES", 1000)
    assert await most_in_a_minute(await claimed(tmp_path), mock_clock, TRIES + 2) > TRIES


def random_bits(texts: list[str]) -> int:
    """Bits that are not the same in all of them; 0 where one comes twice."""
    raw = [int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big") for text in texts]
    if len(set(raw)) < len(raw):
        return 0
    ever, always = raw[0], raw[0]
    for each in raw:
        ever, always = ever | each, always & each
    return (ever & ~always).bit_count()


def tokens() -> list[str]:
    every = Sessions()
    return [every.begin("admin", 0.0)[0] for _ in range(TOKENS)]


async def test_tokens_and_proofs_have_128_bits_and_more(tmp_path: Path) -> None:
    assert random_bits(tokens()) >= BITS
    assert random_bits([Sessions().begin("admin", 0.0)[1].proof() for _ in range(TOKENS)]) >= BITS
    cookies = []
    door = await claimed(tmp_path)
    for _ in range(3):
        cookies.append((await door.knock("POST", "/login", {"name": "admin", "password": PASSWORD})).cookie)
    assert len({*cookies}) == 3
    assert min(len(base64.urlsafe_b64decode(each + "=")) for each in cookies) * 8 >= BITS
    almost = cookies[0][:-2] + ("AA" if cookies[0][-2:] != "AA" else "BB")
    assert (await door.call("GET", "/api/v1/session", cookies[0])).status == 200
    assert (await door.call("GET", "/api/v1/session", almost)).status == 401


def test_the_twin_with_short_tokens_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "TOKEN_BYTES", 8)
    assert random_bits(tokens()) < BITS
