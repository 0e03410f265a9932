"""What goes with the card image: block map, manifest for Raspberry Pi Imager, bill of materials, licence texts.

`disk_papers.py CARD ROOT FIRMWARE VERSION EPOCH`: the folders of the card, of the root and of the firmware, the
product's version, and the build's time in seconds. What is written depends on those alone.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import distributions
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import bill_of_materials

BLOCK = 4096
TABLE = Path(__file__).with_name("disk.txt")
MIB = 1 << 20
COMMON = "./usr/share/common-licenses"
"""Where Debian keeps the texts that its copyright files name."""


def rows(table: str) -> dict[str, tuple[int, int]]:
    """Name -> begin and size, in bytes, of every partition."""
    words = [row.split() for row in table.splitlines() if row and not row.startswith("#")]
    return {row[1]: (int(row[2]) * MIB, int(row[3]) * MIB) for row in words}


def zeros_that_matter(table: str) -> set[int]:
    """Blocks that are written although they hold zeros: what an earlier use of the card left there would be believed.

    The boot state, and the beginning of the data partition, where a file system would be found.
    """
    places = rows(table)
    begin, size = places["bootstate"]
    data = places["data"][0]
    return {*range(begin // BLOCK, (begin + size) // BLOCK), *range(data // BLOCK, (data + MIB) // BLOCK)}


def mapped(card: IO[bytes], always: set[int]) -> Iterator[tuple[int, int, str]]:
    """Runs of blocks to be written: first, last, sha256 of what they hold."""
    first: int | None = None
    digest = hashlib.sha256()
    number = 0
    while block := card.read(BLOCK):
        if number in always or any(block):
            if first is None:
                first, digest = number, hashlib.sha256()
            digest.update(block)
        elif first is not None:
            yield first, number - 1, digest.hexdigest()
            first = None
        number += 1
    if first is not None:
        yield first, number - 1, digest.hexdigest()


def block_map(size: int, runs: Iterable[tuple[int, int, str]]) -> str:
    """The map as bmaptool reads it, version 2.0. Its own checksum is taken with zeros in its place."""
    runs = list(runs)
    ranges = "\n".join(
        f'        <Range chksum="{digest}"> {first}-{last} </Range>'
        if last > first
        else f'        <Range chksum="{digest}"> {first} </Range>'
        for first, last, digest in runs
    )
    text = f"""<?xml version="1.0" ?>
<bmap version="2.0">
    <ImageSize> {size} </ImageSize>
    <BlockSize> {BLOCK} </BlockSize>
    <BlocksCount> {-(-size // BLOCK)} </BlocksCount>
    <MappedBlocksCount> {sum(last - first + 1 for first, last, _ in runs)} </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> {"0" * 64} </BmapFileChecksum>
    <BlockMap>
{ranges}
    </BlockMap>
</bmap>
"""
    return text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest(), 1)


def manifest(version: str, epoch: int, card: Path, packed: Path) -> dict[str, Any]:
    """The list that Raspberry Pi Imager reads ("--repo"). `url` is the file's name: who publishes it sets the place."""
    return {
        "os_list": [
            {
                "name": f"OCPP Modbus Gateway {version}",
                "description": "For a Compute Module 4 on its IO Board. Not yet run on hardware.",
                "url": packed.name,
                "icon": "",
                "release_date": datetime.fromtimestamp(epoch, UTC).date().isoformat(),
                "extract_size": card.stat().st_size,
                "extract_sha256": checksum(card),
                "image_download_size": packed.stat().st_size,
                "image_download_sha256": checksum(packed),
                "devices": ["pi4-64bit"],
                "init_format": "none",
            }
        ]
    }


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bill(root_bill: dict[str, Any], firmware_debs: Path) -> dict[str, Any]:
    """The root's bill and what starts the module before it."""
    whole = {**root_bill}
    whole["components"] = [*root_bill["components"], *bill_of_materials.debian(firmware_debs)]
    return whole


def licences(debs: Iterable[Path], python: Path) -> Iterator[tuple[str, bytes]]:
    """Every licence text by its place in the archive: Debian's copyright files, the texts they name, Python's own."""
    for path in debs:
        name = path.name.partition("_")[0]
        shown = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], capture_output=True, check=True)
        with tarfile.open(fileobj=BytesIO(shown.stdout)) as archive:
            for member in archive.getmembers():
                if member.isfile() and member.name == f"./usr/share/doc/{name}/copyright":
                    yield f"debian/{name}", _content(archive, member)
                elif member.isfile() and member.name.startswith(COMMON + "/"):
                    yield f"common-licenses/{Path(member.name).name}", _content(archive, member)
    for package in distributions(path=[str(python)]):
        for file in _found(python, package.name):
            if any(word in file.name.upper() for word in ("LICENSE", "LICENCE", "COPYING", "NOTICE")):
                yield f"python/{package.name.lower()}/{file.name}", Path(python / file).read_bytes()


def _found(python: Path, name: str) -> list[Path]:
    """What lies in a package's own folder of facts; the record that would list all its files is not kept."""
    wanted = name.lower().replace("-", "_").replace(".", "_")
    return [
        path.relative_to(python)
        for folder in sorted(python.glob("*.dist-info"))
        if folder.name.removesuffix(".dist-info").rpartition("-")[0].lower().replace("-", "_").replace(".", "_")
        == wanted
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def pack(texts: Iterable[tuple[str, bytes]], result: Path, epoch: int) -> int:
    """Writes them as a compressed archive, in order, with one time. Returns how many there are."""
    found = dict(texts)
    with tarfile.open(result, "w:xz", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(found):
            entry = tarfile.TarInfo(f"licences/{name}")
            entry.size, entry.mtime = len(found[name]), epoch
            archive.addfile(entry, BytesIO(found[name]))
    return len(found)


def main(card: Path, root: Path, firmware: Path, version: str, epoch: int) -> None:
    image, packed = card / "card.img", card / f"gateway-{version}.img.xz"
    with image.open("rb") as file:
        runs = list(mapped(file, zeros_that_matter(TABLE.read_text(encoding="utf-8"))))
    (card / f"gateway-{version}.img.bmap").write_text(block_map(image.stat().st_size, runs))
    (card / f"gateway-{version}.img.xz.sha256").write_text(f"{checksum(packed)}  {packed.name}\n")
    (card / "imager.json").write_text(json.dumps(manifest(version, epoch, image, packed), indent=1) + "\n")
    whole = bill(json.loads((root / "bom.cdx.json").read_text()), firmware / "debs")
    (card / "bom.cdx.json").write_text(json.dumps(whole, indent=1) + "\n")
    debs = sorted([*(root / "debs").glob("*.deb"), *(firmware / "debs").glob("*.deb")])
    count = pack(licences(debs, root / "packages"), card / "licences.tar.xz", epoch)
    size = packed.stat().st_size / 1e6
    print(f"{packed}: {size:.1f} MB; {len(whole['components'])} packages, {count} licence texts", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
