import type { SourceState } from "../../../api/dashboard/index.ts";
import { formatClock } from "../format.ts";
import type { LiveState } from "../live/index.ts";

export interface LiveStatus {
  readonly kind: LiveState["kind"] | "away";
  readonly text: string;
}

/**
 * The state of the connection, for the header. If the server has lost the cluster, nothing on the page is live,
 * although the page is connected to its server.
 */
export function liveStatus(state: LiveState, sources: readonly SourceState[]): LiveStatus {
  const cluster = sources.find(({ name }) => name === "kubernetes");
  if (state.kind === "live" && cluster?.ok === false) {
    const since = cluster.asOfMs === undefined ? "" : ` since ${formatClock(cluster.asOfMs)}`;
    return { kind: "away", text: `cluster unreachable${since}` };
  }
  const text = {
    idle: "",
    connecting: "connecting",
    live: "live",
    reconnecting: state.kind === "reconnecting" ? `reconnecting since ${formatClock(state.sinceMs)}` : "",
    "logged-out": "log in",
  }[state.kind];
  return { kind: state.kind, text };
}
