#!/bin/sh
# udhcpc's script: writes down what the server said and does nothing else; netd decides. LEASE_FACTS names the file.
# Only what changes a lease is written: "deconfig" and "leasefail" come at every try and say nothing new.
set -eu
case "${1:-}" in
bound | renew | nak) ;;
*) exit 0 ;;
esac
fresh="$LEASE_FACTS.$$"
{
    read -r at _ < /proc/uptime
    printf 'event=%s\nat=%s\nip=%s\nmask=%s\nlease=%s\n' "$1" "$at" "${ip:-}" "${mask:-}" "${lease:-0}"
    printf 'router=%s\ndns=%s\nntpsrv=%s\n' "${router:-}" "${dns:-}" "${ntpsrv:-}"
    printf 'domain=%s\nserverid=%s\n' "${domain:-}" "${serverid:-}"
} > "$fresh"
mv "$fresh" "$LEASE_FACTS"
