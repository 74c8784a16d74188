import type { ConnectionInfo } from "../terms/connection-info.ts";

export type ConnectionVerdict = "allow" | "deny";

/**
 * One step that a connection passes before its first byte is served, in the order of the configuration. All connections
 * share the filter object, so it must not hold the state of one connection.
 */
export interface NetworkFilter {
  /** The configured name, such as `envoy.filters.network.rbac`. */
  readonly name: string;
  /**
   * Judges a connection. `deny` closes it without a byte. A promise, which must never reject, holds the connection
   * until it settles. The connection's filters share `metadata`, whose keys are the names of the filters that set the
   * values.
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
