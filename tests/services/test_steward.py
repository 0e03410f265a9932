"""gatewayd's wish to a rude, slow or silent stewardd. The real one: tests/hal/test_stewardd.py."""

import json
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gatewayd.services.steward import PATIENCE_S, set_clock


async def answering(path: Path, answer: bytes | None, nursery: trio.Nursery) -> list[bytes]:
    """A steward that takes one line and gives this answer; None: none, ever."""
    heard: list[bytes] = []
    listening = trio.socket.socket(trio.socket.AF_UNIX)
    await listening.bind(str(path))
    listening.listen()

    async def serve() -> None:
        caller, _ = await listening.accept()
        stream = trio.SocketStream(caller)
        heard.append(bytes(await stream.receive_some(4096)))
        if answer is None:
            await trio.sleep_forever()
        await stream.send_all(answer or b"")
        await stream.aclose()

    nursery.start_soon(serve)
    return heard


async def test_the_wish_as_it_goes_over_the_wire(tmp_path: Path, nursery: trio.Nursery) -> None:
    heard = await answering(tmp_path / "s", b'{"answer": "done", "text": ""}\n', nursery)
    assert await set_clock(1_800_000_000.0, str(tmp_path / "s")) == ""
    assert heard[0].endswith(b"\n")
    assert json.loads(heard[0]) == {"wish": "set_clock", "epoch_s": 1_800_000_000.0}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b'{"answer": "refused", "text": "a time server is heard"}\n', "refused: a time server is heard"),
        (b'{"answer": "failed", "text": "chronyc: 500"}\n', "failed: chronyc: 500"),
        (b"", "stewardd hung up"),
        (b'{"answer"', "stewardd hung up"),
        (b"nonsense\n", "stewardd said what nobody understands"),
        (b"[]\n", "stewardd said what nobody understands"),
        (b"{}\n", "stewardd said what nobody understands"),
        (b"x" * 10_000, "stewardd said what nobody understands"),
    ],
)
async def test_why_the_clock_is_not_set(answer: bytes, why: str, tmp_path: Path, nursery: trio.Nursery) -> None:
    await answering(tmp_path / "s", answer, nursery)
    assert await set_clock(1_800_000_000, str(tmp_path / "s")) == why


async def test_silence_is_waited_for_only_so_long(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await answering(tmp_path / "s", None, nursery)
    begun = trio.current_time()
    assert await set_clock(1_800_000_000, str(tmp_path / "s")) == "stewardd does not answer"
    assert trio.current_time() - begun == pytest.approx(PATIENCE_S)
    nursery.cancel_scope.cancel()
