#!/usr/bin/env bash
# The tools root: a small Debian 13 under build/tools, so that every machine builds with the same tools.
#
#   tools.sh make              makes it, if its list of packages has changed since
#   tools.sh run COMMAND ...   runs a command in it: this repository is /gateway there, and the working directory
#
# Needs root: mmdebstrap keeps owners, and entering takes mounts. Nothing outside build/ is changed; the mounts are in a
# mount namespace of their own and go with the command.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. image/lists.sh

tools=build/tools/root
made_from=build/tools/made-from # written last: a run that was cut short leaves none

make_tools() {
    local ingredients
    ingredients=$(sha256sum <image/packages-tools.txt)
    [ "$(cat $made_from 2>/dev/null)" != "$ingredients" ] || return 0
    need_root "mmdebstrap keeps the owners of what it unpacks"
    say "making the tools root (about two minutes)"
    rm -rf build/tools
    mkdir -p build/tools
    # Only the suite is named: mmdebstrap knows the mirror.
    mmdebstrap --quiet --variant=apt --architectures=amd64 --include="$(listed image/packages-tools.txt | paste -sd,)" \
        --aptopt='APT::Install-Recommends "false"' --dpkgopt=path-exclude='/usr/share/doc/*' \
        --dpkgopt=path-exclude='/usr/share/man/*' --dpkgopt=path-exclude='/usr/share/locale/*' \
        trixie "$tools" >build/tools/log 2>&1 || stop "mmdebstrap failed:" "$(tail -20 build/tools/log)"
    echo "$ingredients" >$made_from
}

run_in_tools() {
    [ -e $made_from ] || stop "there is no tools root yet: make tools"
    need_root "entering the tools root takes mounts"
    # pivot_root, not chroot: a chrooted process may not make user namespaces. --pdeathsig: what runs in here, an
    # emulated machine for one, does not outlive who asked for it.
    # shellcheck disable=SC2016 # expanded by the inner shell
    exec setpriv --pdeathsig KILL unshare --mount --propagation private -- sh -c '
        set -e
        tools=$1 repository=$2
        shift 2
        mount --bind "$tools" "$tools"
        mkdir -p "$tools/gateway"
        for kernel in proc sys dev; do mount --rbind "/$kernel" "$tools/$kernel"; done
        mount -t tmpfs tmpfs "$tools/tmp"
        mount --bind "$repository" "$tools/gateway"
        cd "$tools"
        pivot_root . .
        umount -l .
        cd /gateway
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TZ=UTC \
            ${SOURCE_DATE_EPOCH:+SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH} "$@"
    ' sh "$PWD/$tools" "$PWD" "$@"
}

case "${1:-}" in
make) make_tools ;;
run) run_in_tools "${@:2}" ;;
*) stop "usage: tools.sh make | run COMMAND ..." ;;
esac
