import { gatewayGroup, type Listener } from "../../../api/gateway/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import { admits } from "../allowed-namespaces.ts";
import { byAge, factsKey, type GatewayFacts, type ListenerSetFacts } from "../facts.ts";
import { eastWestClassName } from "../gateway-class.ts";
import type { MeshInputs } from "../mesh-inputs.ts";

export interface OwnedListener {
  /** An id that is unique within the Gateway: the listener's name, or `namespace/listener set/name`. */
  readonly id: string;
  readonly owner: ListenerOwner;
  readonly listener: Listener;
}

export interface ListenerOwner {
  readonly kind: "Gateway" | "ListenerSet";
  readonly namespace: string;
  readonly name: string;
}

/**
 * The Gateway's own listeners, then those of its ListenerSets, oldest first. Of conflicting listeners, the earlier one
 * wins.
 */
export function gatewayListeners(
  gateway: GatewayFacts,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly OwnedListener[] {
  const { namespace, name } = gateway;
  const own = gateway.spec.listeners.map((listener): OwnedListener => ({
    id: listener.name,
    owner: { kind: "Gateway", namespace, name },
    listener,
  }));
  return [...own, ...allowedListenerSets(gateway, inputs, reader).flatMap(listenersOfSet)];
}

function listenersOfSet(set: ListenerSetFacts): readonly OwnedListener[] {
  const { namespace, name } = set;
  return set.spec.listeners.map((listener) => ({
    id: `${namespace}/${name}/${listener.name}`,
    owner: { kind: "ListenerSet", namespace, name },
    listener,
  }));
}

function allowedListenerSets(
  gateway: GatewayFacts,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly ListenerSetFacts[] {
  if (gateway.spec.allowedListeners === undefined) return [];
  const sets = reader.lookup(
    inputs.listenerSets.index("parent", (set) => [parentOfSet(set)].filter((parent) => parent !== undefined)),
    factsKey(gateway),
  );
  return sets.filter((set) => allowsSet(gateway, set, inputs, reader)).toSorted(byAge);
}

/** The Gateway of a ListenerSet, as `namespace/name`. Undefined if the parent is not a Gateway. */
export function parentOfSet({
  namespace,
  spec: { parentRef },
}: Pick<ListenerSetFacts, "namespace" | "spec">): string | undefined {
  return parentRef.group === gatewayGroup && parentRef.kind === "Gateway"
    ? `${parentRef.namespace ?? namespace}/${parentRef.name}`
    : undefined;
}

/** Whether the Gateway allows the ListenerSet. As in upstream, gateways between networks allow none. */
export function allowsSet(
  gateway: GatewayFacts,
  set: Pick<ListenerSetFacts, "namespace">,
  inputs: MeshInputs,
  reader: CollectionReader,
): boolean {
  const allowed = gateway.spec.allowedListeners;
  if (gateway.spec.gatewayClassName === eastWestClassName) return false;
  return allowed !== undefined && admits(allowed, set.namespace, gateway.namespace, inputs, reader);
}
