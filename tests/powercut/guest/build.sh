#!/usr/bin/env bash
# The appliance's initrd with a second archive behind it, for tests: a program instead of systemd, or one more service
# (guest/init).
#
#   build.sh RESULT [INITRD [FILE...]]    by default the initrd of `make root`; FILEs come into its /test, too. Needs
#                                         root, as the tools root does
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. image/lists.sh

result=$1 initrd=${2:-build/root/boot/initrd}
mkdir -p "$(dirname "$result")"
cp "$initrd" "$result"
truncate -s %4 "$result" # the kernel looks for the next archive at a multiple of four
work=$result.d
rm -rf "$work"
mkdir -p "$work/test"
cp tests/powercut/guest/{init,told.service,*.py} "${@:3}" "$work/test"
image/tools.sh run sh -c "cd $work && find . | cpio --quiet --create --format=newc --owner=0:0" >>"$result"
