#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Tells whether GStreamer finds plugins in the folder that `make install` has used.
set -euo pipefail

folder=$1
system=$(pkg-config --variable=pluginsdir gstreamer-1.0)
user=${XDG_DATA_HOME:-$HOME/.local/share}/gstreamer-1.0/plugins

if [[ $folder == "$system" || $folder == "$user" ]]; then
    echo "installed; try: gst-inspect-1.0 failoversrc"
else
    echo "installed; the GStreamer of this system looks in $system,"
    echo "so tell it of this folder too: export GST_PLUGIN_PATH=$folder"
fi
