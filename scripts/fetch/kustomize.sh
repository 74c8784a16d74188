#!/usr/bin/env bash
# Builds the kustomize that the interop tests drive, from its Go module, in .cache/interop/. Replaces a file of another
# version. Needs Go.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=v5.8.1
target="$PWD/.cache/interop"
mkdir -p "$target"
provenance=sigs.k8s.io/kustomize/api/provenance

build() {
  local scratch
  command -v go >/dev/null || { echo "Go is missing. Install it: it builds kustomize" >&2; return 1; }
  scratch=$(mktemp -d)
  GOBIN="$scratch" GOFLAGS=-mod=mod go install -trimpath -ldflags "-s -w -X $provenance.version=$version" "sigs.k8s.io/kustomize/kustomize/v5@$version"
  mv "$scratch/kustomize" "$target/kustomize"
  rm -rf "$scratch"
}

if ! "$target/kustomize" version 2>/dev/null | grep -qF "$version"; then build; fi
printf '.cache/interop/kustomize: %s\n' "$("$target/kustomize" version)"
