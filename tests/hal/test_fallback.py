"""DHCP, then 192.168.100.246: the rules at their real times, and every state there is at small ones."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest

from hal.arp import Claimed
from hal.fallback import FALLBACK, REAL, Facts, State, Timing, Wanted, begin, changed, decide
from hal.lease import Lease, Refused
from hal.network_settings import NetworkSettings

DHCP = NetworkSettings()
STATIC = NetworkSettings("static", IPv4Interface("10.0.0.5/24"), IPv4Address("10.0.0.1"))
LEASED = IPv4Interface("10.1.2.3/16")
ROUTER = IPv4Address("10.1.0.1")
RIVAL = "02:00:00:00:00:99"


class Wire:
    """A second at a time: cable, DHCP server and rivals as the test sets them."""

    def __init__(self, settings: NetworkSettings = DHCP, carrier: bool = True) -> None:
        self.now = 100.0
        self.carrier = carrier
        self.dhcp: Lease | Refused | None = None
        self.rivals: set[IPv4Address] = set()
        self.heard: list[Claimed] = []
        self.state = begin(settings, self.now)
        self.wanted = Wanted()
        self.seen: list[tuple[float, Wanted]] = []
        self._tick()

    def _tick(self) -> None:
        facts = Facts(self.carrier, self.dhcp, tuple(self.heard))
        self.state, self.wanted = decide(self.state, facts, self.now)
        self.heard = [Claimed(address, RIVAL) for address in self.wanted.probe if address in self.rivals]
        self.seen.append((self.now - 100.0, self.wanted))

    def until(self, at: float) -> Wanted:
        while self.now < 100.0 + at:
            self.now += 1.0
            self._tick()
        return self.wanted

    def lease(self, duration_s: float = 3600.0, address: IPv4Interface = LEASED) -> None:
        self.dhcp = Lease(self.now + 0.5, address, duration_s, ROUTER, (IPv4Address("10.1.0.53"),))

    def first(self, address: IPv4Interface) -> float:
        return next(at for at, wanted in self.seen if address in wanted.addresses)

    def last(self, address: IPv4Interface) -> float:
        return max(at for at, wanted in self.seen if address in wanted.addresses)


def test_no_server_the_fallback_comes_at_thirty_seconds() -> None:
    wire = Wire()
    wanted = wire.until(120)
    assert wire.first(FALLBACK) == 30
    assert wanted.addresses == (FALLBACK,)
    assert wanted.router is None
    assert wanted.source == "fallback"
    assert wanted.ask is not None


def test_a_server_the_fallback_never_comes() -> None:
    wire = Wire()
    wire.until(3)
    wire.lease()
    wanted = wire.until(300)
    assert wanted.addresses == (LEASED,)
    assert wanted.router == ROUTER
    assert all(FALLBACK not in wanted.addresses for _, wanted in wire.seen)


def test_a_late_lease_wins_at_once_and_the_fallback_stays_sixty_seconds_more() -> None:
    wire = Wire()
    wire.until(100)
    wire.lease()
    wire.until(400)
    assert wire.first(LEASED) == 101
    assert wire.last(FALLBACK) == 160
    both = next(wanted for at, wanted in wire.seen if at == 130)
    assert both.addresses == (LEASED, FALLBACK)
    assert both.source == "lease"


def test_thirty_seconds_count_from_power_on_whatever_the_cable_does() -> None:
    wire = Wire(carrier=False)
    for second in range(1, 40):
        wire.carrier = second % 7 < 4
        wire.until(second)
    wire.carrier = True
    wire.until(60)
    assert wire.first(FALLBACK) <= 41


def test_the_client_is_begun_with_the_first_cable_and_not_begun_again() -> None:
    wire = Wire(carrier=False)
    assert wire.until(5).ask is None
    wire.carrier = True
    begun = wire.until(6).ask
    assert begun is not None
    assert wire.until(100).ask == begun


def test_a_cable_that_comes_late_finds_the_fallback_after_three_probes() -> None:
    wire = Wire(carrier=False)
    wire.until(300)
    assert wire.wanted.addresses == ()
    wire.carrier = True
    wire.until(310)
    assert wire.first(FALLBACK) == 304


def test_a_cable_that_comes_back_asks_anew_and_keeps_the_lease() -> None:
    wire = Wire()
    wire.lease()
    asked = wire.until(10).ask
    wire.carrier = False
    assert wire.until(20).addresses == (LEASED,)
    wire.carrier = True
    wanted = wire.until(21)
    assert wanted.ask != asked
    assert wanted.addresses == (LEASED,)
    wanted = wire.until(60)
    assert wanted.addresses == (LEASED, FALLBACK)
    assert wire.first(FALLBACK) == 51
    wire.lease()
    assert wire.until(130).addresses == (LEASED,)


def test_a_lease_that_ends_gives_way_to_the_fallback_without_a_gap() -> None:
    wire = Wire()
    wire.lease(duration_s=120)
    wire.until(200)
    assert wire.last(LEASED) == 120
    assert wire.first(FALLBACK) == 121


def test_a_server_that_refuses_takes_the_lease_and_thirty_seconds_begin_again() -> None:
    wire = Wire()
    wire.lease()
    wire.until(50)
    wire.dhcp = Refused(wire.now + 0.5)
    wire.until(120)
    assert wire.last(LEASED) == 50
    assert wire.first(FALLBACK) == 81


def test_a_lease_from_before_is_not_taken_after_its_end() -> None:
    wire = Wire()
    wire.dhcp = Lease(0.0, LEASED, 60.0)
    assert wire.until(5).addresses == ()


def test_the_fallback_in_use_is_reported_left_alone_and_tried_again() -> None:
    wire = Wire()
    wire.rivals.add(FALLBACK.ip)
    wanted = wire.until(300)
    assert wanted.addresses == ()
    assert wanted.conflicts == ((str(FALLBACK.ip), RIVAL),)
    wire.rivals.clear()
    wanted = wire.until(320)
    assert wanted.addresses == (FALLBACK,)
    assert wanted.conflicts == ()


def test_the_fallback_is_given_up_to_who_claims_it_later() -> None:
    wire = Wire()
    wire.until(60)
    wire.rivals.add(FALLBACK.ip)
    wanted = wire.until(60 + REAL.check_every_s + 2)
    assert wanted.addresses == ()
    assert wanted.conflicts == ((str(FALLBACK.ip), RIVAL),)


def test_two_gateways_that_probe_at_once_both_step_back_and_the_first_to_return_wins() -> None:
    ours, theirs = begin(DHCP, 0.0), begin(DHCP, 0.0)
    heard: tuple[list[Claimed], list[Claimed]] = ([], [])
    had = []
    for second in range(200):
        now = float(second)
        sides = []
        for n, (state, timing) in enumerate(((ours, REAL), (theirs, replace(REAL, retry_s=14.0)))):
            state, wanted = decide(state, Facts(True, None, tuple(heard[n])), now, timing)
            sides.append((state, wanted))
        (ours, our_wanted), (theirs, their_wanted) = sides
        for n, (mine, other) in enumerate(((our_wanted, their_wanted), (their_wanted, our_wanted))):
            heard[n].clear()
            heard[n].extend(Claimed(address, f"mac {1 - n}", probing=True) for address in other.probe)
            heard[n].extend(Claimed(a.ip, f"mac {1 - n}") for a in other.addresses if a.ip in mine.probe)
        had.append((FALLBACK in our_wanted.addresses, FALLBACK in their_wanted.addresses))
    assert had[-1] == (True, False)
    assert (True, True) not in had


def test_static_is_there_after_its_probes_and_never_asks() -> None:
    wire = Wire(STATIC)
    wanted = wire.until(100)
    assert wire.first(IPv4Interface("10.0.0.5/24")) == 3
    assert wanted.addresses == (STATIC.address,)
    assert (wanted.ask, wanted.source, wanted.router) == (None, "static", STATIC.router)
    wire.lease()
    assert wire.until(200).addresses == (STATIC.address,)


def test_static_in_use_is_reported_and_the_fallback_stands_in() -> None:
    wire = Wire(STATIC)
    wire.rivals.add(IPv4Address("10.0.0.5"))
    wanted = wire.until(20)
    assert wanted.addresses == (FALLBACK,)
    assert wanted.router is None
    assert wanted.conflicts == (("10.0.0.5", RIVAL),)
    wire.rivals.clear()
    wanted = wire.until(60)
    assert wanted.addresses == (STATIC.address,)
    assert wanted.conflicts == ()


def test_static_claimed_by_another_later_is_kept_reported_and_forgotten_when_he_is_gone() -> None:
    wire = Wire(STATIC)
    wire.until(10)
    wire.rivals.add(IPv4Address("10.0.0.5"))
    wanted = wire.until(45)
    assert wanted.addresses == (STATIC.address,)
    assert wanted.conflicts == (("10.0.0.5", RIVAL),)
    wire.rivals.clear()
    assert wire.until(140).conflicts == ()


def test_static_that_is_the_fallbacks_number() -> None:
    wire = Wire(NetworkSettings("static", FALLBACK))
    assert wire.until(60).addresses == (FALLBACK,)
    assert wire.wanted.source == "static"


def test_a_lease_that_is_the_fallbacks_number_is_one_address() -> None:
    wire = Wire()
    wire.until(40)
    wire.lease(address=FALLBACK)
    assert wire.until(200).addresses == (FALLBACK,)
    assert wire.wanted.source == "lease"


def test_configured_servers_go_before_those_of_the_lease() -> None:
    wire = Wire(NetworkSettings(dns=(IPv4Address("9.9.9.9"),), ntp=("time.example",)))
    wire.lease()
    wanted = wire.until(5)
    assert wanted.dns == (IPv4Address("9.9.9.9"),)
    assert wanted.ntp == ("time.example",)


# --- every state that can be reached, with small waits

SMALL = Timing(dhcp_s=4, overlap_s=3, probes=2, probe_every_s=1, retry_s=2, check_every_s=3)
LEASE_S = 5.0
HORIZON = 8.0  # nothing above looks further back than this


def relative(value: Any, now: float) -> Any:
    """A state with its times counted from now, cut where nobody tells them apart any more."""
    if isinstance(value, float):
        return value if value == float("inf") else max(-HORIZON, min(HORIZON, value - now))
    if isinstance(value, tuple):
        return tuple(relative(item, now) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        skip = {"duration_s", "round", "settings"}
        return (
            type(value).__name__,
            *(relative(getattr(value, f.name), now) for f in fields(value) if f.name not in skip),
        )
    return value


@dataclass(frozen=True)
class Moment:
    """A state, the client's latest word, and what the invariants need to remember."""

    state: State
    dhcp: Lease | Refused | None
    wanted: Wanted
    quiet_s: float = 0.0  # cable in, no rival, nothing taken back: for so long
    confirmed_s: float = 0.0  # cable in, lease confirmed: for so long


def inputs(moment: Moment, now: float, address: IPv4Address) -> Iterator[Facts]:
    for carrier in (True, False):
        words: list[Lease | Refused | None] = [moment.dhcp]
        if carrier and moment.state.settings.mode == "dhcp":
            words += [Lease(now, LEASED, LEASE_S, ROUTER), Refused(now)]
        for word in words:
            yield Facts(carrier, word)
            if carrier:
                yield Facts(carrier, word, (Claimed(address, RIVAL),))
                yield Facts(carrier, word, (Claimed(address, RIVAL, probing=True),))


def judge(before: Moment, facts: Facts, now: float, after: Moment) -> None:
    state, wanted = after.state, after.wanted
    lease = state.lease
    assert len(set(wanted.addresses)) == len(wanted.addresses)
    assert (wanted.ask is None) is (state.settings.mode == "static" or state.round == 0)
    if lease is not None:
        assert now < lease.ends_at, "a lease outlives its end"
        assert wanted.addresses[0] == LEASED, "the lease does not win"
        assert wanted.router == ROUTER
    else:
        assert LEASED not in wanted.addresses
    if isinstance(facts.dhcp, Lease) and now < facts.dhcp.ends_at:
        assert lease is not None, "a lease is not taken"
    for claim in state.claims:
        assert not (claim.owned and claim.address == FALLBACK.ip and claim.taken_by), "the fallback is fought for"
    for address in wanted.addresses:
        if address != LEASED:
            owned = [claim for claim in state.claims if claim.address == address.ip and claim.owned]
            assert owned, f"{address} is taken without asking"
    if FALLBACK in wanted.addresses and FALLBACK not in before.wanted.addresses:
        was = before.state.claim(FALLBACK.ip)
        assert was is not None, "the fallback comes without a probe"
        assert was.owned or was.probes_sent == SMALL.probes
    for probe in wanted.probe:
        assert facts.carrier, f"{probe} is probed into no cable"
    if state.settings.mode == "dhcp":
        if after.quiet_s > SMALL.dhcp_s + SMALL.probes + SMALL.retry_s + 1:
            assert wanted.addresses, "nobody can reach the gateway"
        if after.confirmed_s > SMALL.overlap_s + 1:
            assert FALLBACK not in wanted.addresses, "the fallback stays for ever"
    elif after.quiet_s > SMALL.probes + SMALL.retry_s + 1:
        assert STATIC.address in wanted.addresses


@pytest.mark.parametrize("settings", [DHCP, STATIC], ids=["dhcp", "static"])
def test_every_reachable_state_keeps_the_rules(settings: NetworkSettings) -> None:
    contested = settings.address.ip if settings.address else FALLBACK.ip
    start = Moment(begin(settings, 0.0), None, Wanted())
    queue, seen, steps = deque([(start, 0.0)]), set(), 0
    while queue:
        before, now = queue.popleft()
        for facts in inputs(before, now, contested):
            state, wanted = decide(before.state, facts, now, SMALL)
            steps += 1
            refused = isinstance(facts.dhcp, Refused) and facts.dhcp is not before.dhcp
            quiet = facts.carrier and not facts.claimed and not refused
            confirmed = quiet and state.lease is not None and state.lease.at >= state.asking_since
            after = Moment(
                state,
                facts.dhcp,
                wanted,
                before.quiet_s + 1 if quiet else 0.0,
                before.confirmed_s + 1 if confirmed else 0.0,
            )
            judge(before, facts, now, after)
            key = (
                relative(replace(after.state), now),
                relative(after.dhcp, now),
                min(after.quiet_s, 12),
                min(after.confirmed_s, 6),
                FALLBACK in wanted.addresses,
            )
            if key not in seen:
                seen.add(key)
                queue.append((after, now + 1.0))
    assert len(seen) > 100, f"only {len(seen)} states in {steps} steps: the search did not search"
    print(len(seen), steps)


def test_the_search_finds_a_broken_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: without the wait for probes the search must object."""
    from hal import fallback

    def at_once(state: State, address: IPv4Address, *_: object) -> tuple[fallback.Claim, bool]:
        return fallback.Claim(address, 0.0, owned=True), False

    monkeypatch.setattr(fallback, "_claim", at_once)
    with pytest.raises(AssertionError, match="without a probe"):
        test_every_reachable_state_keeps_the_rules(DHCP)


def test_other_name_servers_alone_change_no_address() -> None:
    wire = Wire()
    wire.until(60)
    wire.state = changed(wire.state, NetworkSettings(dns=(IPv4Address("9.9.9.9"),)), wire.now)
    wanted = wire.until(61)
    assert (wanted.addresses, wanted.dns) == ((FALLBACK,), (IPv4Address("9.9.9.9"),))


def test_another_address_is_probed_and_the_old_one_forgotten() -> None:
    wire = Wire(STATIC)
    wire.until(10)
    new = NetworkSettings("static", IPv4Interface("10.0.0.6/24"))
    wire.state = changed(wire.state, new, wire.now)
    assert wire.until(11).addresses == ()
    assert wire.until(14).addresses == (new.address,)


def test_from_static_to_dhcp_thirty_seconds_begin_again() -> None:
    wire = Wire(STATIC)
    wire.until(100)
    wire.state = changed(wire.state, DHCP, wire.now)
    assert wire.until(101).ask is not None
    wire.until(200)
    assert 129 <= wire.first(FALLBACK) <= 131
