#!/bin/sh
# The echo server of Istio's tests, with the certificates of its image.
programs="$(dirname "$0")/../../../.cache/interop/istio-suite"
certificates="$programs/source/tests/testdata/certs/dns"
count=$#
while [ "$count" -gt 0 ]; do
  word=$1
  shift
  case "$word" in
  --crt=/cert.crt) word="--crt=$certificates/cert-chain.pem" ;;
  --key=/cert.key) word="--key=$certificates/key.pem" ;;
  --ca=/root-cert.pem) word="--ca=$certificates/root-cert.pem" ;;
  esac
  set -- "$@" "$word"
  count=$((count - 1))
done
exec "$programs/server" "$@"
