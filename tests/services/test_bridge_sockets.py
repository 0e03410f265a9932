"""The bridge's edges on real sockets with little room: what is posted at once is whole, in order, never forgotten."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import trio

from gatewayd.services import ocpp_upstream
from tests.services.ocpp_peer import TEXT, Peer, frame, request, within
from tests.services.test_ocpp_upstream import house

LITTLE_ROOM = 4096
SIZES = (10, 150_000, 20, 90_000, 90_000, 30)
"""What fits the socket, and what the kernel takes a part of."""


def pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Both ends of one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ends = socket.create_connection(server.getsockname()), server.accept()[0]
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LITTLE_ROOM)
    ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in ends)
    return ours, theirs


def messages(who: str) -> list[str]:
    return [
        json.dumps([2, f"{who}{n}", "DataTransfer", {"vendorId": "v", "data": who * size}])
        for n, size in enumerate(SIZES)
    ]


async def test_long_and_short_messages_pass_whole_and_in_order_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocpp_upstream, "PING_INTERVAL_S", 600.0)  # a ping would take along what was left

    def dial() -> Any:
        ours, theirs = pair()
        all_of.nursery.start_soon(all_of.central.handle, theirs)

        async def opened() -> trio.SocketStream:
            return ours

        return opened()

    with within(60.0):
        async with house(opener=dial) as all_of:
            ours, theirs = pair()
            all_of.nursery.start_soon(all_of.it.listener.connection, theirs)
            peer = Peer(ours)
            assert await peer.upgrade(request(b"/ocpp/CP001")) == 101
            await all_of.until(lambda: "CP001" in all_of.central.links)
            link = all_of.central.links["CP001"]

            for text in messages("u"):
                await peer.send(frame(TEXT, text.encode()))
                assert (await peer.message())[1] == json.loads(text)[1]
            assert [len(call["data"]) for call in all_of.central.calls("DataTransfer")] == list(SIZES)

            async def say(texts: list[str]) -> None:
                for text in texts:
                    await link.send_raw(text)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(say, messages("d"))
                for text in messages("d"):
                    assert await peer.message() == json.loads(text)
            for text in messages("e"):  # one at a time: the writer sleeps when each comes
                await link.send_raw(text)
                assert await peer.message() == json.loads(text)
            ours.socket.close()
