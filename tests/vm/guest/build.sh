#!/usr/bin/env bash
# The second archive behind the initrd, for tests: a simulated GPIO chip, a watchdog's driver and an agent. Nothing of it
# is in the shipped root; the guest's init (`rdinit=/test/init`) puts it into /run and goes on as always.
#
#   build.sh RESULT    the whole initrd, shipped and second part. Needs root, as the tools root does
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. image/lists.sh

result=$1
kept=build/vm/gpio_simulated
version=$(basename build/root/target/usr/lib/modules/*)

gpio_sim() { # kept while the kernel and its recipe are the same
    local ingredients
    ingredients=$(cat tests/vm/guest/gpio_sim.sh - <<<"$version" | sha256sum)
    [ "$(cat $kept.from 2>/dev/null)" != "$ingredients" ] || return 0
    say "building gpio-sim for $version"
    rm -f $kept.from
    cp /etc/resolv.conf build/tools/root/etc/resolv.conf # of now, not of when the tools root was made
    image/tools.sh run bash tests/vm/guest/gpio_sim.sh "$version" $kept.ko >$kept.log 2>&1 ||
        stop "gpio-sim does not build:" "$(tail -20 $kept.log)"
    echo "$ingredients" >$kept.from
}

archive() {
    local work=build/vm/second
    rm -rf $work
    mkdir -p $work/test
    cp tests/vm/guest/{init,agent.py,agent.service} $work/test
    local module
    for module in fs/configfs/configfs drivers/watchdog/i6300esb; do
        xz -dc build/root/unpacked/usr/lib/modules/*/kernel/$module.ko.xz >"$work/test/${module##*/}.ko"
    done
    cp $kept.ko $work/test/gpio_simulated.ko
    .venv/bin/python -c 'from hal.board import PINS
for row in PINS: print(row.line, row.gpio)' >$work/test/lines
    image/tools.sh run sh -c "cd $work && find . | cpio --quiet --create --format=newc --owner=0:0"
}

mkdir -p build/vm "$(dirname "$result")"
gpio_sim
cp build/root/boot/initrd "$result"
truncate -s %4 "$result" # the kernel looks for the next archive at a multiple of four
archive >>"$result"
