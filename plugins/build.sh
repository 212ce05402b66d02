#!/bin/sh
# Builds the plugins and the conformance guests for wasm32-wasip2 and lays them out as a host
# searches them: TARGET_DIR/plugins/NAME/{plugin.toml,NAME.wasm}, TARGET_DIR/conformance/NAME/...
# One cargo invocation for all. Files are replaced by renaming, and only when they changed, so that
# running hosts and modification times are left in peace.
#
# usage: plugins/build.sh TARGET_DIR
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 TARGET_DIR" >&2
    exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
target=$(cd "$1" && pwd)
cd "$root"

set --
for manifest in plugins/*/plugin.toml tests/conformance/*/plugin.toml; do
    folder=${manifest%/plugin.toml}
    set -- "$@" -p "${folder##*/}"
done
CARGO_TARGET_DIR="$target" cargo build --quiet --profile guest --target wasm32-wasip2 "$@"

# replace FROM TO
replace() {
    if ! cmp -s "$1" "$2"; then
        cp "$1" "$2.$$"
        mv -f "$2.$$" "$2"
    fi
}

for manifest in plugins/*/plugin.toml tests/conformance/*/plugin.toml; do
    folder=${manifest%/plugin.toml}
    name=${folder##*/}
    case $folder in
        plugins/*) to=$target/plugins/$name ;;
        *) to=$target/conformance/$name ;;
    esac
    mkdir -p "$to"
    # cargo names the file of a cdylib with underscores.
    built=$target/wasm32-wasip2/guest/$(printf '%s' "$name" | tr '-' '_').wasm
    replace "$built" "$to/$name.wasm"
    replace "$manifest" "$to/plugin.toml"
done
