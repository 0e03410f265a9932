"""The block map, the manifest and the licences, on small cards of the tests' own."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from types import ModuleType

import pytest

IMAGE = Path(__file__).parents[2] / "image"
BLOCK = 4096


@pytest.fixture
def papers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(IMAGE))
    spec = importlib.util.spec_from_file_location("disk_papers", IMAGE / "disk_papers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop("bill_of_materials", None)
    return module


def card(*blocks: bytes) -> BytesIO:
    return BytesIO(b"".join(block.ljust(BLOCK, b"\0") for block in blocks))


def test_what_is_empty_is_left_out(papers: ModuleType) -> None:
    runs = list(papers.mapped(card(b"a", b"b", b"", b"c", b""), set()))
    assert [(first, last) for first, last, _ in runs] == [(0, 1), (3, 3)]
    assert runs[1][2] == hashlib.sha256(b"c".ljust(BLOCK, b"\0")).hexdigest()


def test_zeros_that_matter_are_written(papers: ModuleType) -> None:
    assert [(first, last) for first, last, _ in papers.mapped(card(b"", b"", b"", b"a"), {1})] == [(1, 1), (3, 3)]


def test_what_an_earlier_card_left_in_state_and_data_is_overwritten(papers: ModuleType) -> None:
    always = papers.zeros_that_matter((IMAGE / "disk.txt").read_text())
    places = papers.rows((IMAGE / "disk.txt").read_text())
    assert places["bootstate"][0] // BLOCK in always
    assert (places["data"][0] + 1024) // BLOCK in always, "where a file system would be recognised"
    assert len(always) == 2 * (1 << 20) // BLOCK


def test_the_map_is_bmaptools(papers: ModuleType) -> None:
    text = papers.block_map(5 * BLOCK, [(0, 1, "aa"), (3, 3, "bb")])
    assert re.search(r'<Range chksum="aa"> 0-1 </Range>\s*<Range chksum="bb"> 3 </Range>', text)
    assert "<MappedBlocksCount> 3 </MappedBlocksCount>" in text
    assert "<BlocksCount> 5 </BlocksCount>" in text
    (said,) = re.findall(r"<BmapFileChecksum> (\w{64}) </BmapFileChecksum>", text)
    assert hashlib.sha256(text.replace(said, "0" * 64).encode()).hexdigest() == said


def test_the_manifest_is_of_these_files(papers: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "card.img").write_bytes(b"card")
    (tmp_path / "gateway.img.xz").write_bytes(b"packed")
    (said,) = papers.manifest("1.2", 86400, tmp_path / "card.img", tmp_path / "gateway.img.xz")["os_list"]
    assert said["extract_sha256"] == hashlib.sha256(b"card").hexdigest()
    assert (said["extract_size"], said["image_download_size"]) == (4, 6)
    assert (said["release_date"], said["init_format"]) == ("1970-01-02", "none")


def test_licences_of_python_packages_are_found_and_packed_in_order(papers: ModuleType, tmp_path: Path) -> None:
    info = tmp_path / "python/thing-1.2.dist-info"
    (info / "licenses").mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: Thing\nVersion: 1.2\n")
    (info / "licenses/LICENSE.txt").write_text("all rights given")
    texts = list(papers.licences([], tmp_path / "python"))
    assert texts == [("python/thing/LICENSE.txt", b"all rights given")]
    assert papers.pack([("z", b"1"), *texts], tmp_path / "licences.tar.xz", 5) == 2
    with tarfile.open(tmp_path / "licences.tar.xz") as archive:
        assert [(each.name, each.mtime) for each in archive] == [
            ("licences/python/thing/LICENSE.txt", 5),
            ("licences/z", 5),
        ]
