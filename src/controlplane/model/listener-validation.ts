import { gatewayGroup, type Listener, type RouteGroupKind } from "../../api/gateway/index.ts";
import type { GatewayFacts } from "./facts.ts";
import { isWaypointClass } from "./gateway-class.ts";

/** What a listener's conditions say, and whether it serves. */
export interface ListenerVerdict {
  readonly listener: Listener;
  /** Routes may attach. */
  readonly attaches: boolean;
  /** It listens: what it refers to is there too. */
  readonly serves: boolean;
  readonly supportedKinds: readonly RouteGroupKind[];
  readonly accepted: Verdict;
  readonly conflicted: Verdict;
  readonly resolvedRefs: Verdict;
}

/** The reason and message of a fault; undefined when there is none. */
export type Verdict = { readonly reason: string; readonly message: string } | undefined;

const httpKinds: readonly RouteGroupKind[] = [
  { group: gatewayGroup, kind: "HTTPRoute" },
  { group: gatewayGroup, kind: "GRPCRoute" },
];

const tlsKind: RouteGroupKind = { group: gatewayGroup, kind: "TLSRoute" };
const tcpKind: RouteGroupKind = { group: gatewayGroup, kind: "TCPRoute" };

/**
 * Listeners of one port must speak one protocol (any in TLS), and have hostnames of their own; the first in the list wins.
 * `certificateOf` says what is wrong with a listener's certificates; who looks at attachment alone leaves it out.
 */
export function judgeListeners(gateway: GatewayFacts, certificateOf: (listener: Listener) => Verdict = () => undefined): readonly ListenerVerdict[] {
  const { listeners } = gateway.spec;
  return listeners.map((listener, index) => {
    const before = listeners.slice(0, index).filter((other) => other.port === listener.port);
    const tunnels = listener.protocol === "HBONE" && isWaypointClass(gateway.spec.gatewayClassName);
    const accepted = tunnels ? undefined : protocolVerdict(listener);
    const conflicted = conflictVerdict(listener, before);
    const { supportedKinds, resolvedRefs } = kindsOf(listener);
    const attaches = accepted === undefined && conflicted === undefined && (tunnels || supportedKinds.length > 0);
    const certificate = accepted === undefined ? certificateOf(listener) : undefined;
    return { listener, attaches, serves: attaches && certificate === undefined, supportedKinds, accepted, conflicted, resolvedRefs: resolvedRefs ?? certificate };
  });
}

function protocolVerdict(listener: Listener): Verdict {
  if (["HTTP", "HTTPS", "TLS", "TCP"].includes(listener.protocol)) return undefined;
  return { reason: "UnsupportedProtocol", message: `protocol ${listener.protocol} is not supported by this control plane` };
}

function conflictVerdict(listener: Listener, before: readonly Listener[]): Verdict {
  if (before.some((other) => familyOf(other) !== familyOf(listener))) {
    return { reason: "ProtocolConflict", message: `another listener has port ${listener.port} with another protocol` };
  }
  if (before.some((other) => (other.hostname ?? "*") === (listener.hostname ?? "*"))) {
    return { reason: "HostnameConflict", message: `another listener has port ${listener.port} and hostname ${listener.hostname ?? "*"}` };
  }
  return undefined;
}

/** Listeners in TLS are told apart by server names, whatever the TLS carries. */
function familyOf({ protocol }: Listener): string {
  return protocol === "HTTPS" ? "TLS" : protocol;
}

function possibleKinds({ protocol, tls }: Listener): readonly RouteGroupKind[] {
  switch (protocol) {
    case "HTTP":
    case "HTTPS":
      return httpKinds;
    case "TLS":
      return tls?.mode === "Terminate" ? [tlsKind, tcpKind] : [tlsKind];
    case "TCP":
      return [tcpKind];
    default:
      return [];
  }
}

function kindsOf(listener: Listener): { readonly supportedKinds: readonly RouteGroupKind[]; readonly resolvedRefs: Verdict } {
  const possible = possibleKinds(listener);
  const { kinds } = listener.allowedRoutes;
  if (kinds.length === 0) return { supportedKinds: possible, resolvedRefs: undefined };
  const isPossible = (wanted: RouteGroupKind): boolean => possible.some((kind) => kind.kind === wanted.kind && kind.group === wanted.group);
  const wrong = kinds.filter((kind) => !isPossible(kind));
  return {
    supportedKinds: kinds.filter(isPossible),
    resolvedRefs: wrong.length === 0 ? undefined : { reason: "InvalidRouteKinds", message: `route kinds ${wrong.map((kind) => kind.kind).join(", ")} do not fit protocol ${listener.protocol}` },
  };
}
