#!/bin/sh
# Runs a command in its own namespaces. There, this machine has all of 10.0.0.0/8, and istiod's name resolves to a
# loopback address. All processes of the namespaces end together with the command.
exec unshare -Unmpf -r --kill-child=KILL --mount-proc sh -c '
  ip link set lo up && ip route add local 10.0.0.0/8 dev lo && mount -t tmpfs tmpfs /mnt && printf "127.0.0.1 localhost istiod.istio-system.svc\n" >/mnt/hosts && mount --bind /mnt/hosts /etc/hosts || exit 1
  "$0" "$@"; exit $?' "$@"
