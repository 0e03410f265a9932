"""Who knows a password gets in, who guesses waits, and neither is in the other's way (promises, R26)."""

from __future__ import annotations

from time import perf_counter

import pytest
import trio
from argon2 import PasswordHasher
from trio.testing import MockClock

from gatewayd.ocpp.handshake import Refused
from gatewayd.ocpp.lockout import TRIES, WINDOW_S
from gatewayd.services.ocpp_listener.passwords import Passwords
from gatewayd.site.refusal import Cause
from tests.services.ocpp_peer import basic

HOME, ELSEWHERE = "10.0.0.1", "10.0.0.2"
SLOW = PasswordHasher(time_cost=4, memory_cost=8192, parallelism=1)
"""So slow that its share of a moment can be told."""


async def tried(
    passwords: Passwords, password: str, address: str = HOME, name: str = "CP001", configured: str = "secret"
) -> Cause | None:
    """Why it was refused; None: it is right."""
    try:
        await passwords.check(name, configured, basic(name, password), address)
    except Refused as refused:
        return refused.cause
    return None


async def guess(passwords: Passwords, address: str, times: int = TRIES, name: str = "CP001") -> list[Cause | None]:
    return [await tried(passwords, f"guess {number}", address, name) for number in range(times)]


async def test_guesses_lock_the_address_out_for_every_identity(autojump_clock: MockClock) -> None:
    passwords = Passwords()
    assert await guess(passwords, HOME) == TRIES * [Cause.wrong_password]
    assert await tried(passwords, "secret") is Cause.locked_out
    assert await tried(passwords, "secret", name="CP002") is Cause.locked_out
    await trio.sleep(WINDOW_S)
    assert await tried(passwords, "secret") is None


async def test_guesses_from_many_addresses_lock_the_identity_out(autojump_clock: MockClock) -> None:
    passwords = Passwords()
    for number in range(TRIES):
        assert await guess(passwords, f"10.1.0.{number}", 1) == [Cause.wrong_password]
    assert await tried(passwords, "secret") is Cause.locked_out
    assert await tried(passwords, "secret", name="CP002") is None
    await trio.sleep(WINDOW_S)
    assert await tried(passwords, "secret") is None


async def test_but_not_where_it_is_at_home(autojump_clock: MockClock) -> None:
    """Nobody keeps a charge point out by guessing its password from elsewhere."""
    passwords = Passwords()
    assert await tried(passwords, "secret") is None
    assert await guess(passwords, ELSEWHERE) == TRIES * [Cause.wrong_password]
    assert await tried(passwords, "secret", "10.0.0.3") is Cause.locked_out
    assert await tried(passwords, "secret") is None


async def test_an_ipv6_device_gains_nothing_by_its_many_addresses(autojump_clock: MockClock) -> None:
    passwords = Passwords()
    for number in range(TRIES):
        await guess(passwords, f"2001:db8::{number}", 1)
    assert await tried(passwords, "secret", "2001:db8::ffff", "CP002") is Cause.locked_out


@pytest.mark.parametrize("authorization", [b"", b"Bearer x", b"Basic !!!"])
async def test_to_bring_none_is_no_guess(authorization: bytes, autojump_clock: MockClock) -> None:
    passwords = Passwords()
    for _ in range(2 * TRIES):
        with pytest.raises(Refused) as refused:
            await passwords.check("CP001", "secret", authorization, HOME)
        assert refused.value.cause is Cause.no_password
    assert await tried(passwords, "secret") is None


async def test_a_wrong_user_is_told_apart_and_counts(autojump_clock: MockClock) -> None:
    passwords = Passwords()
    for _ in range(TRIES):
        with pytest.raises(Refused) as refused:
            await passwords.check("CP001", "secret", basic("CP002", "secret"), HOME)
        assert (refused.value.cause, "user" in refused.value.why) == (Cause.wrong_password, True)
    assert await tried(passwords, "secret") is Cause.locked_out


async def test_a_hash_is_judged_once_and_remembered() -> None:
    passwords, configured = Passwords(), SLOW.hash("secret")
    began = perf_counter()
    assert await tried(passwords, "secret", configured=configured) is None
    once = perf_counter() - began
    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(tried, passwords, "secret", HOME, "CP001", configured)
    assert perf_counter() - began < 10 * once  # judged each time they would take twenty times as long
    assert await tried(passwords, "guess", configured=configured) is Cause.wrong_password
    assert await tried(passwords, "secret", configured=SLOW.hash("other")) is Cause.wrong_password


async def test_what_is_remembered_belongs_to_one_identity() -> None:
    passwords, configured = Passwords(), SLOW.hash("secret")
    assert await tried(passwords, "secret", configured=configured) is None
    assert await tried(passwords, "secret", name="CP002", configured=SLOW.hash("other")) is Cause.wrong_password


async def test_who_is_known_does_not_wait_for_anybodys_guesses() -> None:
    passwords, configured = Passwords(), SLOW.hash("secret")
    assert await tried(passwords, "secret", configured=configured) is None
    judged = []

    async def guess(number: int) -> None:
        await tried(passwords, "x", f"10.2.0.{number}", "CP002", configured)
        judged.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(guess, number)
        await trio.testing.wait_all_tasks_blocked()
        assert await tried(passwords, "secret", configured=configured) is None
        assert len(judged) < 20
        nursery.cancel_scope.cancel()
