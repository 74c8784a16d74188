import { keyOf, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import {
  gatewayClassKind,
  gatewayGroup,
  gatewayKind,
  grpcRouteKind,
  httpRouteKind,
  listenerSetKind,
  tcpRouteKind,
  tlsRouteKind,
  udpRouteKind,
  type ParentReference,
  type RouteParentStatus,
} from "../../api/gateway/index.ts";
import { rfc3339Seconds, type Clock } from "../../base/index.ts";
import { structurallyEqual, type KubeClient } from "../../kube/index.ts";
import {
  gatewayControllerName,
  ingressClassName,
  type WantedRouteStatus,
  type WantedRouteStatuses,
} from "../model/index.ts";
import { mergeConditions } from "./conditions.ts";
import { patchStatus } from "./patch-status.ts";
import { sameParent } from "./same-parent.ts";

type AnyRoute = KubernetesObject & {
  spec: { parentRefs?: readonly Partial<ParentReference>[] };
  status?: { parents?: RouteParentStatus[] };
};
const routeKinds: Readonly<Record<WantedRouteStatuses["kind"], KindDefinition<AnyRoute>>> = {
  HTTPRoute: httpRouteKind,
  GRPCRoute: grpcRouteKind,
  TLSRoute: tlsRouteKind,
  TCPRoute: tcpRouteKind,
  UDPRoute: udpRouteKind,
};

export interface RouteWriting extends WantedRouteStatuses {
  readonly client: KubeClient;
  /** Whether this control plane reads the namespace. Another control plane may own the entries in other namespaces. */
  readonly includes: (namespace: string) => boolean;
}

export function isOwned({ parents }: WantedRouteStatus): boolean {
  return parents.some(({ owned }) => owned);
}

/**
 * The keys of routes that have an outdated status entry, although this revision owns none of their parents. An entry is
 * outdated if it has our controller's name, but no revision wants its parent. It remains if no replica of this revision
 * led when it should have been removed.
 */
export async function staleRoutes({ client, includes, kind, statuses }: RouteWriting): Promise<readonly string[]> {
  const { items } = await client.list(routeKinds[kind]);
  return items.flatMap((route) => {
    const key = keyOf(route);
    const parents = statuses.get(key)?.parents ?? [];
    if (!includes(route.metadata.namespace ?? "") || parents.some(({ owned }) => owned)) return [];
    const isStale = route.status?.parents?.some(
      ({ controllerName, parentRef }) =>
        controllerName === gatewayControllerName &&
        !parents.some(({ status }) => sameParent(status.parentRef, parentRef)),
    );
    return isStale === true ? [key] : [];
  });
}

/**
 * Writes the entries of the parents that this revision owns. Keeps the entries of other controllers and those of
 * parents that another revision owns. Removes all other entries of ours, because a controller must report only about
 * its own parents. A route in a namespace that this control plane does not read stays unchanged. Another control plane
 * may read that namespace. It would not restore removed entries, because its wanted status has not changed.
 */
export async function writeRoute(
  { client, includes, kind: kindName, statuses }: RouteWriting,
  clock: Clock,
  key: string,
): Promise<void> {
  const kind = routeKinds[kindName];
  const wanted = statuses.get(key);
  const [namespace = "", name = ""] = key.split("/");
  if (!includes(namespace)) return;
  const route = await client.get(kind, name, namespace);
  if (route === undefined) return;
  const before = route.status?.parents ?? [];
  const known = wanted?.parents ?? [];
  const kept: RouteParentStatus[] = [];
  for (const entry of before) {
    const parent = known.find(({ status }) => sameParent(status.parentRef, entry.parentRef));
    const isOfOther = entry.controllerName !== gatewayControllerName || parent?.owned === false;
    if (isOfOther || (parent === undefined && (await isNewParent(client, route, entry)))) kept.push(entry);
  }
  const now = rfc3339Seconds(clock.nowMs());
  const ours = known
    .filter(({ owned }) => owned)
    .map(({ status }) => {
      const same = before.find(
        (entry) => entry.controllerName === gatewayControllerName && sameParent(entry.parentRef, status.parentRef),
      );
      return { ...status, conditions: mergeConditions(status.conditions, same?.conditions ?? [], now) };
    });
  const parents = [...kept, ...ours];
  if (structurallyEqual(before, parents)) return;
  await patchStatus<AnyRoute>(client, kind, route, { parents });
}

/**
 * Whether the route names this parent, and the parent is a Gateway of ours that this replica does not know yet. Another
 * revision may own the Gateway and have written the entry.
 */
async function isNewParent(
  client: KubeClient,
  { metadata, spec }: AnyRoute,
  { parentRef }: RouteParentStatus,
): Promise<boolean> {
  const {
    group = gatewayGroup,
    kind = "Gateway",
    namespace = metadata.namespace,
  } = parentRef as Partial<ParentReference>;
  if (group !== gatewayGroup || spec.parentRefs?.some((reference) => sameParent(reference, parentRef)) !== true)
    return false;
  let gateway = { name: parentRef.name, namespace };
  if (kind === "ListenerSet") {
    const set = await client.get(listenerSetKind, parentRef.name, namespace);
    if (set === undefined) return false;
    gateway = { name: set.spec.parentRef.name, namespace: set.spec.parentRef.namespace ?? namespace };
  } else if (kind !== "Gateway") return false;
  const found = await client.get(gatewayKind, gateway.name, gateway.namespace);
  return found !== undefined && (await isOurClass(client, found.spec.gatewayClassName));
}

async function isOurClass(client: KubeClient, className: string): Promise<boolean> {
  if (className === ingressClassName) return true;
  return (await client.get(gatewayClassKind, className))?.spec.controllerName === gatewayControllerName;
}
