#!/usr/bin/env bash
# Builds the CNCF's container registry from its Go module, as .cache/interop/registry. Replaces a file of another
# version. Needs Go.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=v3.1.2
target="$PWD/.cache/interop"
mkdir -p "$target"

build() {
  local scratch
  command -v go >/dev/null || { echo "Go is missing. Install it: it builds the registry" >&2; return 1; }
  scratch=$(mktemp -d)
  GOBIN="$scratch" GOFLAGS=-mod=mod go install -trimpath \
    -ldflags "-s -w -X github.com/distribution/distribution/v3/version.version=$version" \
    "github.com/distribution/distribution/v3/cmd/registry@$version"
  mv "$scratch/registry" "$target/registry"
  rm -rf "$scratch"
}

if ! "$target/registry" --version 2>/dev/null | grep -qF "$version"; then build; fi
printf '.cache/interop/registry: %s\n' "$("$target/registry" --version | sed "s/.* //")"
