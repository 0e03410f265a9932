"""Times as charge points write them ("charge_point_quirks.md", B6, B7), and as they are sent."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.site import timestamp

# 2026-11-22T10:17:30Z, by `date -u -d 2026-11-22T10:17:30Z +%s`.
NOON = 1795342650


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("2026-11-22T10:17:30Z", NOON),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59Z", -1),
        ("2024-02-29T23:59:59Z", 1709251199),
        ("  2026-11-22T10:17:30Z\n", NOON),
        ("2026-11-22T10:17:30", NOON),
        ("2026-11-22 10:17:30", NOON),
        ("2026-11-22t10:17:30z", NOON),
        ("2026-11-22T10:17:30 Z", NOON),
        ("2026-11-22T10:17:30.5Z", NOON + 0.5),
        ("2026-11-22T10:17:30,5Z", NOON + 0.5),
        ("2026-11-22T10:17:30.377", NOON + 0.377),
        ("2026-11-22T10:17:30.123456789+02:00", NOON - 7200 + 0.123456789),
        ("2026-11-22T10:17:30." + "3" * 5000 + "Z", NOON + 1 / 3),
        ("2026-11-22T12:17:30+02", NOON),
        ("2026-11-22T12:17:30+0200", NOON),
        ("2026-11-22T12:17:30+02:00", NOON),
        ("2026-11-22T04:47:30-05:30", NOON),
        ("2026-11-22T10:17:30-00:00", NOON),
        ("2026-11-22T10:17Z", NOON - 30),
        ("2026-11-22T10:17", NOON - 30),
        ("2026-11-22T10:17:60Z", NOON + 30),
        ("0001-01-01T00:00:00+23:59", -62135596800 - 86340),
        ("9999-12-31T23:59:60-23:59", 253402300800 + 86340),
    ],
)
def test_what_can_be_read(text: str, epoch: float) -> None:
    assert timestamp.parse(text) == pytest.approx(epoch, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        "null",
        "now",
        "1795342650",
        "2026-11-22",
        "2026-11-22T",
        "20261122T101730Z",
        "2026-W47-7T10:17:30Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T10:60:00Z",
        "2026-11-22T10:17:61Z",
        "2026-02-30T10:17:30Z",
        "2026-02-30T10:17:30",
        "2026-13-01T10:17:30Z",
        "0000-01-01T00:00:00Z",
        "2026-11-22T10:17:30.Z",
        "2026-11-22T10:17:30+24:00",
        "2026-11-22T10:17:30+02:60",
        "2026-11-22T10:17:30+2",
        "2026-11-22T10:17:30ZZ",
        "2026-11-22T10:17:30Z+02",
        "2026-11-22T10.5Z",
        "２026-11-22T10:17:30Z",
        "2026-11-22X10:17:30Z",
    ],
)
def test_what_cannot_be_read(text: str | None) -> None:
    assert timestamp.parse(text) is None


@given(st.text() | st.text("0123456789-:.,TtZz+ ", max_size=40))
def test_parse_never_raises(text: str) -> None:
    epoch = timestamp.parse(text)
    assert epoch is None or isinstance(epoch, float)


@given(st.datetimes(timezones=st.timezones()))
def test_parse_agrees_with_the_library(when: datetime) -> None:
    when = when.replace(fold=0)
    try:
        expected = (when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
        text = when.isoformat()
    except OverflowError:  # a zone pushed it out of the years 1 to 9999
        return
    if (when.utcoffset() or 0) and when.utcoffset().seconds % 60:  # type: ignore[union-attr]
        return  # before railways zones differed by seconds, which no wire format can say
    assert timestamp.parse(text) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("epoch", "text"),
    [
        (NOON, "2026-11-22T10:17:30Z"),
        (NOON + 0.999999, "2026-11-22T10:17:30Z"),
        (0, "1970-01-01T00:00:00Z"),
        (-0.5, "1969-12-31T23:59:59Z"),
        (4294967295, "2106-02-07T06:28:15Z"),
        (-62135596800, "0001-01-01T00:00:00Z"),
    ],
)
def test_as_sent(epoch: float, text: str) -> None:
    assert timestamp.format_utc(epoch) == text
    assert timestamp.format_utc(epoch, fraction=True) == text.replace("Z", ".000Z")


@given(st.integers(-62135596800, 253402300799))
def test_what_is_sent_can_be_read(epoch: int) -> None:
    assert timestamp.parse(timestamp.format_utc(epoch)) == epoch
    assert timestamp.parse(timestamp.format_utc(epoch, fraction=True)) == epoch


@pytest.mark.parametrize("epoch", [-62135596801, 253402300800])
def test_beyond_the_calendar(epoch: int) -> None:
    with pytest.raises(OverflowError):
        timestamp.format_utc(epoch)


EARLIEST = 1577836800  # `date -u -d 2020-01-01 +%s`


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (NOON, (NOON, False)),
        (NOON - 86400 * 30, (NOON - 86400 * 30, False)),
        (NOON + 60, (NOON + 60, False)),
        (NOON + 60.001, (NOON, True)),
        (EARLIEST, (EARLIEST, False)),
        (EARLIEST - 0.001, (NOON, True)),
        (0, (NOON, True)),
        (None, (NOON, True)),
    ],
)
def test_which_stamps_are_trusted(epoch: float | None, expected: tuple[float, bool]) -> None:
    assert timestamp.trusted(epoch, NOON) == expected


@pytest.mark.parametrize(
    ("stamp", "shown", "older"),
    [
        (NOON, NOON, False),
        (NOON, NOON + 0.9, False),
        (NOON, NOON + 1, True),
        (NOON + 0.5, NOON + 0.9, True),
        (NOON + 0.9, NOON + 0.5, False),
        (NOON - 1, NOON + 0.9, True),
    ],
)
def test_a_stamp_of_whole_seconds_is_any_moment_of_that_second(stamp: float, shown: float, older: bool) -> None:
    assert timestamp.is_older(stamp, shown) == older
