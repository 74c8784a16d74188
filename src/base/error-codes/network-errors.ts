import type { ErrorEntry } from "./error-entry.ts";

export const networkErrors = {
  "address-in-use": {
    meaning: "Another program listens on the address.",
    remedy: "End that program, or choose another port.",
  },
  "cannot-listen": {
    meaning: "The process cannot listen on the address.",
    remedy: "Check that the machine has the address, and choose a port above 1023 or grant the capability.",
  },
  "address-invalid": {
    meaning: "The text is not an address, a range or a URL of the expected form.",
    remedy: "Correct the address.",
  },
  "address-blocked": {
    meaning: "The address is in a network to which the process may not connect.",
    remedy: "Name a server outside of these networks, or shorten the list of blocked networks.",
  },
  "address-not-available": {
    meaning: "The machine does not have the local address.",
    remedy: "Use an address of this machine.",
  },
  aborted: {
    meaning: "The operation was cancelled, because its caller ended.",
    remedy: "Nothing.",
    silent: true,
  },
  timeout: {
    meaning: "There was no answer in time.",
    remedy: "Check that the server runs and that no firewall or NetworkPolicy drops the packets.",
  },
  unreachable: {
    meaning: "The server cannot be reached, or the connection to it broke.",
    remedy: "Check the address, and that the server runs.",
  },
  "connection-refused": {
    meaning: "Nothing listens on the address.",
    remedy: "Check the port, and that the server runs.",
  },
  "connection-reset": {
    meaning: "The peer reset the connection.",
    remedy: "Look at the peer's log. A single reset may be a restart.",
  },
  "connection-aborted": {
    meaning: "The connection was aborted before it was open.",
    remedy: "Repeat the request.",
  },
  "connection-closed": {
    meaning: "The peer closed the connection before it answered.",
    remedy: "Look at the peer's log. A single close may be a restart.",
  },
  "not-connected": {
    meaning: "The socket has no connection.",
    remedy: "Repeat the request.",
  },
  "host-unreachable": {
    meaning: "No route leads to the host, or the host is down.",
    remedy: "Check the routes and the host.",
  },
  "network-unreachable": {
    meaning: "No route leads to the network.",
    remedy: "Check the routes of this machine or pod.",
  },
  "network-failure": {
    meaning: "A network operation failed. The error's `reason` contains the system's error name.",
    remedy: "Read the reason in the message.",
    silent: true,
  },
  "resources-exhausted": {
    meaning: "The machine has no memory, buffers or descriptors left.",
    remedy: "Raise the limits of the process, or give the machine more memory.",
  },
  "permission-denied": {
    meaning: "The process lacks a permission or a capability.",
    remedy: "Grant the capability that the message names, or run as a user who has it.",
    silent: true,
  },
  "kernel-support-missing": {
    meaning: "The node's kernel lacks a feature that the process needs.",
    remedy: "Load the kernel's modules that the message names.",
    silent: true,
  },
  "http-status": {
    meaning: "The server answered with an HTTP status that means failure. The error's `reason` contains the status.",
    remedy: "Look at the server's log.",
  },
  busy: {
    meaning: "A queue, pool or cache has reached its bound.",
    remedy: "Nothing. The caller tries again. If the error lasts, look for the slow reader.",
    silent: true,
  },
  "dns-no-server": {
    meaning: "No name server is configured.",
    remedy: "Look at /etc/resolv.conf of the pod or machine.",
  },
  "dns-no-address": {
    meaning: "The name has no address to which the proxy may forward.",
    remedy: "Check the name, and the cluster's rules for dynamic forwarding.",
  },
  "socket-path-long": {
    meaning: "The path of a Unix socket is longer than the kernel accepts.",
    remedy: "Choose a shorter path.",
  },
  "http2-failed": {
    meaning: "The HTTP/2 handshake with the peer failed, or the peer broke the protocol.",
    remedy: "Check that the peer speaks HBONE on this port.",
  },
  "tunnel-refused": {
    meaning: "The peer refused the HBONE tunnel before it carried any byte.",
    remedy: "Nothing. The request takes another connection.",
    silent: true,
  },
  "tunnel-unanswered": {
    meaning: "The peer closed the connection before it answered CONNECT.",
    remedy: "Nothing. The request takes another connection, if that is safe.",
    silent: true,
  },
  "tunnel-broken": {
    meaning: "The peer reset the HBONE tunnel, or does not answer pings.",
    remedy: "Look at the log of the peer's ztunnel or waypoint.",
  },
  draining: {
    meaning: "The process is ending, so it opens no new connections.",
    remedy: "Nothing. Another process accepts new connections.",
    silent: true,
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;
