/**
 * How inbound connections reach the proxy. With `REDIRECT`, the kernel changes their destination to a port of the
 * proxy, and the application sees the proxy's address instead of the client's. With `TPROXY`, the addresses stay
 * unchanged, and the application sees the client's address. With `NONE`, no connection is redirected.
 */
export type InterceptionMode = "REDIRECT" | "TPROXY" | "NONE";

export const redirectTable = "serin-sidecar";
/** The bits that are compared when a rule matches a mark. */
export const markMask = 0xfff;
/** The mark of the proxy's own connections. It identifies them where the proxy's uid cannot. */
const proxyMark = 1337;
/** The mark of packets that must stay in this pod in mode TPROXY, whatever their addresses are. */
export const transparentMark = 1337;
/** The route table for packets with {@link transparentMark}. Upstream uses the same number. */
export const transparentTable = 133;
/** The mark of the proxy's own connections in mode TPROXY, as in upstream Istio. */
const proxyMarkBesideTransparent = 1338;

export function ownMark(mode: InterceptionMode): number {
  return mode === "TPROXY" ? proxyMarkBesideTransparent : proxyMark;
}

export const tcp: RedirectCondition = { kind: "protocol", protocol: "tcp" };

/**
 * The chains of the redirect. Chains of type `nat` see only the first packet of each connection. The chains of mode
 * TPROXY come before them, and see all packets. `mark-output` has the type `route`, so the kernel chooses the route
 * again after this chain.
 */
export const redirectChains = {
  "mark-prerouting": { type: "filter", hook: "prerouting", priority: -150 },
  "mark-output": { type: "route", hook: "output", priority: -150 },
  prerouting: { type: "nat", hook: "prerouting", priority: -100 },
  output: { type: "nat", hook: "output", priority: -100 },
} as const;

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
  /** Sets the mark of the packet or of its connection, and lets the packet pass. */
  | { readonly kind: "mark" | "mark-connection"; readonly mark: number };

export type RedirectCondition =
  | { readonly kind: "protocol"; readonly protocol: "tcp" | "udp" }
  | { readonly kind: "port"; readonly port: number; readonly not?: boolean }
  | { readonly kind: "source" | "destination"; readonly range: string; readonly not?: boolean }
  | { readonly kind: "input" | "output"; readonly interface: string }
  | { readonly kind: "uid" | "gid"; readonly id: number }
  | { readonly kind: "mark" | "connection-mark"; readonly mark: number }
  /** Matches packets from the side that opened the connection. */
  | { readonly kind: "opener" }
  /** Matches packets that open a connection (SYN without ACK), whatever connection state the kernel assigns to them. */
  | { readonly kind: "start" };

/**
 * Returns a function that makes rules of a chain. A rule redirects the matching packets to `port`, or lets them pass if
 * `port` is undefined.
 */
export function ruleOf(
  chain: RedirectRule["chain"],
): (port: number | undefined, ...when: readonly RedirectCondition[]) => RedirectRule {
  return (port, ...when) => ({
    chain,
    when,
    verdict: port === undefined ? { kind: "pass" } : { kind: "redirect", port },
  });
}
