#!/usr/bin/env bash
# The appliance under emulation: the root that is flashed, its kernel and its initrd, on QEMU's `virt` machine.
#
#   vm.sh disk FILE [FOLDER]    a partitioned disk: a FAT as the card's first, two places for roots (the first is filled),
#                      a data partition: empty, or with what is in FOLDER
#   vm.sh able         whether this machine can do what the tests take, known before a root is built for them
#   vm.sh run DISK     boots DISK until the machine is switched off; prints where things are. In the environment:
#                      VM_PORTS="modbus=1502:502 ..." (name=here:there), VM_NET=user|TAP, VM_DIRECTORY=build/vm for
#                      console.log, rs485 (the bus), control (QEMU's monitor), VM_INITRD, VM_APPEND (kernel), VM_ARGS (QEMU),
#                      VM_MAC (of its network socket),
#                      VM_CARD=1: DISK is the card, and starts by U-Boot, its own boot script, kernel and initrd;
#                      VM_STEADY=1: the guest's clock goes by the instructions it has run, one a nanosecond, however busy
#                      this machine is; what takes time in the guest is then about what it takes on the module
#
# Needs root, as the tools root does. What differs from the CM4 stands in image/README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. image/lists.sh

boot=build/root/boot
directory=${VM_DIRECTORY:-build/vm}
ports=${VM_PORTS:-modbus=10502:502 ocpp=18887:8887 page=10443:443}
# Emulated on a busy machine everything takes ten times as long; what systemd gives up after must be no part of a test.
patience="systemd.default_device_timeout_sec=600 systemd.default_timeout_start_sec=600"
# What the kernel does against faults of real processors empties the emulator's cache at every system call.
fast="mitigations=off nokaslr"
# No policy of AppArmor, TOMOYO or IMA is in the root, and systemd would load a program for BPF's at every start.
lsm="lsm=landlock,lockdown,yama"
root_uuid=6a57ef4c-2a7c-4a3c-9d0e-0a5e1d3c4b01 # of the first root, here and on the kernel's command line

able() {
    need_root "entering the tools root takes mounts, a network for tests takes a namespace"
    unshare --mount true 2>/dev/null || stop "no mount namespaces here; in a container they need its --privileged"
    [ -c /dev/net/tun ] || stop "there is no /dev/net/tun, through which the emulated machine gets a network"
    local name=vm-able-$$ free
    { ip netns add $name && ip -n $name tuntap add tap0 mode tap && ip netns del $name; } ||
        stop "no network namespaces here; in a container they need its --privileged"
    free=$(df --output=avail -k . | tail -n 1)
    [ "$free" -gt 4000000 ] || stop "4 GB of disk are needed here, $((free / 1000000)) GB are free"
    free=$(awk '$1 == "MemAvailable:" { print int($2 / 1000) }' /proc/meminfo)
    [ "$free" -gt 2500 ] || stop "2.5 GB of memory are needed for two emulated machines, $free MB are free"
}

disk() { # FILE [FOLDER]
    [ -e build/root/root.squashfs ] || stop "there is no root yet: make root"
    mkdir -p "$(dirname "$1")"
    local used='' fill=''
    if [ $# -gt 1 ]; then # as large as the gateway makes it: the last MiB is not the file system's
        used='image = "/tmp/data"' fill="mke2fs -q -t ext4 -d $2 /tmp/data 127M &&"
    fi
    cat >"$1.config" <<END
image firmware.vfat {
    vfat { extraargs = "-F 32 -s 1" }
    size = 48M
}
image $(basename "$1") {
    hdimage {
        partition-table-type = "gpt"
        align = 1M
    }
    partition firmware {
        image = "firmware.vfat"
    }
    partition root-a {
        image = "root.squashfs"
        size = 96M
        partition-uuid = "$root_uuid"
    }
    partition root-b { size = 96M }
    partition data {
        size = 128M
        $used
    }
}
END
    image/tools.sh run sh -c "$fill mkdir /tmp/fat && : >/tmp/fat/boot.scr && genimage --config $1.config --inputpath build/root \
        --outputpath $(dirname "$1") --tmppath /tmp/g --rootpath /tmp/fat >/tmp/log 2>&1 || { cat /tmp/log; exit 1; }" || stop "genimage failed"
    rm "$(dirname "$1")/firmware.vfat" # is in it
}

tree() { # FILE: QEMU's device tree without its GPIO chip and the power button on it, which are not the board's
    qemu-system-aarch64 "${machine[@]}" -machine "dumpdtb=$1" >/dev/null 2>&1
    local key
    for key in /gpio-keys /pl061@9030000; do fdtput -r "$1" $key; done
}

environment() { # FILE: the flash chip with U-Boot's environment; it says what boot/u-boot.env says to the module's
    # Waiting for a key takes longer in an emulator that counts instructions than the whole start.
    printf 'bootdelay=-2\nbootcmd=%s\n' "virtio scan; setenv devtype virtio; setenv devnum 0; load virtio 0:1 0x47800000 boot.scr \
&& source 0x47800000; sleep 5; reset" | mkenvimage -s 0x40000 -o "$1" -
    truncate -s 64M "$1"
}

network() { # for QEMU's -netdev
    local port
    if [ "${VM_NET:-user}" != user ]; then
        echo "tap,id=net,ifname=$VM_NET,script=no,downscript=no"
        return
    fi
    printf 'user,id=net'
    for port in $ports; do
        port=${port#*=}
        printf ',hostfwd=tcp:127.0.0.1:%s-:%s' "${port%:*}" "${port#*:}"
    done
}

tell() {
    local port
    say "booting; what is said is in $directory/console.log, the RS485 bus is $directory/rs485 (a UNIX socket)"
    [ "${VM_NET:-user}" = user ] || return 0
    for port in $ports; do
        say "${port%%=*}: 127.0.0.1:$(cut -d= -f2 <<<"${port%:*}")"
    done
}

emulate() { # DISK; inside the tools root
    local pace=(-accel "tcg,thread=multi")
    [ -z "${VM_STEADY:-}" ] || pace=(-accel "tcg,thread=single" -icount "shift=0,sleep=on")
    machine=(-machine "virt,gic-version=2" -cpu cortex-a72 -smp 2 -m 1024 "${pace[@]}" -nodefaults
        -display none -serial "file:$directory/console.log" -serial "unix:$directory/rs485,server=on,wait=off"
        -global virtio-mmio.force-legacy=false)
    tree /tmp/vm.dtb
    local start=(-kernel "$boot/vmlinuz" -initrd "${VM_INITRD:-$boot/initrd}" -append
        "root=PARTUUID=$root_uuid console=ttyAMA0 panic=10 ro quiet audit=0 $lsm $fast $patience ${VM_APPEND:-}")
    if [ -n "${VM_CARD:-}" ]; then
        environment /tmp/environment
        start=(-bios /usr/lib/u-boot/qemu_arm64/u-boot.bin -drive "if=pflash,unit=1,format=raw,readonly=on,file=/tmp/environment")
    fi
    # shellcheck disable=SC2086 # VM_ARGS are words
    exec qemu-system-aarch64 "${machine[@]}" -dtb /tmp/vm.dtb "${start[@]}" \
        -drive "file=$1,format=raw,if=none,id=disk,cache=unsafe" -device virtio-blk-device,drive=disk \
        -netdev "$(network)" -device virtio-net-device,netdev=net,mac=${VM_MAC:-52:54:00:67:61:74} \
        -device virtio-rng-device -monitor "unix:$directory/control,server=on,wait=off" ${VM_ARGS:-}
}

run() { # DISK
    mkdir -p "$directory"
    rm -f "$directory"/{rs485,control}
    tell
    exec image/tools.sh run env VM_DIRECTORY="$directory" VM_PORTS="$ports" VM_NET="${VM_NET:-user}" \
        VM_INITRD="${VM_INITRD:-}" VM_APPEND="${VM_APPEND:-}" VM_STEADY="${VM_STEADY:-}" VM_CARD="${VM_CARD:-}" VM_MAC="${VM_MAC:-}" VM_ARGS="${VM_ARGS:-}" image/vm.sh emulate "$1"
}

case "${1:-}" in
able) able ;;
disk) disk "${@:2}" ;;
run) run "$2" ;;
emulate) emulate "$2" ;;
*) stop "usage: vm.sh able | disk FILE [FOLDER] | run DISK" ;;
esac
