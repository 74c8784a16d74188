import type { ConnectedProxy } from "../../api/serin/index.ts";

type TypeState = ConnectedProxy["types"][string];

const order = ["CDS", "LDS", "EDS", "RDS"];

/** Sorts CDS, LDS, EDS, RDS first, then the others by name. */
export function compareTypes(a: string, b: string): number {
  const rank = (name: string): number => (order.indexOf(name) + order.length + 1) % (order.length + 1);
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}

export type SyncState = "SYNCED" | "STALE" | "ERROR" | "NOT_SENT";

/**
 * The state of a type, in the terms of xDS's status service. ERROR: the proxy rejected the push. STALE: it has not
 * acknowledged it yet.
 */
export function syncStateOf({ sent, acked, reason }: TypeState): SyncState {
  if (reason !== null) return "ERROR";
  if (sent === "") return "NOT_SENT";
  return sent === acked ? "SYNCED" : "STALE";
}
