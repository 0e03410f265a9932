#!/bin/sh
# Our board's device tree: Debian's for the CM4 IO Board, our overlay merged into it, and what an overlay cannot remove.
# usage: device_tree.sh BASE.dtb RESULT.dtb
set -eu
base=$1
result=$2
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

dtc -q -@ -I dts -O dtb -o "$work/board.dtbo" "$here/board.dtso"
fdtoverlay -i "$base" -o "$work/merged.dtb" "$work/board.dtbo"

# The Bluetooth chip sat on the UART that is the bus now; its flow control pins too. No console may speak on the bus.
uart=$(fdtget "$work/merged.dtb" /__symbols__ uart0)
fdtput -r "$work/merged.dtb" "$uart/bluetooth"
fdtput -d "$work/merged.dtb" "$uart" uart-has-rtscts
fdtput -d "$work/merged.dtb" /chosen stdout-path
mv "$work/merged.dtb" "$result"
