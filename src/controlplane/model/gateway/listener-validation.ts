import { gatewayGroup, type Listener, type RouteGroupKind } from "../../../api/gateway/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import { hbonePort } from "../../../wire/hbone/index.ts";
import type { GatewayFacts } from "../facts.ts";
import { lacksTls, listenerFaults } from "./gateway-certificates.ts";
import { eastWestClassName, isWaypointClass } from "../gateway-class.ts";
import { gatewayListeners, type OwnedListener } from "./gateway-listeners.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import type { Verdict } from "../verdict.ts";

/** The conditions of a listener, and whether it serves. */
export interface ListenerVerdict extends OwnedListener {
  readonly attaches: boolean;
  readonly serves: boolean;
  /** Whether the listener is valid but does not listen. Other listeners may share its port. */
  readonly isPlaceholder: boolean;
  readonly supportedKinds: readonly RouteGroupKind[];
  readonly accepted: Verdict;
  readonly conflicted: Verdict;
  readonly resolvedRefs: Verdict;
}

const httpKinds: readonly RouteGroupKind[] = [
  { group: gatewayGroup, kind: "HTTPRoute" },
  { group: gatewayGroup, kind: "GRPCRoute" },
];

const tlsKind: RouteGroupKind = { group: gatewayGroup, kind: "TLSRoute" };
const tcpKind: RouteGroupKind = { group: gatewayGroup, kind: "TCPRoute" };

/** The listeners of a Gateway include those of its ListenerSets. */
export function judgeListeners(
  gateway: GatewayFacts,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly ListenerVerdict[] {
  const taken: Listener[] = [];
  return gatewayListeners(gateway, inputs, reader).map((owned) => {
    const { listener } = owned;
    const tunnels = endsTunnels(listener, gateway);
    const protocol = tunnels ? undefined : (protocolVerdict(listener, gateway) ?? missingTls(owned));
    const conflicted = conflictVerdict(listener, taken);
    // A listener that lost a conflict must not take its names from others.
    if (conflicted === undefined) taken.push(listener);
    const { supportedKinds, fault } = kindsOf(listener);
    const { unresolved, authority } = protocol === undefined ? listenerFaults(gateway, owned, inputs, reader) : {};
    const attaches = protocol === undefined && conflicted === undefined;
    return {
      ...owned,
      attaches,
      serves: attaches && unresolved === undefined && !lacksTls(listener),
      isPlaceholder: attaches && lacksTls(listener),
      supportedKinds,
      accepted: protocol ?? authority,
      conflicted,
      resolvedRefs: fault ?? unresolved,
    };
  });
}

function endsTunnels({ protocol, port, tls }: Listener, { spec }: GatewayFacts): boolean {
  if (spec.gatewayClassName === eastWestClassName)
    return protocol === "HBONE" && port === hbonePort && tls?.mode === "Terminate";
  return protocol === "HBONE" && isWaypointClass(spec.gatewayClassName);
}

/**
 * Whether the listener passes TLS through. A gateway between networks may have only such listeners, besides those for
 * tunnels.
 */
function passesTls({ protocol, port, tls }: Listener): boolean {
  return protocol === "TLS" && port !== hbonePort && tls?.mode === "Passthrough";
}

function protocolVerdict(listener: Listener, gateway: GatewayFacts): Verdict {
  const unsupported = (message: string): Verdict => ({ reason: "UnsupportedProtocol", message });
  if (isWaypointClass(gateway.spec.gatewayClassName))
    return unsupported('Expected a single listener on port 15008 with protocol "HBONE"');
  if (gateway.spec.gatewayClassName === eastWestClassName)
    return passesTls(listener)
      ? undefined
      : unsupported(
          'Expected port 15008 with protocol "HBONE" and TLS mode Terminate, or another port with protocol "TLS" and TLS mode Passthrough',
        );
  if (["HTTP", "HTTPS", "TLS", "TCP"].includes(listener.protocol)) return undefined;
  if (listener.protocol === "HBONE") return unsupported('protocol "HBONE" is only supported for waypoint proxies');
  const upper = listener.protocol.toUpperCase();
  const hint = upper !== listener.protocol && ["HTTP", "HTTPS", "TLS", "TCP"].includes(upper) ? `; "${upper}" is` : "";
  return unsupported(`protocol "${listener.protocol}" is not supported by this control plane${hint}`);
}

/** Why a listener lacks TLS settings that it needs. As in upstream, only listeners of ListenerSets need them. */
function missingTls({ listener, owner }: OwnedListener): Verdict {
  if (owner.kind !== "ListenerSet" || !lacksTls(listener)) return undefined;
  return {
    reason: "UnsupportedProtocol",
    message: `the listener ${listener.name} has protocol ${listener.protocol}, so it must have tls`,
  };
}

/**
 * Why the listener conflicts with an earlier one on its port. Two listeners may share a port if they have the same
 * family and different hosts. Then server names tell connections apart, or hosts tell requests apart.
 */
function conflictVerdict(listener: Listener, taken: readonly Listener[]): Verdict {
  const rival = taken.find(
    (other) =>
      other.port === listener.port &&
      (familyOf(other) !== familyOf(listener) || isLayer4(listener) || hostOf(other) === hostOf(listener)),
  );
  if (rival === undefined) return undefined;
  const reason = rival.protocol !== listener.protocol || isLayer4(listener) ? "ProtocolConflict" : "HostnameConflict";
  return {
    reason,
    message: `listener "${rival.name}" has port ${listener.port} with protocol ${rival.protocol} and hostname ${hostOf(rival)}`,
  };
}

function isLayer4({ protocol }: Listener): boolean {
  return protocol === "TCP" || protocol === "UDP";
}

function hostOf({ hostname }: Listener): string {
  return hostname ?? "*";
}

/** All listeners with TLS have the same family, whatever the TLS carries, because server names tell them apart. */
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

function kindsOf(listener: Listener): { readonly supportedKinds: readonly RouteGroupKind[]; readonly fault: Verdict } {
  const possible = possibleKinds(listener);
  const { kinds } = listener.allowedRoutes;
  if (kinds.length === 0) return { supportedKinds: possible, fault: undefined };
  const same = (left: RouteGroupKind, right: RouteGroupKind): boolean =>
    left.kind === right.kind && left.group === right.group;
  const wrong = kinds.filter((wanted) => !possible.some((kind) => same(kind, wanted)));
  return {
    supportedKinds: possible.filter((kind) => kinds.some((wanted) => same(kind, wanted))),
    fault:
      wrong.length === 0
        ? undefined
        : {
            reason: "InvalidRouteKinds",
            message: `route kinds ${wrong.map((kind) => kind.kind).join(", ")} do not fit protocol ${listener.protocol}`,
          },
  };
}
