"""netd with a real kernel, a real DHCP client and real servers (manual 4, promises R21).

All wires run at the same time, because most of their time is waiting: the file takes as long as its longest story.
"""

import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final

import pytest
import trio

from tests.root.wire import Wire, run

FALLBACK: Final = "192.168.100.246/24"
SERVER: Final = "10.9.0.1/24"
RANGE: Final = ("10.9.0.100", "10.9.0.150")

TIMES: Final = int(os.environ.get("GATEWAY_R21_TIMES", "1"))
"""How often the stories of promise R21 are told; `make test-promises` says 3, the release more."""

Story = Callable[[Wire], Awaitable[None]]
STORIES: dict[str, Story] = {}


def story(tell: Story) -> Story:
    STORIES[tell.__name__] = tell
    return tell


def promised(tell: Story) -> Story:
    """A story of R21, told TIMES times."""
    STORIES.update({f"{tell.__name__} {n}": tell for n in range(1, TIMES + 1)})
    return tell


@promised
async def with_a_server_there_is_a_lease_and_never_the_fallback(wire: Wire) -> None:
    server = await wire.machine(SERVER)
    server.serve_dhcp(*RANGE, "--dhcp-option=option:dns-server,10.9.0.53", "--dhcp-option=option:ntp-server,10.9.0.9")
    wire.power_on()
    assert await wire.has("10.9.0.1", within=10) < 10
    while wire.now < 45:
        addresses = await wire.addresses()
        assert FALLBACK not in addresses, wire.story("the fallback came beside a lease")
        assert len(addresses) == 1, wire.story(f"{addresses}")
        await trio.sleep(0.5)
    assert await wire.router() == "10.9.0.1"
    facts = wire.facts()
    assert (facts["source"], facts["router"], facts["dhcp_server"]) == ("lease", "10.9.0.1", "10.9.0.1")
    assert (wire.run / "resolv.conf").read_text() == "# written by netd\nnameserver 10.9.0.53\n"
    assert (wire.run / "ntp.sources").read_text() == "server 10.9.0.9 iburst\n"


@promised
async def without_a_server_the_fallback_comes_at_thirty_seconds_and_stays(wire: Wire) -> None:
    wire.power_on()
    came = await wire.has(FALLBACK, within=40)
    assert 28 <= came <= 32, wire.story(f"the fallback came at {came:.1f} s")
    await wire.keeps(FALLBACK, 30)
    assert wire.facts()["source"] == "fallback"
    engineer = await wire.machine("192.168.100.7/24")
    await engineer.execute("busybox", "ping", "-c", "1", "-W", "2", "192.168.100.246")


@promised
async def a_late_lease_wins_and_the_fallback_stays_sixty_seconds_more(wire: Wire) -> None:
    server = await wire.machine(SERVER)
    wire.power_on()
    await wire.has(FALLBACK, within=40)
    await wire.until(38)
    server.serve_dhcp(*RANGE)
    began = wire.now
    leased = await wire.has("10.9.0.1", within=30)
    assert leased - began <= 30
    assert FALLBACK in await wire.addresses()
    assert await wire.router() == "10.9.0.1"
    gone = await wire.lacks(FALLBACK, within=70)
    assert 57 <= gone - leased <= 64, wire.story(f"the fallback stayed {gone - leased:.1f} s")
    await wire.keeps("10.9.0.1", 5)


@promised
async def a_flapping_cable_does_not_put_the_fallback_off(wire: Wire) -> None:
    wire.power_on()
    while wire.now < 26:
        await wire.cable(False)
        await trio.sleep(1.5)
        await wire.cable(True)
        await trio.sleep(3.5)
    came = await wire.has(FALLBACK, within=20)
    assert 28 <= came <= 36, wire.story(f"the fallback came at {came:.1f} s")


@promised
async def a_flapping_server_ends_in_a_lease(wire: Wire) -> None:
    server = await wire.machine(SERVER)
    wire.power_on()
    for _ in range(5):
        dnsmasq = server.serve_dhcp(*RANGE)
        await trio.sleep(1.2)
        dnsmasq.kill()
        dnsmasq.wait()
        await trio.sleep(6)
    server.serve_dhcp(*RANGE)
    await wire.has("10.9.0.1", within=30)
    await wire.lacks(FALLBACK, within=70)
    await wire.keeps("10.9.0.1", 5)


@story
async def two_servers_give_one_lease(wire: Wire) -> None:
    for address, first, last in ((SERVER, *RANGE), ("10.8.0.1/24", "10.8.0.100", "10.8.0.150")):
        server = await wire.machine(address)
        server.serve_dhcp(first, last)
    wire.power_on()
    await wire.has("10.", within=10)
    lease = await wire.addresses()
    while wire.now < 50:
        assert await wire.addresses() == lease, wire.story(f"first {lease}")
        await trio.sleep(0.5)


@story
async def a_lease_that_nobody_renews_ends_and_the_fallback_comes_without_a_gap(wire: Wire) -> None:
    server = await wire.machine(SERVER)
    dnsmasq = server.serve_dhcp(*RANGE, lease="2m")  # dnsmasq gives none shorter
    wire.power_on()
    leased = await wire.has("10.9.0.1", within=10)
    dnsmasq.kill()
    dnsmasq.wait()
    while wire.now < leased + 128:
        addresses = await wire.addresses()
        assert addresses, wire.story("no address at all")
        if wire.now < leased + 115:
            assert FALLBACK not in addresses
        await trio.sleep(0.2)
    assert await wire.addresses() == [FALLBACK]
    assert await wire.router() is None


@story
async def a_cable_out_and_in_keeps_the_lease(wire: Wire) -> None:
    server = await wire.machine(SERVER)
    server.serve_dhcp(*RANGE)
    wire.power_on()
    await wire.has("10.9.0.1", within=10)
    lease = await wire.addresses()
    await wire.cable(False)
    await wire.keeps("10.9.0.1", 5)
    assert wire.facts()["carrier"] is False
    await wire.cable(True)
    await wire.keeps("10.9.0.1", 45)
    assert await wire.addresses() == lease
    assert await wire.router() == "10.9.0.1"


@story
async def a_cable_moved_to_another_network_gets_the_new_lease(wire: Wire) -> None:
    old = await wire.machine(SERVER)
    old.serve_dhcp(*RANGE)
    wire.power_on()
    await wire.has("10.9.0.1", within=10)
    await wire.cable(False)
    old.stop()
    new = await wire.machine("10.7.0.1/24")
    new.serve_dhcp("10.7.0.100", "10.7.0.150")
    await trio.sleep(2)
    await wire.cable(True)
    await wire.has("10.7.0.1", within=15)
    assert len(await wire.addresses()) == 1
    assert await wire.router() == "10.7.0.1"


@story
async def a_static_address_is_there_at_once_and_no_server_is_asked(wire: Wire) -> None:
    server = await wire.machine(SERVER)
    server.serve_dhcp(*RANGE)
    wire.configuration.write_text(
        '[network]\nmode = "static"\naddress = "10.9.0.20/24"\nrouter = "10.9.0.1"\ndns = ["10.9.0.53"]\n'
    )
    wire.power_on()
    assert await wire.has("10.9.0.20/24", within=8) < 8
    await wire.until(40)
    assert await wire.addresses() == ["10.9.0.20/24"]
    assert await wire.router() == "10.9.0.1"
    assert b"DHCPDISCOVER" not in (wire.directory / "dnsmasq").read_bytes()


@story
async def a_static_address_in_use_is_reported_and_the_fallback_stands_in(wire: Wire) -> None:
    chiller = await wire.machine("10.9.0.20/24")
    wire.configuration.write_text('[network]\nmode = "static"\naddress = "10.9.0.20/24"\n')
    wire.power_on()
    await wire.has(FALLBACK, within=15)
    assert await wire.addresses() == [FALLBACK]
    assert [conflict["address"] for conflict in wire.facts()["conflicts"]] == ["10.9.0.20"]
    await chiller.leave("10.9.0.20/24")
    await wire.has("10.9.0.20/24", within=30)
    assert wire.facts()["conflicts"] == []


@story
async def the_fallback_in_use_is_left_alone_and_reported(wire: Wire) -> None:
    other = await wire.machine("192.168.100.246/24")
    wire.power_on()
    await wire.until(40)
    assert await wire.addresses() == []
    conflicts = wire.facts()["conflicts"]
    assert [conflict["address"] for conflict in conflicts] == ["192.168.100.246"]
    assert len(conflicts[0]["mac"]) == 17
    await other.leave("192.168.100.246/24")
    await wire.has(FALLBACK, within=30)


@story
async def what_somebody_else_changes_is_repaired(wire: Wire) -> None:
    server = await wire.machine(SERVER)
    server.serve_dhcp(*RANGE)
    wire.power_on()
    await wire.has("10.9.0.1", within=10)
    (lease,) = await wire.addresses()
    await wire.gateway.execute("ip", "addr", "del", lease, "dev", "eth0")
    await wire.has(lease, within=3)
    await wire.gateway.execute("ip", "addr", "add", "172.16.0.1/16", "dev", "eth0")
    await wire.lacks("172.16", within=3)
    await wire.gateway.execute("ip", "link", "set", "eth0", "down")
    await trio.sleep(3)
    assert await wire.addresses() == [lease]
    assert await wire.router() == "10.9.0.1"


@story
async def a_netd_that_is_killed_and_started_again_cuts_nobody_off(wire: Wire) -> None:
    wire.power_on()
    await wire.has(FALLBACK, within=40)
    assert wire.netd is not None
    wire.netd.kill()
    wire.netd.wait()
    wire.power_on()
    await wire.keeps(FALLBACK, 40)


@story
async def a_netd_that_is_stopped_leaves_its_address_and_no_client(wire: Wire) -> None:
    server = await wire.machine(SERVER)
    server.serve_dhcp(*RANGE)
    wire.power_on()
    await wire.has("10.9.0.1", within=10)
    assert wire.netd is not None
    wire.netd.terminate()
    assert await trio.to_thread.run_sync(wire.netd.wait) == 0
    assert (await run("ip", "netns", "pids", wire.gateway.name)).split() == []
    await wire.keeps("10.9.0.1", 2)


@story
async def settings_on_trial_come_and_go_by_themselves(wire: Wire) -> None:
    wire.configuration.write_text('[network]\nmode = "static"\naddress = "10.9.0.20/24"\n')
    wire.power_on()
    await wire.has("10.9.0.20/24", within=8)
    until = time.clock_gettime(time.CLOCK_BOOTTIME) + 12
    network = {"mode": "static", "address": "10.9.0.30/24"}
    wire.trial.write_text(json.dumps({"until": until, "network": network}))
    came = await wire.has("10.9.0.30/24", within=8)
    await wire.lacks("10.9.0.20/24", within=2)
    back = await wire.has("10.9.0.20/24", within=20)
    assert back - came < 16
    await wire.lacks("10.9.0.30/24", within=2)


@pytest.fixture(scope="module")
def told() -> dict[str, BaseException | None]:
    """Every story, told at the same time; what went wrong with each."""
    ends: dict[str, BaseException | None] = {}

    async def tell(name: str) -> None:
        try:
            async with Wire() as wire:
                await STORIES[name](wire)
            ends[name] = None
        except Exception as wrong:  # each story's end is a test of its own
            ends[name] = wrong

    async def all_at_once() -> None:
        async with trio.open_nursery() as nursery:
            for name in STORIES:
                nursery.start_soon(tell, name)

    trio.run(all_at_once)
    return ends


@pytest.mark.parametrize("name", STORIES)
def test_story(told: dict[str, BaseException | None], name: str) -> None:
    wrong = told[name]
    if wrong is not None:
        raise wrong
