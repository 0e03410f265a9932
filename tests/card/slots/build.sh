#!/usr/bin/env bash
# A card for the test of the slots, in the folder OUT: the real layout and boot script, and a kernel for each slot that
# says which it is. Run inside the tools root: build.sh OUT
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
out=$1
mkdir -p "$out"
for slot in A B; do
    aarch64-linux-gnu-gcc -DSLOT="\"$slot\"" -nostdlib -c tests/card/slots/kernel.S -o "$out/kernel.o"
    aarch64-linux-gnu-objcopy -O binary -j .text "$out/kernel.o" "$out/kernel-$slot"
done
echo "no initrd: this kernel needs none" >"$out/initrd"
echo "/dts-v1/; / {};" | dtc -q -O dtb -o "$out/board.dtb" -
head -c 100000 /dev/zero >"$out/root"
image/disk.sh none "$out/kernel-A" "$out/initrd" "$out/board.dtb" "$out/root" "$out"
# Slot B gets its own kernel.
from=$(awk '$2 == "boot-b" && !/^#/ { print $3 }' image/disk.txt)M
mcopy -o -i "$out/card.img@@$from" "$out/kernel-B" ::/vmlinuz
