#!/usr/bin/env bash
# The initrd: busybox, a helper for dm-verity, the modules of initrd-modules.txt in the order they load, and initrd/. Run inside the tools root:
# initrd.sh TARGET RESULT (the composed root; the file to write). Same root and SOURCE_DATE_EPOCH, same bits.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. image/lists.sh

target=$1 result=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

programs() {
    mkdir -p "$work"/{bin,dev,proc,sys,run,new,modules}
    cp "$target/usr/bin/busybox" "$work/bin/busybox"
    cp -a image/initrd/. "$work"
    aarch64-linux-gnu-gcc -Os -s -static -Wall -Wextra -Werror -o "$work/bin/verity" image/initrd-verity.c
}

modules() { # unpacked: the whole archive is compressed
    local version module option path
    version=$(basename "$target"/usr/lib/modules/*)
    while IFS=, read -r module option; do
        # The last line is the module itself, whose option it is; those before are what it needs.
        modprobe -d "$target" -S "$version" --show-depends "$module" |
            awk -v option="$option" '$1 == "insmod" { if (path) print path; path = $2 } END { print path, option }'
    done < <(listed image/initrd-modules.txt) | awk '!seen[$1]++' | while read -r path option; do
        xz -dc "$path" >"$work/modules/$(basename "$path" .xz)"
        echo "$(basename "$path" .xz) $option"
    done >"$work/modules/order"
    [ "$(wc -l <"$work/modules/order")" -ge "$(listed image/initrd-modules.txt | wc -l)" ] ||
        stop "initrd-modules.txt names modules that are not in the root"
}

pack() {
    find "$work" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    (cd "$work" && find . | LC_ALL=C sort | cpio --quiet --create --format=newc --reproducible --owner=0:0) |
        zstd -q -19 >"$result"
}

programs
modules
pack
