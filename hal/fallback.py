"""Which addresses the gateway should have: DHCP for 30 s, then 192.168.100.246, and back to DHCP. Pure.

manual 4 (Ethernet), promises R21. `decide` is asked once a second with what was seen since, and answers what should be;
netd compares that with what is and repairs the difference. Times are seconds since the machine started.

The rules, and why:
- The 30 s count from power-on, cable or not, as the manual says; a cable that flaps does not start them again.
- The client goes on asking. A lease wins as soon as it comes; the fallback stays 60 s more beside it, so that an
  engineer who sits on it sees the new address.
- A cable that comes back asks anew at once. The old lease is kept meanwhile, until it ends or the server refuses it:
  most often it is the same network, and its connections live on. Unanswered for 30 s, it gets the fallback beside it.
- A lease that ends was asked for in vain for half its time: the fallback comes at once.
- Nobody takes an address that somebody else has (RFC 5227): three probes first, in the last three of the 30 seconds,
  or of a lease.
  In use: it is reported, and asked for again later. The fallback is given up to who claims it afterwards; a static
  address is kept then, and the conflict reported.
- A static address that is in use leaves the gateway unreachable: then the fallback stands in, so that it can be mended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Final

from hal.arp import Claimed
from hal.lease import Lease, Refused
from hal.network_settings import NetworkSettings

FALLBACK: Final = IPv4Interface("192.168.100.246/24")


@dataclass(frozen=True, slots=True)
class Timing:
    """All waits, in seconds; a test runs the same rules with smaller ones to see every state there is."""

    dhcp_s: float = 30.0  # manual 4: "DHCP will be enabled for 30 seconds"
    overlap_s: float = 60.0  # time to read the new address on the page and type it
    probes: int = 3  # RFC 5227, PROBE_NUM
    probe_every_s: float = 1.0  # RFC 5227, PROBE_MIN
    retry_s: float = 10.0  # an address in use is asked for again; netd adds a part of its own, so that two differ
    check_every_s: float = 30.0  # who took our address later is found within this


REAL: Final = Timing()

SLACK_S: Final = 0.1
"""A look that comes this much early still counts: looks are a second apart, but no clock is that even."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One address on its way to be ours: probed, then owned; or in use by `taken_by`, tried again at `next_at`."""

    address: IPv4Address
    next_at: float
    probes_sent: int = 0
    owned: bool = False
    taken_by: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen since the last time: the cable, the latest word of the DHCP client, ARP frames."""

    carrier: bool
    dhcp: Lease | Refused | None = None
    claimed: tuple[Claimed, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered."""

    settings: NetworkSettings
    asking_since: float
    carrier: bool = False
    round: int = 0
    lease: Lease | None = None
    fallback: bool = False
    fallback_until: float = math.inf
    claims: tuple[Claim, ...] = ()

    def claim(self, address: IPv4Address) -> Claim | None:
        return next((claim for claim in self.claims if claim.address == address), None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should be. `ask`: the DHCP client should run, begun anew whenever the number changes; None: not at all,
    because the address is static or no cable has been in yet.
    """

    addresses: tuple[IPv4Interface, ...] = ()
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    ntp: tuple[str, ...] = ()
    domain: str = ""
    ask: int | None = None
    probe: tuple[IPv4Address, ...] = ()
    conflicts: tuple[tuple[str, str], ...] = ()
    source: str = "none"  # static, lease, fallback or none: where the first address comes from


def begin(
    settings: NetworkSettings, now: float, *, asking_since: float | None = None, owned: tuple[IPv4Address, ...] = ()
) -> State:
    """When power comes.

    A netd that starts again within one boot goes on from what the last one published: since when it was asking, and
    which addresses were its own, so that nobody's connection is cut.
    """
    claims = tuple(Claim(address, next_at=now, owned=True) for address in owned)
    return State(settings, now if asking_since is None else asking_since, claims=claims)


def changed(state: State, settings: NetworkSettings, now: float) -> State:
    """When other settings come. Addresses that stay are not asked for again."""
    if (settings.mode, settings.address) == (state.settings.mode, state.settings.address):
        return replace(state, settings=settings)
    return replace(
        begin(settings, now, owned=tuple(claim.address for claim in state.claims if claim.owned)),
        carrier=state.carrier,
        round=state.round + 1,
    )


def decide(state: State, facts: Facts, now: float, timing: Timing = REAL) -> tuple[State, Wanted]:
    """The next state, and what should be from now on."""
    state = _cable(state, facts, now)
    if state.settings.mode == "dhcp":
        state = _lease(state, facts, now, timing)
    state = _fallback(state, now, timing)
    turns = [_claim(state, address, facts, now, timing) for address in _sought(state, now, timing)]
    state = replace(state, claims=tuple(claim for claim, _ in turns))
    return state, _wanted(state, tuple(claim.address for claim, probe in turns if probe))


def _confirmed(state: State) -> bool:
    """A server has answered since we last began to ask."""
    return state.lease is not None and state.lease.at >= state.asking_since


def _cable(state: State, facts: Facts, now: float) -> State:
    if not facts.carrier or state.carrier:
        return replace(state, carrier=facts.carrier)
    asking_since = now if _confirmed(state) else state.asking_since
    return replace(state, carrier=True, round=state.round + 1, asking_since=asking_since)


def _lease(state: State, facts: Facts, now: float, timing: Timing) -> State:
    heard, lease = facts.dhcp, state.lease
    if isinstance(heard, Lease) and (lease is None or heard.at > lease.at) and now < heard.ends_at:
        return replace(state, lease=heard)
    if lease is not None and isinstance(heard, Refused) and heard.at > lease.at:
        return replace(state, lease=None, asking_since=now)
    if lease is not None and now >= lease.ends_at:
        return replace(state, lease=None, asking_since=now - timing.dhcp_s)
    return state


def _fallback(state: State, now: float, timing: Timing) -> State:
    if state.settings.address is not None:
        own = state.claim(state.settings.address.ip)
        return replace(state, fallback=own is not None and not own.owned and own.taken_by != "")
    if not _confirmed(state):
        late = now >= state.asking_since + timing.dhcp_s
        return replace(state, fallback=state.fallback or late, fallback_until=math.inf)
    if not state.fallback or now >= state.fallback_until:
        return replace(state, fallback=False, fallback_until=math.inf)
    return replace(state, fallback_until=min(state.fallback_until, now + timing.overlap_s))


def _sought(state: State, now: float, timing: Timing) -> list[IPv4Address]:
    """The addresses to be claimed. A leased one is not among them: the DHCP client asks the wire itself."""
    sought = [state.settings.address.ip] if state.settings.address is not None else []
    ahead_s = timing.probes * timing.probe_every_s  # so that the fallback is there when it is due, not after
    if state.lease is not None and _confirmed(state):
        due_at = state.lease.ends_at
    else:
        due_at = state.asking_since + timing.dhcp_s
    due = state.settings.mode == "dhcp" and now >= due_at - ahead_s
    leased = state.lease is not None and state.lease.address.ip == FALLBACK.ip
    if (state.fallback or due) and FALLBACK.ip not in sought and not leased:
        sought.append(FALLBACK.ip)
    return sought


def _claim(state: State, address: IPv4Address, facts: Facts, now: float, timing: Timing) -> tuple[Claim, bool]:
    """The claim's next step, and whether to probe now."""
    claim = state.claim(address) or Claim(address, next_at=now)
    # An owner's kernel answers those who ask; only two who ask at the same time have to give way to each other.
    rivals = [seen.by for seen in facts.claimed if seen.address == address and not (seen.probing and claim.owned)]
    waiting = not claim.owned and claim.taken_by != "" and claim.probes_sent == 0
    if rivals and claim.owned and address != FALLBACK.ip:
        return replace(claim, taken_by=rivals[0], probes_sent=0), False
    if rivals and not waiting:
        return Claim(address, now + timing.retry_s, taken_by=rivals[0]), False
    if not state.carrier:
        return (claim if claim.owned else replace(claim, probes_sent=0)), False
    if now < claim.next_at - SLACK_S:
        return claim, False
    if claim.owned:
        answered = claim.probes_sent == 0  # since the check before this one
        taken_by = claim.taken_by if answered else ""
        return replace(claim, next_at=now + timing.check_every_s, probes_sent=1, taken_by=taken_by), True
    if claim.probes_sent < timing.probes:
        return replace(claim, next_at=now + timing.probe_every_s, probes_sent=claim.probes_sent + 1), True
    return Claim(address, now + timing.check_every_s, owned=True), False


def _wanted(state: State, probe: tuple[IPv4Address, ...]) -> Wanted:
    settings, lease = state.settings, state.lease
    owned = {claim.address for claim in state.claims if claim.owned}
    addresses: list[tuple[str, IPv4Interface]] = []
    if settings.address is not None and settings.address.ip in owned:
        addresses.append(("static", settings.address))
    if lease is not None:
        addresses.append(("lease", lease.address))
    routed = bool(addresses)
    if state.fallback and FALLBACK.ip in owned:
        addresses.append(("fallback", FALLBACK))
    return Wanted(
        addresses=tuple(address for _, address in addresses),
        router=(lease.router if lease else settings.router) if routed else None,
        dns=settings.dns or (lease.dns if lease else ()),
        ntp=settings.ntp or (lease.ntp if lease else ()),
        domain=lease.domain if lease else "",
        ask=state.round if settings.mode == "dhcp" and state.round else None,
        probe=probe,
        conflicts=tuple((str(claim.address), claim.taken_by) for claim in state.claims if claim.taken_by),
        source=addresses[0][0] if addresses else "none",
    )
