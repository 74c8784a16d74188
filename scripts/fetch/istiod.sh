#!/usr/bin/env bash
# Builds Istio's control plane and command line from their Go module, and copies its charts and the inputs of the tests
# of its analyzers. They are in .cache/interop/{pilot-discovery,istioctl,istio-charts,istio-analyzers}. Existing
# programs are not built again. Needs Go. The build takes some minutes.
# Use: ISTIOD=.cache/interop/pilot-discovery npm run interop
set -euo pipefail
cd "$(dirname "$0")/../.."
istio=v0.0.0-20260827124520-eed52ebb66ad
api=v1.31.1
target="$PWD/.cache/interop"
mkdir -p "$target"
command -v go >/dev/null || { echo "Go is missing. Install it: it builds upstream's control plane" >&2; exit 1; }
export GOFLAGS=-mod=mod

build() {
  local scratch
  scratch=$(mktemp -d)
  (
    cd "$scratch"
    go mod init istio-build 2>/dev/null
    # The module names some versions by commit. Replace them by the closest releases.
    go mod edit "-require=istio.io/istio@$istio" "-replace=istio.io/api=istio.io/api@$api" "-replace=istio.io/client-go=istio.io/client-go@$api" \
      -replace=github.com/envoyproxy/go-control-plane/envoy=github.com/envoyproxy/go-control-plane/envoy@v1.40.0 \
      -replace=github.com/envoyproxy/go-control-plane/contrib=github.com/envoyproxy/go-control-plane/contrib@v1.36.1-0.20260729145720-a2d8c7492908
    printf '//go:build tools\n\npackage tools\n\nimport (\n\t_ "istio.io/istio/istioctl/cmd/istioctl"\n\t_ "istio.io/istio/pilot/cmd/pilot-discovery"\n)\n' >tools.go
    go mod tidy -e 2>/dev/null
    rm -rf "$target/istio-charts"
    cp -r "$(go list -m -f '{{.Dir}}' istio.io/istio)/manifests/charts" "$target/istio-charts"
    chmod -R u+w "$target/istio-charts"
    analysis=$(go list -m -f '{{.Dir}}' istio.io/istio)/pkg/config/analysis
    mkdir -p "$target/istio-analyzers"
    cp -r --no-preserve=mode "$analysis/msg/messages.yaml" "$analysis/analyzers/"{analyzers_test.go,testdata} "$target/istio-analyzers"
    [[ -x $target/pilot-discovery ]] || go build -trimpath -ldflags "-s -w" -o "$target/pilot-discovery" istio.io/istio/pilot/cmd/pilot-discovery
    [[ -x $target/istioctl ]] || go build -trimpath -ldflags "-s -w" -o "$target/istioctl" istio.io/istio/istioctl/cmd/istioctl
  )
  rm -rf "$scratch"
}

[[ -x $target/pilot-discovery && -x $target/istioctl && -d $target/istio-charts && -d $target/istio-analyzers ]] || build
printf '.cache/interop/{pilot-discovery,istioctl}: istio.io/istio %s\n' "$istio"
