# shellcheck shell=bash
# For the scripts here, which all start with `. image/lists.sh`: reading a list, and speaking.

say() {
    echo "image: $*" >&2
}

stop() {
    printf 'image: %s\n' "$1" "${@:2}" >&2
    exit 1
}

need_root() { # WHY
    [ "$(id -u)" -eq 0 ] || stop "this needs root: $1"
}

listed() { # FILE: the first word of every line that is no comment
    sed -e 's/#.*//' "$1" | awk 'NF { print $1 }'
}
