/**
 * How inbound connections reach the proxy. With `REDIRECT`, their destination becomes a port of the proxy, and the
 * application sees the proxy's address as the client's. With `TPROXY`, their addresses stay unchanged, and the
 * application sees the client's address. With `NONE`, no connection is redirected.
 */
export type InterceptionMode = "REDIRECT" | "TPROXY" | "NONE";

export const redirectTable = "serin-sidecar";
/** The bits of a mark that count. */
export const markMask = 0xfff;
/** Marks the proxy's own connections on machines where the uid cannot distinguish them. */
const proxyMark = 1337;
/** The mark of packets that stay in this pod in mode TPROXY, whatever their addresses are. */
export const transparentMark = 1337;
/** Upstream's route table for this mark. */
export const transparentTable = 133;
/** The mark of the proxy's own connections in mode TPROXY, as in upstream Istio. */
const proxyMarkBesideTransparent = 1338;

/** The mark of the proxy's own connections. */
export function ownMark(mode: InterceptionMode): number {
  return mode === "TPROXY" ? proxyMarkBesideTransparent : proxyMark;
}

export const tcp: RedirectCondition = { kind: "protocol", protocol: "tcp" };

/**
 * The chains of the redirect. Those that translate addresses see the first packets of connections. Those of mode TPROXY
 * come before, and see all packets. `mark-output` makes the kernel choose the route again.
 */
export const redirectChains = {
  "mark-prerouting": { type: "filter", hook: "prerouting", priority: -150 },
  "mark-output": { type: "route", hook: "output", priority: -150 },
  prerouting: { type: "nat", hook: "prerouting", priority: -100 },
  output: { type: "nat", hook: "output", priority: -100 },
} as const;

/** One rule of the redirect: the packets that it matches, and what happens to them. */
export interface RedirectRule {
  readonly chain: keyof typeof redirectChains;
  readonly when: readonly RedirectCondition[];
  readonly verdict: RedirectVerdict;
}

export type RedirectVerdict =
  | { readonly kind: "pass" | "drop" }
  /** Redirects the packet to a port of this pod. */
  | { readonly kind: "redirect"; readonly port: number }
  /**
   * Delivers the packet to the transparent socket on a port of this pod. Source and destination stay unchanged. Without
   * such a socket, the rule does not match.
   */
  | { readonly kind: "intercept"; readonly port: number; readonly mark: number }
  /** The packet, or all of its connection, gets the mark and passes. */
  | { readonly kind: "mark" | "mark-connection"; readonly mark: number };

export type RedirectCondition =
  | { readonly kind: "protocol"; readonly protocol: "tcp" | "udp" }
  | { readonly kind: "port"; readonly port: number; readonly not?: boolean }
  | { readonly kind: "source" | "destination"; readonly range: string; readonly not?: boolean }
  | { readonly kind: "input" | "output"; readonly interface: string }
  | { readonly kind: "uid" | "gid"; readonly id: number }
  | { readonly kind: "mark" | "connection-mark"; readonly mark: number }
  /** The packet comes from the side that opened the connection. */
  | { readonly kind: "opener" }
  /** The packet opens a connection (SYN without ACK), whatever state the kernel assigns to it. */
  | { readonly kind: "start" };

/** Makes rules of a chain that redirect the matching packets to a port, or let them pass. */
export function ruleOf(
  chain: RedirectRule["chain"],
): (port: number | undefined, ...when: readonly RedirectCondition[]) => RedirectRule {
  return (port, ...when) => ({
    chain,
    when,
    verdict: port === undefined ? { kind: "pass" } : { kind: "redirect", port },
  });
}
