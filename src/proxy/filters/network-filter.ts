import type { ConnectionInfo } from "../connection-info.ts";

/** One step that a connection passes before its first byte is served, in the order of the configuration. It keeps no state of a connection. */
export interface NetworkFilter {
  /** As configured: `envoy.filters.network.rbac`. */
  readonly name: string;
  /** `deny`: the connection is closed without a byte. */
  onConnection(info: ConnectionInfo): "allow" | "deny";
}
