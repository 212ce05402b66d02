#!/bin/sh
# Builds the PTX of the kernels with the one NVRTC that is pinned here, or compares it with what is
# committed (--check: exit 1 on a difference). Needs Python 3 with venv, and the network once.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
case "${1-}" in
'' | --check) ;;
*)
    echo "usage: ptx.sh [--check]" >&2
    exit 2
    ;;
esac

version=12.4.127
cache=${XDG_CACHE_HOME:-$HOME/.cache}/framegate/nvrtc-$version
if [ ! -f "$cache/ready" ]; then
    echo "ptx: installing nvidia-cuda-nvrtc-cu12 $version into $cache" >&2
    rm -rf "$cache"
    python3 -m venv "$cache"
    cat >"$cache/requirements.txt" <<PINS
nvidia-cuda-nvrtc-cu12==$version \\
    --hash=sha256:a178759ebb095827bd30ef56598ec182b85547f1508941a3d560eb7ea1fbf338 \\
    --hash=sha256:0eedf14185e04b76aa05b1fea04133e59f465b6f960c0cbf4e37c3cb6b0ea198
PINS
    "$cache/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes -r "$cache/requirements.txt" >&2
    touch "$cache/ready"
fi

# The library finds its helper beside it.
library=$(echo "$cache"/lib/python3*/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12)
LD_LIBRARY_PATH=$(dirname "$library") exec "$cache/bin/python" "$here/ptx.py" "$library" "$@"
