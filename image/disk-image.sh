#!/usr/bin/env bash
# The card image and its papers, from what make root made: into build/card. Same ingredients and same SOURCE_DATE_EPOCH
# (default: the commit's time), same bits.
#
#   disk-image.sh
#
# OUT=folder puts the result elsewhere under build/. DEV=1: of the root for development, into build/card-development.
# Needs root, as the tools root does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. image/lists.sh

out=${OUT:-build/card${DEV:+-development}}
root=build/root${DEV:+-development}
need_root "the tools root is entered"
for part in root.squashfs boot/vmlinuz boot/initrd boot/board.dtb bom.cdx.json; do
    [ -e "$root/$part" ] || stop "there is no $root/$part: make root"
done
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
version=$(.venv/bin/python -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')

[ ! -e "$root"/target/usr/lib/gateway/development ] || version+=-development # nobody takes it for a release

image/boot-firmware.sh
say "laying out the card"
rm -rf "$out"
image/tools.sh run image/disk.sh build/firmware/unpacked "$root"/boot/{vmlinuz,initrd,board.dtb} \
    "$root/root.squashfs" "$out"
cp image/boot/boot.conf "$out" # for the module's EEPROM
say "compressing it"
# xz, because every tool for writing cards knows it; quick, because most of it is compressed already (the best preset takes
# 2 % off and twice as long). The window reaches from one slot into the other, which holds the same.
image/tools.sh run xz --threads=1 --keep --stdout --check=crc32 --lzma2=preset=1,dict=128MiB "$out/card.img" \
    >"$out/gateway-$version.img.xz"
.venv/bin/python image/disk_papers.py "$out" "$root" build/firmware "$version" "$SOURCE_DATE_EPOCH"
