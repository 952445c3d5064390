#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Loads the built plugin as a user's GStreamer would, with a fresh registry. gst-inspect exits 0 on
# a plugin that cannot be loaded, so what it prints is what counts.
#
#   scripts/smoke.sh [FOLDER OF THE BUILT LIBRARY]
set -euo pipefail

folder=${1:-target/debug}
elements=(failoversrc failoverswitch webrtcplaysrc)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Alone in a folder: GStreamer searches folders to the bottom, and target/ is deep.
mkdir "$scratch/plugins"
cp "$folder"/libgstfailover.{so,dylib} "$scratch/plugins/" 2>/dev/null || true
compgen -G "$scratch/plugins/*" >/dev/null || {
    echo "smoke: there is no libgstfailover in $folder" >&2
    exit 1
}

export GST_REGISTRY=$scratch/registry.bin
export GST_PLUGIN_PATH=$scratch/plugins
unset GST_PLUGIN_PATH_1_0 GST_DEBUG GST_DEBUG_FILE

fail() {
    echo "smoke: $1" >&2
    sed 's/^/  /' "$scratch"/*.txt >&2
    exit 1
}

inspect() {
    gst-inspect-1.0 "$1" >"$scratch/out.txt" 2>"$scratch/err.txt" || fail "gst-inspect-1.0 $1 failed"
    [[ ! -s $scratch/err.txt ]] || fail "gst-inspect-1.0 $1 complains"
}

inspect failover
for element in "${elements[@]}"; do
    grep -q "^ *$element:" "$scratch/out.txt" || fail "the plugin does not list $element"
done
for element in "${elements[@]}"; do
    inspect "$element"
    grep -q '^Element Properties:' "$scratch/out.txt" || fail "$element cannot be made"
done
inspect -b
grep -q libgstfailover "$scratch/out.txt" && fail "GStreamer has put the plugin on its blacklist"
echo "smoke: the plugin loads and lists ${elements[*]}"
