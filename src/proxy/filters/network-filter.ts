import type { ConnectionInfo } from "../terms/connection-info.ts";

export type ConnectionVerdict = "allow" | "deny";

/**
 * One step that a connection passes before its first byte is served, in the order of the configuration. It has no state
 * of a connection.
 */
export interface NetworkFilter {
  /** The configured name, such as `envoy.filters.network.rbac`. */
  readonly name: string;
  /**
   * `deny` closes the connection without a byte. A promise, which never rejects, holds the connection until it settles.
   * `metadata` is shared by the connection's filters, by the name of the filter that set it.
   */
  onConnection(info: ConnectionInfo, metadata: Map<string, unknown>): ConnectionVerdict | Promise<ConnectionVerdict>;
}

/** Runs the filters in their order. The first denial decides. Returns a promise only if a filter returned one. */
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
