"""When nft is asked, and what is said when it refuses. nft itself is a script here; the real one is in tests/root."""

from pathlib import Path

import pytest

from hal.packet_filter import AGAIN_S, PacketFilter


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What nft was given, a line each time; it refuses rules with `bad` in them unless `mended` is there."""
    log, script = tmp_path / "asked", tmp_path / "nft"
    log.touch()
    script.write_text(
        f'#!/bin/sh\nread rules\necho "$* $rules" >>{log}\n[ -e {tmp_path}/mended ] && exit 0\n'
        'case "$rules" in *bad*) echo "line 1: no" >&2; exit 1 ;; esac\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return log


def rows(log: Path) -> list[str]:
    return log.read_text().splitlines()


def test_rules_are_loaded_when_they_change(asked: Path) -> None:
    kept = PacketFilter()
    for now, rules in enumerate(["one\n", "one\n", "two\n", "two\n", "one\n"]):
        kept.keep(rules, float(now))
    assert rows(asked) == ["-f - one", "-f - two", "-f - one"]
    assert kept.fault == ""


def test_what_is_refused_is_said_and_tried_again_later(asked: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = PacketFilter()
    kept.keep("good\n", 0.0)
    for now in (1.0, 2.0, AGAIN_S):
        kept.keep("bad\n", now)
    assert kept.fault == "line 1: no"
    assert rows(asked) == ["-f - good", "-f - bad"]
    kept.keep("bad\n", 1.0 + AGAIN_S)
    assert len(rows(asked)) == 3
    assert caplog.text.count("stays as it was") == 1
    (asked.parent / "mended").touch()
    kept.keep("bad\n", 1.0 + 2 * AGAIN_S)
    assert kept.fault == ""


def test_going_back_to_the_rules_that_hold_is_no_fault(asked: Path) -> None:
    kept = PacketFilter()
    for rules in ("good\n", "bad\n", "good\n"):
        kept.keep(rules, 0.0)
    assert kept.fault == ""
    assert rows(asked) == ["-f - good", "-f - bad"]


def test_without_nft_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    kept = PacketFilter()
    kept.keep("good\n", 0.0)
    assert "nft" in kept.fault
