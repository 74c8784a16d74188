#!/usr/bin/env bash
# Builds the helm programs that tests drive, from their Go modules, as .cache/helm/helm-3 and helm-4. Arguments select
# some of them (`helm.sh 3`). Replaces a file of another version. Needs Go.
set -euo pipefail
cd "$(dirname "$0")/../.."
target="$PWD/.cache/helm"
declare -A versions=([3]=v3.21.4 [4]=v4.3.1)
mkdir -p "$target"

build() {
  local major=$1 version=$2 scratch
  command -v go >/dev/null || { echo "Go is missing. Install it: it builds helm" >&2; return 1; }
  scratch=$(mktemp -d)
  local internal="helm.sh/helm/v$major/internal/version"
  GOBIN="$scratch" GOFLAGS=-mod=mod go install -trimpath -ldflags "-s -w -X $internal.version=$version" "helm.sh/helm/v$major/cmd/helm@$version"
  mv "$scratch/helm" "$target/helm-$major"
  rm -rf "$scratch"
}

[ $# -gt 0 ] || set -- 3 4
for major; do
  version=${versions[$major]:-}
  [ -n "$version" ] || { echo "unknown major version of helm "$major": expected 3 or 4" >&2; exit 1; }
  if ! "$target/helm-$major" version --short 2>/dev/null | grep -qF "$version"; then build "$major" "$version"; fi
  printf '%s: %s\n' ".cache/helm/helm-$major" "$("$target/helm-$major" version --short 2>/dev/null)"
done
