#!/usr/bin/env bash
# What Debian's maintainer scripts would do, and what an appliance needs besides. Run inside the tools root, which has the
# very tools of the appliance: post-build.sh TARGET PYTHON (the root being made; the unpacked Python packages).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. image/lists.sh

target=$1 python=$2 given=$3
lib=usr/lib/gateway
programs=(gatewayd:gatewayd.__main__ webd:gatewayd.web.__main__ paneld:hal.paneld netd:hal.netd stewardd:hal.stewardd
    factory_reset:hal.factory_reset boot_state:hal.boot_state card_restore:gatewayd.card_restore)

trimmed() { # what nobody uses on the device: trim.txt says why
    local pattern
    while read -r pattern; do
        # shellcheck disable=SC2086 # patterns are meant to be expanded
        (cd "$target" && rm -rf -- $pattern)
    done < <(listed image/trim.txt)
}

kernel_modules() { # those of modules.txt and what they need; the others go
    local version name wanted=$target/../modules-wanted
    version=$(basename "$target"/usr/lib/modules/*)
    depmod -b "$target" "$version"
    while read -r name; do
        modprobe -d "$target" -S "$version" --show-depends "$name" | awk '$1 == "insmod" { print $2 }'
    done < <(listed image/modules.txt) | sed "s|.*/usr/lib/modules/|usr/lib/modules/|; s|.*/lib/modules/|usr/lib/modules/|" |
        sort -u >"$wanted"
    [ "$(wc -l <"$wanted")" -ge "$(listed image/modules.txt | wc -l)" ] || stop "modules.txt names modules that are not there"
    (cd "$target" && find usr/lib/modules -name '*.ko.xz' | sort | comm -23 - "$OLDPWD/$wanted" | xargs -r rm)
    find "$target/usr/lib/modules" -type d -empty -delete
    depmod -b "$target" "$version"
    rm "$wanted"
}

overlay() { # FOLDER: laid out as on the device
    local path
    (cd "$1" && find . -mindepth 1 \( -type f -o -type l \) ! -name README.md) | while read -r path; do
        mkdir -p "$target/$(dirname "$path")"
        [ ! -h "$1/$path" ] || rm -rf "${target:?}/$path" # a package's folder there would take the link in
        cp -a --no-preserve=ownership "$1/$path" "$target/$path"
        [ -h "$1/$path" ] || chmod "$([ -x "$1/$path" ] && echo 755 || echo 644)" "$target/$path" # whatever the umask was
    done
}

builders() { # a developer's shell, and whose updates are believed
    if [ -e "$given/authorized_keys" ]; then
        overlay image/development
        install -D -m 600 "$given/authorized_keys" "$target/root/.ssh/authorized_keys"
    fi
    [ ! -e "$given/keyring.pem" ] || install -D -m 644 "$given/keyring.pem" "$target/etc/rauc/keyring.pem"
}

product() { # the gateway, its packages, its manual, and one executable for each program
    local pair name module
    mkdir -p "$target/$lib/bin"
    cp -a --no-preserve=ownership "$python" "$target/$lib/python"
    rm -rf "$target/$lib/python/bin"
    cp -a --no-preserve=ownership docs "$target/$lib/python/gatewayd/docs"
    for pair in "${programs[@]}"; do
        name=${pair%%:*} module=${pair#*:}
        printf '#!/bin/sh\n# %s\nexec /usr/bin/python3.13 -I -OO -c %s "$@"\n' "$name of the gateway" \
            "'import sys; sys.path.insert(1, \"/$lib/python\"); from runpy import run_module; run_module(\"$module\", run_name=\"__main__\", alter_sys=True)'" \
            >"$target/$lib/bin/$name"
        chmod 755 "$target/$lib/bin/$name"
    done
}

accounts() { # Debian's first users and groups, then everybody whom sysusers.d names; nobody has a password
    cp "$target/usr/share/base-passwd/passwd.master" "$target/etc/passwd"
    cp "$target/usr/share/base-passwd/group.master" "$target/etc/group"
    sed -i 's|^root:[^:]*:\(.*\):/bin/bash$|root:*:\1:/bin/sh|' "$target/etc/passwd"
    awk -F: '{ print $1 ":*:0:0:99999:7:::" }' "$target/etc/passwd" >"$target/etc/shadow"
    awk -F: '{ print $1 ":*::" }' "$target/etc/group" >"$target/etc/gshadow"
    chmod 600 "$target/etc/shadow" "$target/etc/gshadow"
    systemd-sysusers --root="$target" 2>/dev/null
    sed -i 's|^\([^:]*\):[^:]*:[0-9]*:|\1:*:0:|' "$target/etc/shadow" # the day of the build is no fact of the account
    rm -f "$target"/etc/*-
}

system_units() { # what starts
    rm -rf "$target"/etc/systemd/system/*.wants "$target"/etc/systemd/system/*.service
    systemctl --root="$target" --quiet preset-all 2>/dev/null || true
    systemctl --root="$target" --quiet set-default multi-user.target 2>/dev/null
    local name
    while read -r name; do
        ln -sf /dev/null "$target/etc/systemd/system/$name"
    done < <(listed image/masked.txt)
}

authorities() { # who is believed over TLS, as one file
    mkdir -p "$target/etc/ssl/certs"
    find "$target/usr/share/ca-certificates" -name '*.crt' | sort | xargs cat >"$target/etc/ssl/certs/ca-certificates.crt"
}

mount_points_and_links() { # the root is read-only: what is written lies elsewhere
    mkdir -p "$target/data" "$target/etc/systemd/network"
    ln -sf ../usr/share/zoneinfo/UTC "$target/etc/localtime"
    ln -sf ../proc/self/mounts "$target/etc/mtab"
    ln -sf python3.13 "$target/usr/bin/python3"
    : >"$target/etc/machine-id"
    echo gateway >"$target/etc/hostname"
    printf '127.0.0.1 localhost\n::1 localhost\n' >"$target/etc/hosts"
    local tool
    for tool in cat chmod chown cp cut date dd df dmesg du echo env false find free grep gunzip gzip head hostname id install kill \
        less ln ls mkdir mknod mktemp mv nc netstat od pidof ping ps pwd readlink rm rmdir sed seq sleep sort stat stty sync tail \
        tar tee test top touch tr true udhcpc uname uptime vi wc which xargs; do
        [ -e "$target/usr/bin/$tool" ] || [ -e "$target/usr/sbin/$tool" ] || ln -s busybox "$target/usr/bin/$tool"
    done
}

byte_code() { # without it programs take three times as long to start; checked by content, never written on the device.
    # -OO: docstrings are a twentieth of the memory that all programs hold; asserts here only tell types to the checker.
    python3.13 -m compileall -q -j 2 -o 2 --invalidation-mode unchecked-hash -s "$target" -p / \
        "$target/usr/lib/python3.13" "$target/$lib/python" || stop "byte-compiling failed"
}

clock() { # where nothing keeps the time, systemd starts it here: never before the build, so certificates are valid
    touch "$target/usr/lib/clock-epoch" # one_time gives it the build's time
}

one_time() { # every file is as old as SOURCE_DATE_EPOCH says
    find "$target" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

trimmed
kernel_modules
overlay rootfs
builders
product
accounts
system_units
authorities
mount_points_and_links
byte_code
clock
one_time
