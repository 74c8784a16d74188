#!/usr/bin/env bash
# Fetches the two kubectls that the end-to-end tests drive, to .cache/kubectl/. `kubectl-1.20` comes from Debian 12's
# package, which is unpacked and not installed. `kubectl` is a current one, built from its Go module. Replaces a
# `kubectl` of another version. Needs apt-get, dpkg and Go.
set -euo pipefail
cd "$(dirname "$0")/../.."
current=v1.36.3
target="$PWD/.cache/kubectl"
mkdir -p "$target"

fetch_old() {
  local scratch
  scratch=$(mktemp -d)
  (cd "$scratch" && apt-get download kubernetes-client >/dev/null && dpkg -x kubernetes-client_*.deb unpacked)
  if ! "$scratch/unpacked/usr/bin/kubectl" version --client 2>/dev/null | grep -qF 'v1.20.'; then
    echo "apt offers no kubernetes-client 1.20. Run this on Debian 12, or add its package source" >&2
    return 1
  fi
  mv "$scratch/unpacked/usr/bin/kubectl" "$target/kubectl-1.20"
  rm -rf "$scratch"
}

build_current() {
  local scratch staging replacements=() module
  command -v go >/dev/null || { echo "Go is missing. Install it: it builds a current kubectl" >&2; return 1; }
  scratch=$(mktemp -d)
  export GOFLAGS=-mod=mod
  (
    cd "$scratch"
    go mod init kubectl-build 2>/dev/null
    # Kubernetes' module expects its libraries in its own tree, but the module's archive lacks them. Use their releases.
    staging="v0.${current#v1.}"
    while read -r module; do replacements+=("-replace=$module=$module@$staging"); done < <(
      go mod edit -json "$(go mod download -json "k8s.io/kubernetes@$current" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')" |
        sed -n '/"Replace"/,$ s/^\t*"Path": "\(k8s\.io\/.*\)",\{0,1\}$/\1/p' | sort -u
    )
    go mod edit "-require=k8s.io/kubernetes@$current" "${replacements[@]}"
    local version=k8s.io/component-base/version
    IFS=. read -r major minor _ <<<"${current#v}"
    go build -trimpath -o "$target/kubectl.new" \
      -ldflags "-s -w -X $version.gitVersion=$current -X $version.gitMajor=$major -X $version.gitMinor=$minor -X $version.gitTreeState=clean" \
      k8s.io/kubernetes/cmd/kubectl
  )
  mv "$target/kubectl.new" "$target/kubectl"
  rm -rf "$scratch"
}

if [ ! -x "$target/kubectl-1.20" ]; then fetch_old 2> >(grep -v 'unsandboxed as root' >&2); fi
if [ ! -x "$target/kubectl" ] || ! "$target/kubectl" version --client 2>/dev/null | grep -qF "$current"; then build_current; fi
for kubectl in "$target/kubectl-1.20" "$target/kubectl"; do
  printf '%s: %s\n' "${kubectl#"$PWD/"}" "$("$kubectl" version --client 2>/dev/null | head -n 1)"
done
