#!/usr/bin/env bash
# The appliance's root, from Debian's arm64 packages, rootfs/ and the gateway, without running a single arm64 program.
#
#   root.sh            everything, into build/root: root.squashfs, boot/ (kernel, initrd, device tree), bom.cdx.json
#   root.sh unpack | python | compose | initrd | squash      one step
#
# DEV=1 DEV_KEY=~/.ssh/id_ed25519.pub: for development, with ssh for the owner of that key and nobody else. It stands beside
# the ordinary one, in build/root-development.
# UPDATE_CERTIFICATE=file.pem: whose updates the appliance takes; without it, nobody's.
#
# Steps that depend on lists only are kept; FRESH=1 asks Debian and PyPI again. Same ingredients and same
# SOURCE_DATE_EPOCH (default: the commit's time) give the same bits. Needs root: the files of a root have owners.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. image/lists.sh

kept=build/root${DEV:+-development}
out=${OUT:-$kept} # where the result goes; what is kept between runs stays where it is
unpacked=$kept/unpacked
python=$kept/python
debs=$kept/debs
target=$out/target
packages=(image/packages.txt)
[ -z "${DEV:-}" ] || packages+=(image/packages-development.txt)

changed() { # MARK INGREDIENTS...: true, and MARK removed, if what MARK was written for is not these ingredients
    [ -z "${FRESH:-}" ] && [ "$(cat "$1" 2>/dev/null)" = "$(cat "${@:2}" | sha256sum)" ] && return 1
    rm -f "$1"
}

unchanged() { # MARK INGREDIENTS...: writes MARK, as the last act of a step
    cat "${@:2}" | sha256sum >"$1"
}

unpack() {
    local mark=$kept/unpacked-from ingredients=("${packages[@]}" image/packages-without.txt image/root.sh)
    changed "$mark" "${ingredients[@]}" || return 0
    say "unpacking Debian's packages"
    rm -rf "$unpacked" "$debs"
    mkdir -p "$kept" "$debs"
    # With an epoch: others ask for "login (>= 1:4.16)", and 9999 without one is older than that.
    listed image/packages-without.txt | awk '{
        printf "Package: %s\nStatus: install ok installed\nVersion: 99:1\nArchitecture: arm64\nMulti-Arch: foreign\n", $1
        printf "Maintainer: none\nDescription: left out\n\n" }' >"$kept/without.status"
    # Only the suite is named: mmdebstrap knows the mirror. The packages are kept for what the bill of materials says
    # of them: those unpacked now and no others.
    # shellcheck disable=SC2016 # expanded by the hooks
    mmdebstrap --quiet --variant=extract --architectures=arm64 --include="$(for each in "${packages[@]}"; do listed "$each"; done | paste -sd,)" \
        --components=main,non-free-firmware --aptopt='APT::Install-Recommends "false"' \
        --skip=check/qemu,essential/unlink,cleanup/apt/cache \
        --setup-hook='mkdir -p "$1/var/lib/dpkg" "$1/var/cache/apt/archives"' \
        --setup-hook="cat $kept/without.status >>\"\$1/var/lib/dpkg/status\"" \
        --extract-hook="sync-out /var/cache/apt/archives $debs" \
        trixie "$unpacked" >"$kept/log" 2>&1 || stop "mmdebstrap failed:" "$(tail -20 "$kept/log")"
    unchanged "$mark" "${ingredients[@]}"
}

python_packages() {
    local mark=$kept/python-from ingredients=(requirements.lock requirements-build.lock image/root.sh)
    changed "$mark" "${ingredients[@]}" || return 0
    say "fetching Python packages for the appliance, by hash"
    rm -rf "$python"
    mkdir -p "$kept"
    # Wheels for the appliance's machine and Python; sdnotify is there as source only, one plain module.
    awk '/^[a-z]/ { keep = !/^sdnotify==/ } keep' requirements.lock >"$kept/wheels.lock"
    awk '/^[a-z]/ { keep = /^sdnotify==/ } keep' requirements.lock >"$kept/sources.lock"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --target "$python" \
        --only-binary=:all: --implementation cp --python-version 3.13 --abi cp313 --abi abi3 --abi none \
        --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux_2_28_aarch64 \
        --platform any -r "$kept/wheels.lock" || stop "pip could not fetch the wheels"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --target "$python" \
        --no-build-isolation -r "$kept/sources.lock" || stop "pip could not build what is there as source"
    unchanged "$mark" "${ingredients[@]}"
}

compose() {
    say "composing the root"
    rm -rf "$target"
    mkdir -p "$out/boot"
    cp -a "$unpacked" "$target"
    cp "$target"/boot/vmlinuz-* "$out/boot/vmlinuz"
    cp "$target"/usr/lib/linux-image-*/broadcom/bcm2711-rpi-cm4-io.dtb "$out/boot/base.dtb"
    rm -rf "$out/packages"
    cp -a "$python" "$out/packages"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-compile \
        --target "$out/packages" . || stop "pip could not install the gateway itself"
    find "$out/packages" -name __pycache__ -prune -exec rm -rf {} +
    find "$out/packages" \( -name direct_url.json -o -name RECORD -o -name INSTALLER -o -name REQUESTED \) -delete # of this machine
    given
    image/tools.sh run bash image/post-build.sh "$target" "$out/packages" "$out/given"
    image/tools.sh run image/device_tree.sh "$out/boot/base.dtb" "$out/boot/board.dtb"
}

given() { # what only whoever builds this can give: the tools root sees no other folder than the repository
    rm -rf "$out/given"
    mkdir "$out/given"
    if [ -n "${DEV:-}" ]; then
        [ -e "${DEV_KEY:-}" ] || stop "DEV=1 needs the public key that may log in: DEV_KEY=~/.ssh/id_ed25519.pub"
        cp "$DEV_KEY" "$out/given/authorized_keys"
    fi
    if [ -n "${UPDATE_CERTIFICATE:-}" ]; then
        grep -q "BEGIN CERTIFICATE" "$UPDATE_CERTIFICATE" || stop "$UPDATE_CERTIFICATE holds no certificate (PEM)"
        ! grep -q "PRIVATE KEY" "$UPDATE_CERTIFICATE" || stop "$UPDATE_CERTIFICATE holds a private key, which stays at home"
        cp "$UPDATE_CERTIFICATE" "$out/given/keyring.pem"
    fi
}

initrd() {
    image/tools.sh run image/initrd.sh "$target" "$out/boot/initrd"
}

squash() {
    say "packing the root"
    rm -f "$out/root.squashfs"
    # 19 would save 1 % and take three times as long.
    image/tools.sh run mksquashfs "$target" "$out/root.squashfs" -comp zstd -Xcompression-level 15 -no-xattrs -noappend \
        -no-progress -quiet -root-mode 755 >/dev/null
    .venv/bin/python image/bill_of_materials.py "$debs" "$out/packages" >"$out/bom.cdx.json"
    say "$out/root.squashfs: $(($(stat -c %s "$out/root.squashfs") / 1048576)) MiB"
}

need_root "the files of a root have owners"
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
case "${1:-all}" in
all)
    unpack
    python_packages
    compose
    initrd
    squash
    ;;
unpack) unpack ;;
python) python_packages ;;
compose) compose ;;
initrd) initrd ;;
squash) squash ;;
*) stop "usage: root.sh [unpack | python | compose | initrd | squash]" ;;
esac
