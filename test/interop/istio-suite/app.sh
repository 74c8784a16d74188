#!/bin/sh
# The echo program of Istio's tests with its image's certificates: its client if the first argument is a URL, and
# otherwise its server.
programs="$(dirname "$0")/../../../.cache/interop/istio-suite"
case "$1" in
*://*) exec "$programs/client" "$@" ;;
esac
count=$#
while [ "$count" -gt 0 ]; do
  word=$1
  shift
  case "$word" in
  --crt=/cert.crt) word="--crt=$programs/cert-chain.pem" ;;
  --key=/cert.key) word="--key=$programs/key.pem" ;;
  --ca=/root-cert.pem) word="--ca=$programs/root-cert.pem" ;;
  esac
  set -- "$@" "$word"
  count=$((count - 1))
done
exec "$programs/server" "$@"
