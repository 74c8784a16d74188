import { withoutEnd } from "../../../base/index.ts";
import { gatewayCanaryAnnotations } from "../../../api/serin/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { factsKey, type GatewayFacts } from "../facts.ts";
import { gatewayAccountName, gatewayServiceName } from "../gateway-names.ts";
import { isManaged } from "./gateway-addresses.ts";
import { areParametersKnown } from "./gateway-certificates.ts";
import { isEastWestClass, isIngressClass, isWaypointClass } from "../gateway-class.ts";
import { judgeListeners, type ListenerVerdict } from "./listener-validation.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { owningRevision } from "../ownership.ts";
import type { Waypoints } from "../ambient/waypoint.ts";

export interface GatewayPlacement {
  readonly owned: boolean;
  readonly canary: boolean;
  /** Whether this control plane deploys the Gateway's proxies, see {@link isManaged}. */
  readonly managed: boolean;
  /** The Gateway. It is here so that a change of the Gateway changes this object. */
  readonly gateway: GatewayFacts;
  /** The ports of the Gateway's Service, one for each listener port, including those of ListenerSets. */
  readonly ports: readonly GatewayPort[];
  /**
   * The content of the ConfigMap with the Gateway's parameters. Empty if the Gateway names none. Undefined if the
   * ConfigMap cannot be used or has not been read yet. Nothing is created then.
   */
  readonly overlays: Readonly<Record<string, string>> | undefined;
  /** The Deployments of a waypoint or of a gateway between networks. Undefined for other Gateways. */
  readonly waypoints: readonly WaypointDeployment[] | undefined;
}

export interface GatewayPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}

export interface WaypointDeployment {
  readonly name: string;
  readonly account: string;
}

export function deriveGatewayPlacements(
  graph: CollectionGraph,
  inputs: MeshInputs,
  waypoints: Waypoints,
  revision: string,
): Collection<GatewayPlacement> {
  const byGateway = waypoints.all.index("gateway", (waypoint) => [`${waypoint.namespace}/${waypoint.gateway}`]);
  return graph.derive("gateway-placements", inputs.gateways, (gateway, reader) => {
    const isWaypoint = isWaypointClass(gateway.spec.gatewayClassName);
    const isEastWest = isEastWestClass(gateway.spec.gatewayClassName, inputs, reader);
    if (!isWaypoint && !isEastWest && !isIngressClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
    const owned = owningRevision(gateway, inputs, reader) === revision;
    // Keep the canary's Deployment even if this revision owns the Gateway by now. The rollout engine removes the
    // annotation when the Gateway's own pods run this revision.
    const canary = gateway.annotations[gatewayCanaryAnnotations.revision] === revision;
    const managed = isManaged(gateway);
    const overlays = overlaysOf(gateway, inputs, reader);
    const ports = isWaypoint ? [] : portsOf(judgeListeners(gateway, inputs, reader));
    const deployments = isWaypoint
      ? reader.lookup(byGateway, factsKey(gateway)).map(({ name, account }) => ({ name, account }))
      : isEastWest
        ? [{ name: gatewayServiceName(gateway), account: gatewayAccountName(gateway) }]
        : undefined;
    // The objects of a Gateway do not depend on whether it has served.
    return [
      [
        factsKey(gateway),
        { owned, canary, managed, gateway: { ...gateway, programmed: false }, ports, overlays, waypoints: deployments },
      ],
    ];
  });
}

function overlaysOf(
  { namespace, spec }: GatewayFacts,
  inputs: MeshInputs,
  reader: CollectionReader,
): GatewayPlacement["overlays"] {
  const parameters = spec.infrastructure?.parametersRef;
  if (parameters === undefined) return {};
  if (!areParametersKnown(parameters)) return undefined;
  const found = reader.get(inputs.configMaps, `${namespace}/${parameters.name}`);
  return found?.exists === true ? found.data : undefined;
}

/**
 * The ports of the Service. Each has the name of its first listener, in a form that a port may have, or `port-<number>`
 * if another port has that name.
 */
function portsOf(verdicts: readonly ListenerVerdict[]): readonly GatewayPort[] {
  const names = new Set<string>();
  const taken = new Set<number>();
  return verdicts.flatMap(({ listener: { name, port, protocol }, conflicted }) => {
    if (conflicted !== undefined || taken.has(port)) return [];
    taken.add(port);
    const short = withoutEnd(name.replaceAll(".", "-").slice(0, maxPortNameLength), "-");
    const unique = names.has(short) ? `port-${port}` : short;
    names.add(unique);
    return { name: unique, port, protocol };
  });
}

const maxPortNameLength = 63;
