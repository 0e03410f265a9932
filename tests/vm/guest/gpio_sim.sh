#!/usr/bin/env bash
# gpio-sim for the appliance's kernel, for tests only: Debian builds it for no kernel of its 6.12. Run inside the tools
# root: gpio_sim.sh VERSION RESULT. Its source is Debian's own; two lines of it are changed, see `source`.
set -euo pipefail
version=$1 result=$2
work=/tmp/gpio-sim
packages=("linux-headers-$version:arm64" "linux-headers-${version%-arm64}-common" "linux-kbuild-${version%-arm64}:amd64"
    linux-source-6.12)

fetch() { # into /tmp and nowhere else: foreign headers in the tools root would bring a foreign compiler
    mkdir -p $work/{lists,archives}/partial $work/headers
    cd $work
    local apt=(apt-get -qq -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/archives" -o Acquire::Languages=none)
    "${apt[@]}" update
    "${apt[@]}" download "${packages[@]}"
}

headers() { # at the places that they name themselves
    local package
    for package in linux-headers-*.deb linux-kbuild-*.deb; do
        dpkg-deb -x "$package" headers
    done
    local kbuild
    kbuild=$(basename headers/usr/lib/linux-kbuild-*)
    mkdir -p "/usr/lib/$kbuild" /usr/src
    mount --bind headers/usr/src /usr/src
    mount --bind "headers/usr/lib/$kbuild" "/usr/lib/$kbuild"
}

changed() { # FILE SED: a change that finds nothing to change is a fault
    local before
    before=$(sha256sum <"$1")
    sed -i -e "$2" "$1"
    [ "$(sha256sum <"$1")" != "$before" ] || {
        echo "gpio-sim: $1 is not what it was: $2" >&2
        exit 1
    }
}

source_code() {
    mkdir -p module
    dpkg-deb --fsys-tarfile linux-source-*.deb | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
        tar -xJ -C module --wildcards --strip-components=3 '*/drivers/gpio/gpio-sim.c' '*/kernel/irq/irq_sim.c'
    # irq_to_desc is for the kernel itself; modules have the other.
    changed module/irq_sim.c 's/handle_simple_irq(irq_to_desc(irqnum))/generic_handle_irq_safe(irqnum)/'
    # Here `pull-down` is a contact closed to ground, against which a program's pull-up comes to nothing.
    changed module/gpio-sim.c 's/^static int gpio_sim_apply_pull/static DECLARE_BITMAP(closed, 64);\n\n&/'
    changed module/gpio-sim.c 's/return gpio_sim_apply_pull(chip, offset, 1);/return test_bit(offset, closed) ? 0 : gpio_sim_apply_pull(chip, offset, 1);/'
    changed module/gpio-sim.c 's/ret = gpio_sim_apply_pull(chip, line_attr->offset, pull);/__assign_bit(line_attr->offset, closed, !pull);\n\t&/'
    printf 'obj-m := gpio_simulated.o\ngpio_simulated-y := gpio-sim.o irq_sim.o\n' >module/Kbuild
}

compile() {
    # Without what BPF wants to know of it: that takes another program, pahole, and nobody asks.
    make -s -C "/usr/src/linux-headers-$version" M=$work/module ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- \
        CONFIG_DEBUG_INFO_BTF_MODULES= modules
}

mkdir -p $work
destination=$(realpath "$result")
fetch
headers
source_code
compile
cp module/gpio_simulated.ko "$destination"
