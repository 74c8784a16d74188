#!/bin/sh
# Istio's echo, as the conformance suite's image has it: its client where the first word is an URL, else its server.
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
