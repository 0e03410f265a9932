#!/usr/bin/env bash
# What starts the module before Linux, unpacked into build/firmware/unpacked from Debian's packages of boot/packages.txt.
# Kept until that list changes; FRESH=1 asks Debian again. Needs root, as root.sh does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. image/lists.sh

kept=build/firmware
made_from=$kept/made-from
ingredients=$(cat image/boot/packages.txt image/boot-firmware.sh | sha256sum)

[ -n "${FRESH:-}" ] || [ "$(cat $made_from 2>/dev/null)" != "$ingredients" ] || exit 0
need_root "mmdebstrap keeps the owners of what it unpacks"
say "unpacking the module's firmware and U-Boot"
rm -rf $kept/unpacked $made_from
mkdir -p $kept
# Only the suite is named: mmdebstrap knows the mirror. Libraries that these packages' own tools would need come along and
# are not used. The packages are kept for the bill of materials.
mmdebstrap --quiet --variant=extract --architectures=arm64 --include="$(listed image/boot/packages.txt | paste -sd,)" \
    --components=main,non-free-firmware --aptopt='APT::Install-Recommends "false"' \
    --skip=check/qemu,essential/unlink,cleanup/apt/cache trixie $kept/unpacked >$kept/log 2>&1 ||
    stop "mmdebstrap failed:" "$(tail -20 $kept/log)"
rm -rf $kept/debs
mkdir $kept/debs
for package in $(listed image/boot/packages.txt); do
    mv $kept/unpacked/var/cache/apt/archives/"${package}"_*.deb $kept/debs
done
rm -rf $kept/unpacked/var
echo "$ingredients" >$made_from
