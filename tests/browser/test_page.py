"""The page in Chromium, in front of a real gateway, a real webd and simulated charge points (experience.md; R28)."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import trio

from tests.browser.plant import PASSWORD, Plant, charge_points, standing
from tests.process.daemon import QUICK
from tests.simulator.charge_point import ChargePoint, Traits, Vehicle

INTERACTIONS_MOST = 7
FILTER_MS = 100
LAG_MS = 500
FIRST_LOAD_BYTES = 100_000
LARGE_SITE = 15_000
VIEWERS = 20
FRAMES_SEEN = 25


@asynccontextmanager
async def alive(*some: ChargePoint) -> AsyncIterator[None]:
    """Simulated charge points, dialling and charging."""
    async with trio.open_nursery() as nursery:
        for one in some:
            await nursery.start(one.run)
        yield
        nursery.cancel_scope.cancel()


async def registered(plant: Plant, *identities: str) -> None:
    """Waits until the gateway has accepted them."""
    bms = await plant.bms()
    with trio.fail_after(60):
        for number, _identity in enumerate(identities, 1):
            while not (await bms.client.read_registers(3000 * number + 1, 1))[0]:  # noqa: ASYNC110 - another process
                await trio.sleep(0.1)
    await bms.write("decision_default", 1)  # nobody here decides: whoever holds a card may charge, and soon
    await bms.write("decision_timeout", 10)
    await bms.client.close()


async def test_seven_interactions_from_unclaimed_to_a_register_that_moves(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    async with standing(plant, claimed=False), alive(plant.charge_point("WALLBOX-1")):
        seen = await plant.browse("first_register")
    assert seen["first"] == "/claim"
    assert len(seen["done"]) <= INTERACTIONS_MOST, seen["done"]
    assert len(seen["values"]) >= 3, seen
    assert seen["names"][0] == "gateway_heartbeat"
    assert "status" in seen["names"]
    assert 'identity = "WALLBOX-1"' in plant.config.read_text()


@pytest.mark.alone
async def test_fifteen_thousand_points_are_filtered_at_once_and_one_is_written(tmp_path: Path) -> None:
    plant = Plant(tmp_path, charge_points(20, 7))
    async with standing(plant):
        seen = await plant.browse("filter")
        bms = await plant.bms()
        assert await bms.client.read_registers(15, 1) == [75]
        await bms.client.close()
    assert seen["all"] >= LARGE_SITE
    shown = {one["text"]: one["shown"] for one in seen["took"]}
    assert shown[""] == seen["all"]
    assert shown["zzz"] == 0
    assert shown["21666"] >= 1  # charge point 7, connector 2, power_active_import_w (modbus.md, Addresses)
    assert 0 < shown["power_l1_w cp007"] < shown["power"] < seen["all"]
    # The median: what a key press costs, and not what else the machine did at one of them.
    took = statistics.median(one["script_ms"] for one in seen["took"])
    assert took < FILTER_MS, seen["took"]
    assert seen["painted"] < 120, "rows out of sight are elements too"
    print(f"filter at {seen['all']} rows: median {took:.1f} ms of {FILTER_MS}")


@pytest.mark.alone
async def test_the_viewer_is_live_while_twenty_watch(tmp_path: Path) -> None:
    plant = Plant(tmp_path, charge_points(2, 2))
    ones = [plant.charge_point(f"CP{n:03}", HeartbeatInterval="1") for n in (1, 2)]
    async with standing(plant), alive(*ones), trio.open_nursery() as nursery:
        await registered(plant, "CP001", "CP002")
        for one in ones:
            one.plug(1, Vehicle())
            one.present_tag_soon("DRIVER001", 1)
            nursery.start_soon(talk, one)
        cookie = await trio.to_thread.run_sync(log_in, plant.url)
        for _ in range(VIEWERS - 1):
            nursery.start_soon(watch, plant.url, cookie)
        seen = await plant.browse("viewer", frames=FRAMES_SEEN)
        nursery.cancel_scope.cancel()
    lag = statistics.median(seen["lags"])
    assert len(seen["lags"]) >= FRAMES_SEEN
    assert -1 <= lag <= LAG_MS, seen["lags"]  # the browser's clock counts whole milliseconds
    assert seen["took"].endswith(" ms")
    assert seen["during"] == seen["before"]
    assert seen["actions"] == ["Heartbeat"]
    lines = [json.loads(line) for line in seen["exported"]]
    assert lines
    assert {line["direction"] for line in lines} == {"in", "out"}
    assert all(json.loads(line["frame"])[0] in (2, 3) for line in lines)
    print(f"viewer lag beside {VIEWERS - 1} others: median {lag:.0f} ms, worst {max(seen['lags']):.0f} ms of {LAG_MS}")


async def talk(one: ChargePoint) -> None:
    """A charge point that says something ten times a second, and when it says it."""
    while True:
        await one.ask("Heartbeat", {})
        await one.ask("DataTransfer", {"vendorId": "clock", "data": f"{time.time():.6f}"})
        await trio.sleep(0.2)


def log_in(url: str) -> str:
    """A session of the API's: the cookie."""
    body = json.dumps({"user": "admin", "password": PASSWORD}).encode()
    request = Request(f"{url}api/v1/session", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        cookie: str = answer.headers["Set-Cookie"].partition(";")[0]
    return cookie


async def watch(url: str, cookie: str) -> None:
    """One more who watches the frames, as quickly as they come."""
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    await stream.send_all(f"GET /frames/stream HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n".encode())
    first = True
    while data := await stream.receive_some(65536):
        assert not first or data.startswith(b"HTTP/1.1 200"), data[:200]
        first = False


async def test_the_first_load_is_light_and_needs_no_other_host(tmp_path: Path) -> None:
    plant = Plant(tmp_path, charge_points(2, 2))
    async with standing(plant):
        seen = await plant.browse("weight")
    total = sum(size for _url, size in seen["sizes"])
    assert total <= FIRST_LOAD_BYTES, seen["sizes"]
    assert not seen["foreign"]
    print(f"first load, login and overview: {total} bytes of {FIRST_LOAD_BYTES}")


async def test_every_page_is_for_everyone(tmp_path: Path) -> None:
    plant = Plant(tmp_path, charge_points(3, 2))
    ones = [plant.charge_point("CP001"), plant.charge_point("CP002")]
    stranger = plant.charge_point("WALLBOX-0042")
    async with standing(plant), alive(*ones, stranger), trio.open_nursery() as nursery:
        await registered(plant, "CP001", "CP002")
        ones[0].plug(1, Vehicle())
        ones[0].present_tag_soon("DRIVER001", 1)
        ones[1].fault(2, "GroundFailure", "E-42", "residual current")
        nursery.start_soon(talk, ones[0])
        seen = await plant.browse("look")
        nursery.cancel_scope.cancel()
    assert not seen["violations"], json.dumps(seen["violations"], indent=1)
    assert not seen["complaints"], seen["complaints"]
    assert not seen["wide"], seen["wide"]
    print(f"axe: {seen['looked']} looks without a violation; pictures in build/screens")


async def test_the_keyboard_is_enough(tmp_path: Path) -> None:
    plant = Plant(tmp_path, charge_points(1, 2))
    async with standing(plant), alive(plant.charge_point("WALLBOX-7")):
        seen = await plant.browse("keyboard")
    assert not seen["missed"], seen["missed"]
    assert not seen["unseen"], seen["unseen"]
    assert seen["skipped"] == "main"
    assert "9.5" in seen["written"]
    print(f"keyboard: {seen['reached']} controls reached")


# --- R28: what charge points and BMS say is text

MARK = "<x-c>"
IMAGE = "<img data-canary src=x onerror=canary=1>"
NAMEPLATE = Traits(
    vendor="<x-c>Vendor", model='"><x-c>Model', serial="<x-c onclick=a()>Se", firmware=IMAGE, meter_type="<x-c>Type"
)
KNOCKER = "<img data-canary src=x onerror=canary=1>"
CONFIGURATION = """
[gateway]
name = "<x-c>Plant"
[[charge_point]]
number = 1
identity = "<x-c>CP1"
connectors = 2
default_id_tag = "<x-c>TAG"
"""


def hostile(plant: Plant, identity: str) -> ChargePoint:
    """A charge point whose every text is markup."""
    one = plant.charge_point(identity)
    one.traits = replace(QUICK, vendor=NAMEPLATE.vendor, model=NAMEPLATE.model, serial=NAMEPLATE.serial,
                         firmware=NAMEPLATE.firmware, meter_type=NAMEPLATE.meter_type)  # fmt: skip
    return one


PAGES = {
    "/": ["<x-c>Plant", "<x-c>CP1", "<x-c>Vendor", '"><x-c>Model', "<x-c>DRIVER", "<x-c>vendor error", KNOCKER],
    "/charge-points": ["<x-c>CP1", "<x-c>Vendor", KNOCKER],
    "/charge-points/1": ["<x-c>CP1", "<x-c>Vendor", '"><x-c>Model', "<x-c onclick=a()>Se", IMAGE],
    "/why": [KNOCKER],
    "/points": ["<x-c>START"],
    "/frames": ["<x-c>DRIVER", IMAGE],
    "/settings": ["<x-c>Plant"],
    "/audit": ["<x-c>START"],
    "/about": ["<x-c>Plant"],
    "/welcome/charge-point": [KNOCKER],
}
"""Page → what must be read there, letter by letter: a canary that is not shown proves nothing."""


async def canaries(plant: Plant, patience_ms: int = 20_000) -> dict[str, list[str]]:
    """Lets markup in from every side, and walks through the pages."""
    one, stranger = hostile(plant, "<x-c>CP1"), hostile(plant, KNOCKER)
    async with standing(plant), alive(one, stranger), trio.open_nursery() as nursery:
        await registered(plant, "<x-c>CP1")
        one.plug(1, Vehicle())
        one.present_tag_soon("<x-c>DRIVER", 1)
        one.fault(2, "OtherError", "<x-c>vendor error", IMAGE)
        nursery.start_soon(call_names, one)
        await plant.browse("write_text")
        told = {"pages": PAGES, "search": "start_id_tag cp01 connector 1", "patience_ms": patience_ms}
        seen: dict[str, list[str]] = await plant.browse("canaries", **told)
        nursery.cancel_scope.cancel()
    return seen


async def call_names(one: ChargePoint) -> None:
    """Frames with markup, again and again: whoever opens the viewer sees them."""
    while True:
        payload = {"vendorId": "<x-c>DRIVER", "messageId": "<x-c>m", "data": IMAGE}
        await one.ask("DataTransfer", payload)
        await trio.sleep(0.5)


async def test_markup_from_charge_points_and_bms_stays_text(tmp_path: Path) -> None:
    seen = await canaries(Plant(tmp_path, CONFIGURATION))
    assert not seen["run"], seen
    assert not seen["parsed"], seen
    assert not seen["blocked"], seen
    assert not seen["unread"], seen


async def test_a_page_that_does_not_escape_is_found_out(tmp_path: Path) -> None:
    """The twin: webd with escaping and Content-Security-Policy taken away."""
    broken = [sys.executable, "-m", "tests.browser.careless_webd"]
    seen = await canaries(Plant(tmp_path, CONFIGURATION, web_program=broken), patience_ms=500)
    assert seen["parsed"], seen
    assert seen["run"], seen
