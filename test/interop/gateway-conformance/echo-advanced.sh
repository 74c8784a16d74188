#!/bin/sh
# Istio's echo, as in the conformance suite's image: its client if the first argument is a URL, and otherwise its
# server.
programs="$(dirname "$0")/../../../.cache/interop/gateway-conformance"
case "$1" in
*://*) exec "$programs/client" "$@" ;;
esac
count=$#
while [ "$count" -gt 0 ]; do
  word=$1
  shift
  case "$word" in
  --crt=*) word="--crt=$programs/cert.crt" ;;
  --key=*) word="--key=$programs/cert.key" ;;
  esac
  set -- "$@" "$word"
  count=$((count - 1))
done
exec "$programs/echo-server" "$@"
