#!/usr/bin/env bash
# Builds Gateway API's conformance suite and the echo servers of its manifests from their Go modules, and copies a
# certificate for them. They are in .cache/interop/gateway-conformance/{suite,echo-basic,echo-server,client}. Existing
# files are not replaced. Needs Go. The build takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=v1.6.0
istio=v0.0.0-20260827124520-eed52ebb66ad
api=v1.31.1
target="$PWD/.cache/interop/gateway-conformance"
mkdir -p "$target"
export GOFLAGS=-mod=mod CGO_ENABLED=0

# Arguments: the module's name, the package to import, and the edits of go.mod.
module() {
  local name=$1 import=$2
  shift 2
  go mod init "$name" 2>/dev/null
  go mod edit "$@"
  printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$import" >tools.go
  go mod tidy -e 2>/dev/null
}

build_suite() (
  cd "$1"
  module conformance-build sigs.k8s.io/gateway-api/conformance "-require=sigs.k8s.io/gateway-api/conformance@$version" "-require=sigs.k8s.io/gateway-api@$version"
  [[ -x $target/suite ]] || go test -c -trimpath -ldflags "-s -w" -o "$target/suite" sigs.k8s.io/gateway-api/conformance
  [[ -x $target/echo-basic ]] || go build -trimpath -ldflags "-s -w" -o "$target/echo-basic" sigs.k8s.io/gateway-api/conformance/echo-basic
)

# The suite's "echo-advanced" is Istio's echo server together with its client.
build_echo() (
  cd "$1"
  module echo-build istio.io/istio/pkg/test/echo/cmd/server "-require=istio.io/istio@$istio" "-replace=istio.io/api=istio.io/api@$api" "-replace=istio.io/client-go=istio.io/client-go@$api" \
    -replace=github.com/envoyproxy/go-control-plane/envoy=github.com/envoyproxy/go-control-plane/envoy@v1.40.0 \
    -replace=github.com/envoyproxy/go-control-plane/contrib=github.com/envoyproxy/go-control-plane/contrib@v1.36.1-0.20260729145720-a2d8c7492908
  [[ -x $target/client ]] || go build -trimpath -ldflags "-s -w" -o "$target/client" istio.io/istio/pkg/test/echo/cmd/client
  certificates="$(go list -m -f '{{.Dir}}' istio.io/istio)/tests/testdata/certs/dns"
  install -m 644 "$certificates/cert-chain.pem" "$target/cert.crt"
  install -m 644 "$certificates/key.pem" "$target/cert.key"
  [[ -x $target/echo-server ]] || go build -trimpath -ldflags "-s -w" -o "$target/echo-server" istio.io/istio/pkg/test/echo/cmd/server
)

missing=false
for program in suite echo-basic echo-server client; do [[ -x $target/$program ]] || missing=true; done
[[ -f $target/cert.key ]] || missing=true
if $missing; then
  command -v go >/dev/null || { echo "Go is missing. Install it: it builds the conformance suite" >&2; exit 1; }
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  mkdir "$scratch/suite" "$scratch/echo"
  build_suite "$scratch/suite"
  build_echo "$scratch/echo"
fi
printf '.cache/interop/gateway-conformance: sigs.k8s.io/gateway-api/conformance %s\n' "$version"
