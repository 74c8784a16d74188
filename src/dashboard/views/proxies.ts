import type { LadderProxy } from "../../api/dashboard/index.ts";
import { shortTypeOf, type ConnectedProxy } from "../../api/serin/index.ts";
import { timeMs } from "./mesh-objects.ts";

type TypeState = ConnectedProxy["types"][string];

/** The maximum length of a reason. It names every rejected resource, and the first few are enough. */
const maxReason = 400;

export function proxyRow({
  id,
  type,
  namespace,
  node,
  version,
  revision,
  connectedAt,
  types,
}: ConnectedProxy): LadderProxy {
  const { pod, home } = podOf(id, namespace);
  const connectedAtMs = timeMs(connectedAt);
  return {
    pod,
    namespace: home,
    type: typeOf(type),
    revision,
    version,
    node,
    ...stateOf(types),
    ...(connectedAtMs === undefined ? {} : { connectedAtMs }),
  };
}

/** The pod in a proxy's id: `sidecar~10.0.0.1~pod.namespace~domain` in xDS, or `pod.namespace`. */
function podOf(id: string, namespace: string): { readonly pod: string; readonly home: string } {
  const name = id.includes("~") ? (id.split("~")[2] ?? "") : id;
  const dot = name.lastIndexOf(".");
  return dot < 0
    ? { pod: name, home: namespace }
    : { pod: name.slice(0, dot), home: namespace === "" ? name.slice(dot + 1) : namespace };
}

function typeOf(type: string): LadderProxy["type"] {
  if (type === "waypoint" || type === "ztunnel") return type;
  return type === "router" || type === "gateway" ? "gateway" : "sidecar";
}

function stateOf(types: ConnectedProxy["types"]): Pick<LadderProxy, "state" | "reason"> {
  const all = Object.entries(types);
  const rejected = all.filter(([, { reason }]) => reason !== null);
  if (rejected.length > 0)
    return {
      state: "rejected",
      reason: rejected
        .map(([url, { reason }]) => `${shortTypeOf(url)}: ${reason ?? ""}`)
        .join("; ")
        .slice(0, maxReason),
    };
  const stale = all.filter(([, state]) => isStale(state));
  if (stale.length > 0)
    return {
      state: "stale",
      reason: stale
        .map(
          ([url, { sent, acked }]) =>
            `${shortTypeOf(url)}: the control plane sent ${sent}, and the proxy acknowledged ${acked === "" ? "none" : acked}`,
        )
        .join("; ")
        .slice(0, maxReason),
    };
  return { state: "synced", reason: "" };
}

function isStale({ sent, acked }: TypeState): boolean {
  return sent !== "" && sent !== acked;
}
