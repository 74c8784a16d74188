import type { ConnectionInfo } from "../connection-info.ts";

export type ConnectionVerdict = "allow" | "deny";

/** One step that a connection passes before its first byte is served, in the order of the configuration. It keeps no state of a connection. */
export interface NetworkFilter {
  /** As configured: `envoy.filters.network.rbac`. */
  readonly name: string;
  /**
   * `deny`: the connection is closed without a byte. A promise, which never rejects, holds the connection until it settles.
   * `metadata` is what filters of the connection tell each other, by the name of the one that said it.
   */
  onConnection(info: ConnectionInfo, metadata: Map<string, unknown>): ConnectionVerdict | Promise<ConnectionVerdict>;
}

/** Runs the filters one after the other; the first that denies decides. A promise only when one of them took time. */
export function judgeConnection(
  filters: readonly NetworkFilter[],
  info: ConnectionInfo,
): ConnectionVerdict | Promise<ConnectionVerdict> {
  if (filters.length === 0) return "allow";
  const metadata = new Map<string, unknown>();
  for (const [index, filter] of filters.entries()) {
    const verdict = filter.onConnection(info, metadata);
    if (verdict instanceof Promise) return judgeRest(verdict, filters.slice(index + 1), info, metadata);
    if (verdict === "deny") return verdict;
  }
  return "allow";
}

async function judgeRest(
  first: Promise<ConnectionVerdict>,
  rest: readonly NetworkFilter[],
  info: ConnectionInfo,
  metadata: Map<string, unknown>,
): Promise<ConnectionVerdict> {
  if ((await first) === "deny") return "deny";
  for (const filter of rest) if ((await filter.onConnection(info, metadata)) === "deny") return "deny";
  return "allow";
}
