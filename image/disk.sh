#!/usr/bin/env bash
# The card, by the table disk.txt: file systems for its partitions, hash trees for its roots, all put into one image.
# Run inside the tools root: disk.sh FIRMWARE KERNEL INITRD DTB SQUASHFS RESULT
#
#   FIRMWARE   the folder of the unpacked packages of boot/packages.txt; "none" for the emulated machine alone
#   RESULT     a folder: card.img, and beside it what went into it
#
# Both slots hold the same, so that a bad block in one is no reason to drive there. Same ingredients and same
# SOURCE_DATE_EPOCH, same bits.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. image/lists.sh

firmware=$1 kernel=$2 initrd=$3 dtb=$4 squashfs=$5 out=$6
table=image/disk.txt
block=4096
mib=1048576

of() { # NAME COLUMN: what the table says of a partition
    awk -v name="$1" -v column="$2" '$2 == name && !/^#/ { print $column }' $table
}

fat() { # NAME RESULT FILES...: a FAT32 of the partition's size with these files in its root
    local name=$1 result=$2 path
    shift 2
    rm -f "$result"
    truncate -s $(($(of "$name" 4) * mib)) "$result"
    mkfs.vfat -F 32 -s 1 --invariant -n "${name^^}" "$result" >/dev/null
    for path in "$@"; do
        touch --date="@$SOURCE_DATE_EPOCH" "$path"
    done
    mcopy -m -i "$result" "$@" ::/
}

firmware_partition() {
    local files=$out/firmware vendor=$firmware/usr/lib
    rm -rf "$files"
    mkdir -p "$files"
    sed '/^ *#/d; /^ *$/d' image/boot/boot.cmd >"$out/boot.cmd" # U-Boot reads comments, but slowly
    mkimage -A arm64 -T script -C none -n gateway -d "$out/boot.cmd" "$files/boot.scr" >/dev/null
    if [ "$firmware" != none ]; then
        cp "$vendor"/raspi-firmware/{start4.elf,fixup4.dat} "$vendor/u-boot/rpi_arm64/u-boot.bin" "$files"
        cp image/boot/config.txt "$files"
        cp "$firmware/usr/share/doc/raspi-firmware/copyright" "$files/LICENCE.firmware"
        cp "$firmware/usr/share/doc/u-boot-rpi/copyright" "$files/LICENCE.u-boot"
        sed '/^#/d; /^ *$/d' image/boot/u-boot.env | mkenvimage -s 0x4000 -o "$files/uboot.env" -
        cp "$dtb" "$files/u-boot.dtb"
        no_uart "$files/u-boot.dtb"
    fi
    fat firmware "$out/firmware.vfat" "$files"/*
}

no_uart() { # TREE: U-Boot would set the pins of a UART that it finds, and make it its console
    local label
    for label in uart0 uart1; do
        fdtput -t s "$1" "$(fdtget "$1" /__symbols__ $label)" status disabled
    done
}

# A root's partition: the squashfs, then its hash tree. Salt and number are taken from the root itself: same root, same tree.
root_partition() {
    local blocks sum
    cp "$squashfs" "$out/root.img"
    truncate -s %$block "$out/root.img"
    blocks=$(($(stat -c %s "$out/root.img") / block))
    sum=$(sha256sum <"$out/root.img" | cut -d ' ' -f 1)
    veritysetup format --data-blocks=$blocks --hash-offset=$((blocks * block)) --salt="$sum" --uuid="${sum:0:8}-${sum:8:4}-${sum:12:4}-${sum:16:4}-${sum:20:12}" \
        "$out/root.img" "$out/root.img" >"$out/verity.txt"
    [ "$(stat -c %s "$out/root.img")" -le $(($(of root-a 4) * mib)) ] || stop "the root does not fit into its partition"
    # What dm-verity must be told: blocks of data, the tree's first block (after its header), root hash, salt.
    echo "verity=$blocks,$((blocks + 1)),$(awk '/^Root hash/ { print $3 }' "$out/verity.txt"),$sum" >"$out/slot.env"
}

boot_partition() {
    local files=$out/boot
    rm -rf "$files"
    mkdir -p "$files"
    cp "$kernel" "$files/vmlinuz"
    cp "$initrd" "$files/initrd"
    cp "$dtb" "$files/board.dtb"
    cp "$out/slot.env" "$files/slot.env"
    fat boot-a "$out/boot.vfat" "$files"/*
}

assembled() { # genimage reads what the table says, in its own words
    local work
    work=$(mktemp -d)
    awk -v number="$(awk '$2 == "disk" { print $3, $4 }' $table)" '
        BEGIN {
            type["basic-data"] = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
            type["root-arm64"] = "b921b045-1df0-41c3-af44-4c6f280d3fae"
            type["data"] = "0fc63daf-8483-4772-8e79-3d69d8477de4"
            type["reserved"] = "8da63339-0007-60c0-c436-083ac8230908"
            image["firmware"] = "firmware.vfat"
            image["boot-a"] = image["boot-b"] = "boot.vfat"
            image["root-a"] = image["root-b"] = "root.img"
            split(number, disk, ", ")
            printf "image card.img {\nhdimage {\npartition-table-type = hybrid\ndisk-uuid = %s\ndisk-signature = %s\n}\n", disk[1], disk[2]
        }
        /^[0-9]/ {
            printf "partition %s {\noffset = %dM\nsize = %dM\npartition-type-uuid = %s\npartition-uuid = %s\n", $2, $3, $4, type[$5], $7
            if ($6 != "-") printf "partition-type = %s\n", $6
            if ($2 in image) printf "image = %s\n", image[$2]
            print "}"
        }
        END { print "}" }' $table >"$work/config"
    mkdir "$work/root"
    genimage --config "$work/config" --rootpath "$work/root" --tmppath "$work/tmp" --inputpath "$out" \
        --outputpath "$out" >"$out/log" 2>&1 || stop "genimage failed:" "$(tail -5 "$out/log")"
    rm -r "$work"
}

mkdir -p "$out"
firmware_partition
root_partition
boot_partition
assembled
