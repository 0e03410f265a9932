#!/usr/bin/env bash
# The appliance's initrd with a second archive behind it, for tests: a program instead of systemd (guest/init).
#
#   build.sh RESULT    needs root, as the tools root does
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. image/lists.sh

result=$1
mkdir -p "$(dirname "$result")"
cp build/root/boot/initrd "$result"
truncate -s %4 "$result" # the kernel looks for the next archive at a multiple of four
work=$result.d
rm -rf "$work"
mkdir -p "$work/test"
cp tests/powercut/guest/{init,told.service,*.py} "$work/test"
image/tools.sh run sh -c "cd $work && find . | cpio --quiet --create --format=newc --owner=0:0" >>"$result"
