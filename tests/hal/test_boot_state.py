"""The boot state: what U-Boot reads, what a cut leaves, and that a slot which started well has its tries back."""

from pathlib import Path

import pytest

from hal import boot_state
from hal.boot_state import COPIES, NEW, SECTOR, deadline, decode, encode, good, main, slot_of, tries_left

TRIED = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "0", "BOOT_B_LEFT": "2"}


@pytest.fixture
def partition(tmp_path: Path) -> Path:
    path = tmp_path / "bootstate"
    path.write_bytes(bytes(1 << 20))
    return path


def copies(partition: Path) -> list[dict[str, str] | None]:
    content = partition.read_bytes()
    return [decode(content[offset : offset + SECTOR]) for offset in COPIES]


def test_what_is_written_is_read() -> None:
    assert decode(encode(TRIED)) == TRIED
    assert len(encode(TRIED)) == SECTOR


def test_the_form_is_u_boots() -> None:
    """As `env export -c -s 0x200` writes it: CRC-32, little endian, over 508 bytes of strings."""
    sector = encode({"BOOT_ORDER": "A"})
    assert sector[4:].rstrip(b"\0") == b"BOOT_ORDER=A"
    assert sector[:4] == bytes.fromhex("fbe1dfc9"), "what mkenvimage says"


@pytest.mark.parametrize("position", [0, 3, 4, 20, 511])
def test_a_flipped_bit_is_no_state(position: int) -> None:
    sector = bytearray(encode(TRIED))
    sector[position] ^= 1
    assert decode(bytes(sector)) is None


@pytest.mark.parametrize(
    "sector", [b"", bytes(SECTOR), b"\xff" * SECTOR, encode(TRIED)[:-1]], ids=["empty", "zeros", "ones", "short"]
)
def test_what_is_no_state(sector: bytes) -> None:
    assert decode(sector) is None


def test_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        encode({"x": "y" * SECTOR})


def test_good_gives_back_tries_and_leaves_the_order() -> None:
    assert good(TRIED, "A") == {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "2"}
    assert good({"BOOT_ORDER": "B A"}, "B") == {"BOOT_ORDER": "B A", "BOOT_B_LEFT": "3"}


@pytest.mark.parametrize(
    ("line", "slot"),
    [
        ("root=PARTUUID=x rauc.slot=B ro\n", "B"),
        ("rauc.slot=A rauc.slot=B", "B"),
        ("rauc.slot=C", None),
        ("xrauc.slot=A", None),
        ("", None),
    ],
)
def test_the_slot_that_runs(line: str, slot: str | None) -> None:
    assert slot_of(line) == slot


def test_marking_writes_both_copies_and_then_nothing_more(partition: Path) -> None:
    partition.write_bytes(encode(TRIED) + partition.read_bytes()[SECTOR:])
    assert boot_state.mark_good(partition, "A")
    assert copies(partition) == [good(TRIED, "A")] * 2
    assert not boot_state.mark_good(partition, "A"), "a card is spared what it holds already"


def test_a_new_card_needs_nothing(partition: Path) -> None:
    assert not boot_state.mark_good(partition, "A")
    assert copies(partition) == [None, None]


def test_the_copy_counts_when_the_first_is_broken(partition: Path) -> None:
    content = bytearray(partition.read_bytes())
    content[COPIES[1] : COPIES[1] + SECTOR] = encode(TRIED)
    partition.write_bytes(content)
    assert boot_state.mark_good(partition, "B")
    assert copies(partition) == [good(TRIED, "B")] * 2


def test_after_a_cut_between_the_copies_the_new_one_counts(partition: Path) -> None:
    partition.write_bytes(encode(good(TRIED, "A")) + bytes(COPIES[1] - SECTOR) + encode(TRIED))
    assert not boot_state.mark_good(partition, "A")


@pytest.mark.parametrize(
    ("a", "b", "left"), [("0", "0", False), ("1", "0", True), ("0", "3", True), ("", "x", False), ("a", "0", True)]
)
def test_what_u_boot_would_still_try(a: str, b: str, left: bool) -> None:
    assert tries_left({"BOOT_ORDER": "A B", "BOOT_A_LEFT": a, "BOOT_B_LEFT": b}) is left


def test_at_the_deadline_a_slot_that_runs_is_good(partition: Path) -> None:
    partition.write_bytes(encode(TRIED) + partition.read_bytes()[SECTOR:])
    assert deadline(partition, "A", well=True) == 0
    assert copies(partition)[0] == good(TRIED, "A")


def test_one_that_does_not_run_gives_way_until_nothing_is_left(partition: Path) -> None:
    partition.write_bytes(encode(TRIED) + partition.read_bytes()[SECTOR:])
    assert deadline(partition, "A", well=False) == 1, "B has tries"
    partition.write_bytes(encode({**TRIED, "BOOT_B_LEFT": "0"}))
    assert deadline(partition, "B", well=False) == 0, "the page may still be there to mend it"


def test_by_hand(partition: Path, capsys: pytest.CaptureFixture[str]) -> None:
    partition.write_bytes(encode(TRIED) + partition.read_bytes()[SECTOR:])
    assert main(["good", "--partition", str(partition), "--slot", "A"]) == 0
    assert main(["show", "--partition", str(partition)]) == 0
    assert capsys.readouterr().out == "BOOT_A_LEFT=3\nBOOT_B_LEFT=2\nBOOT_ORDER=A B\n"


def test_a_card_without_the_partition_is_an_error(tmp_path: Path) -> None:
    assert main(["good", "--partition", str(tmp_path / "none"), "--slot", "A"]) == 1


def test_at_the_deadline_a_card_that_fails_is_no_reason_to_start_anew(tmp_path: Path) -> None:
    """It would be one for ever: no try can be taken back or lost."""
    assert main(["deadline", "--partition", str(tmp_path / "none"), "--slot", "A"]) == 0


def test_a_new_cards_state_is_the_scripts() -> None:
    script = (Path(__file__).parents[2] / "image/boot/boot.cmd").read_text()
    for name, value in NEW.items():
        assert f'setenv {name} "{value}"' in script or f"setenv {name} {value}\n" in script
