#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Sees to it that what `make demo` and `make test` need is there. On Debian and Ubuntu it installs
# what is missing and says so; elsewhere it names what to install. Does nothing when all is there.
#
#   scripts/setup.sh [demo|window|test]
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:-test}

build_packages=(gcc libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-{base,bad}1.0-dev)
gstreamer_packages=(gstreamer1.0-tools gstreamer1.0-plugins-{base,good,bad,ugly} gstreamer1.0-libav gstreamer1.0-nice)
lab_packages=(nginx libnginx-mod-rtmp ffmpeg fonts-dejavu-core)
window_packages=(gstreamer1.0-x gstreamer1.0-alsa)
test_packages=(python3-venv chromium python3-gi gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0 valgrind coturn iproute2)
# GStreamer's RTSP server, led from a script.
rtsp_packages=(python3-gi gir1.2-gst-rtsp-server-1.0)

# The npm that a Node.js from elsewhere brings is as good.
command -v npm >/dev/null || test_packages+=(nodejs npm)

# A WebRTC stack that shares no code with GStreamer's, from PyPI: the WHEP server of the tests.
python_packages=(aiortc==1.16.0 aiohttp==3.14.5)
# A second one: a browser, led from a script; and Ant Media's SDK in it. Debian 12 has Node.js 18, and
# this is the last playwright-core that runs on it.
npm_packages=(playwright-core@1.61.1 @antmedia/webrtc_adaptor@2.16.2)

main() {
    case $purpose in
        demo | window | test) ;;
        *) die "usage: scripts/setup.sh [demo|window|test]" ;;
    esac
    require_rust
    if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
        install_debian_packages
    else
        require_programs
    fi
    pkg-config --atleast-version=1.22 gstreamer-1.0 ||
        die "GStreamer is $(pkg-config --modversion gstreamer-1.0); 1.22 or newer is needed (Debian 12, Ubuntu 23.04 or newer)."
    if [[ $purpose == test ]]; then
        install_python_packages
        install_npm_packages
    fi
}

# ---- Debian and Ubuntu -------------------------------------------------------------------------

install_debian_packages() {
    local missing=()
    collect_missing "to build the plugin" "${build_packages[@]}"
    collect_missing "to run pipelines" "${gstreamer_packages[@]}"
    collect_missing "for a real RTMP server and publishers on this machine" "${lab_packages[@]}"
    case $purpose in
        window) collect_missing "to show the video in a window" "${window_packages[@]}" ;;
        test)
            collect_missing "for the Python example, the leak test and tests with WebRTC" "${test_packages[@]}"
            collect_missing "for a real RTSP server in the tests" "${rtsp_packages[@]}"
            ;;
    esac
    ((${#missing[@]})) || return 0

    local new_services=() service
    for service in nginx coturn; do
        [[ " ${missing[*]} " == *" $service "* ]] && new_services+=("$service")
    done
    local as_root=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null ||
            die "this needs root and there is no sudo. As root, run: apt-get install --no-install-recommends ${missing[*]}"
        as_root=(sudo)
    fi
    hold_services
    "${as_root[@]}" apt-get update -q
    # RUNLEVEL=1 keeps a classic init from starting services that the installation brings.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -q --no-install-recommends "${missing[@]}" || {
        release_services
        die "apt-get could not install: ${missing[*]}"
    }
    release_services
    say "setup: done"
}

# Adds to `missing`, and says what will be installed and what for.
collect_missing() {
    local reason=$1 package lacking=()
    shift
    local installed
    # Exits non-zero when it does not know one of them, and lists the others all the same.
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
    for package in "$@"; do
        grep -qx "$package installed" <<<"$installed" || lacking+=("$package")
    done
    ((${#lacking[@]})) || return 0
    say "setup: installing $reason: ${lacking[*]}"
    missing+=("${lacking[@]}")
}

# We start an nginx and a coturn of our own when we need them; the packages must not open ports on this
# machine, now or at the next boot. A masked unit cannot be started by the package's scripts.
hold_services() {
    command -v systemctl >/dev/null || return 0
    local service
    for service in "${new_services[@]}"; do
        "${as_root[@]}" systemctl mask --quiet "$service.service"
    done
}

release_services() {
    local service
    for service in "${new_services[@]}"; do
        if command -v systemctl >/dev/null; then
            "${as_root[@]}" systemctl unmask --quiet "$service.service" || true
            "${as_root[@]}" systemctl disable --quiet "$service.service" 2>/dev/null || true
        fi
        "${as_root[@]}" update-rc.d "$service" disable >/dev/null 2>&1 || true
        say "setup: $service is installed, its system service is off (systemctl enable $service turns it on)"
    done
}

# ---- PyPI ---------------------------------------------------------------------------------------

# In a folder beside what is built; nothing of the system's Python is touched.
install_python_packages() {
    local venv=${CARGO_TARGET_DIR:-target}/lab/venv
    local wanted=${python_packages[*]}
    [[ -x $venv/bin/python && $(cat "$venv/installed" 2>/dev/null) == "$wanted" ]] && return
    say "setup: installing into $venv for a real WebRTC server: $wanted"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "${python_packages[@]}"
    printf '%s' "$wanted" >"$venv/installed"
}

# ---- npm ----------------------------------------------------------------------------------------

# Leads Chromium in a test. Without npm that test says that it is skipped.
install_npm_packages() {
    local folder=${CARGO_TARGET_DIR:-target}/lab/npm
    local wanted=${npm_packages[*]}
    command -v npm >/dev/null || return 0
    [[ $(cat "$folder/installed" 2>/dev/null) == "$wanted" ]] && return
    say "setup: installing into $folder to lead Chromium in a test: $wanted"
    mkdir -p "$folder"
    # A Node.js that is too old for them is told here, not by a test that fails.
    npm install --loglevel=error --engine-strict --no-audit --no-fund --prefix "$folder" "${npm_packages[@]}"
    printf '%s' "$wanted" >"$folder/installed"
}

# ---- other systems -----------------------------------------------------------------------------

require_programs() {
    local missing=()
    pkg-config --exists gstreamer-1.0 gstreamer-video-1.0 gstreamer-app-1.0 gstreamer-webrtc-1.0 2>/dev/null || missing+=("the development files of GStreamer, gst-plugins-base and gst-plugins-bad, and pkg-config")
    local element
    for element in rtmp2src flvdemux h264parse avdec_h264 x264enc webrtcbin nicesrc; do
        gst-inspect-1.0 "$element" >/dev/null 2>&1 || missing+=("the GStreamer element $element")
    done
    local program
    for program in cc nginx ffmpeg; do
        PATH=$PATH:/usr/sbin:/usr/local/sbin command -v "$program" >/dev/null || missing+=("$program")
    done
    compgen -G '/usr/*/nginx/modules/ngx_rtmp_module.so' >/dev/null ||
        compgen -G '/usr/local/*/nginx/modules/ngx_rtmp_module.so' >/dev/null ||
        compgen -G '/opt/homebrew/*/nginx/modules/ngx_rtmp_module.so' >/dev/null ||
        missing+=("the RTMP module of nginx")
    ((${#missing[@]})) || return 0

    say "setup: this is no Debian or Ubuntu, so please install by hand what is missing:"
    printf '  - %s\n' "${missing[@]}" >&2
    case $(. /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}" || uname -s) in
        *fedora* | *rhel*)
            say "Fedora: dnf install gcc pkgconf gstreamer1-devel gstreamer1-plugins-base-devel gstreamer1-plugins-bad-free-devel libnice-gstreamer1 gstreamer1-plugins-{base,good,bad-free,ugly} gstreamer1-plugin-libav nginx nginx-mod-rtmp ffmpeg dejavu-sans-fonts python3-gobject gstreamer1-rtsp-server valgrind (some of them from RPM Fusion)"
            ;;
        *arch*)
            say "Arch: pacman -S gcc pkgconf gstreamer gst-plugins-{base,good,bad,ugly} gst-libav libnice nginx nginx-mod-rtmp ffmpeg ttf-dejavu python-gobject gst-rtsp-server valgrind (nginx-mod-rtmp may be in the AUR)"
            ;;
        *Darwin*)
            say "macOS: brew install pkgconf gstreamer ffmpeg pygobject3, and an nginx with its RTMP module (brew tap denji/nginx; brew install nginx-full --with-rtmp-module)"
            ;;
    esac
    exit 1
}

# ---- Rust --------------------------------------------------------------------------------------

require_rust() {
    local needed
    needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    has_rust "$needed" && return
    if command -v rustup >/dev/null; then
        say "setup: installing the stable Rust toolchain, since Rust $needed or newer is needed"
        rustup toolchain install stable --profile minimal --component rustfmt --component clippy
        has_rust "$needed" && return
        die "the default toolchain is still older than $needed: run 'rustup default stable', or 'RUSTUP_TOOLCHAIN=stable make …'"
    fi
    say "setup: Rust $needed or newer is needed and cargo is $(cargo --version 2>/dev/null || echo 'not installed')."
    say "  The cargo of Debian 12 is too old. Install rustup, Rust's own installer, as https://rustup.rs says"
    say "  (Debian 13, Ubuntu 24.04 and newer: apt-get install rustup), then: rustup default stable"
    exit 1
}

has_rust() {
    local version
    version=$(cargo --version 2>/dev/null | cut -d' ' -f2) && [[ -n $version ]] &&
        [[ $(printf '%s\n' "$1" "$version" | sort -V | head -n1) == "$1" ]]
}

say() { printf '%s\n' "$*" >&2; }
die() {
    say "setup: $*"
    exit 1
}

main
