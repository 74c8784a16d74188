import { keyOf, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import {
  gatewayClassKind,
  gatewayKind,
  listenerSetKind,
  type Gateway,
  type GatewayStatus,
  type ListenerSet,
} from "../../api/gateway/index.ts";
import type { Collection, KubeClient } from "../../kube/index.ts";
import { isServedClass } from "../model/index.ts";
import { fieldManager, patchStatus } from "./patch-status.ts";

/**
 * Removes our status from a Gateway whose class now belongs to another controller or to none. Otherwise, the Gateway
 * would stay `Programmed` although nobody serves it. The CRD's default conditions then report that it waits for a
 * controller.
 */
export async function resetGateway(client: KubeClient, key: string): Promise<void> {
  const [namespace = "", name = ""] = key.split("/");
  const gateway = await client.get(gatewayKind, name, namespace);
  if (gateway === undefined || !hasOurStatus(gateway)) return;
  if (await isServed(client, gateway)) return;
  const status = { addresses: null, attachedListenerSets: null, conditions: null, listeners: null };
  await patchStatus<Gateway>(client, gatewayKind, gateway, status as unknown as GatewayStatus);
}

/** Like {@link resetGateway}, for the ListenerSets of such a Gateway. */
export async function resetListenerSet(client: KubeClient, key: string): Promise<void> {
  const [namespace = "", name = ""] = key.split("/");
  const set = await client.get(listenerSetKind, name, namespace);
  if (set === undefined || !hasOurStatus(set)) return;
  const { parentRef } = set.spec;
  const gateway = await client.get(gatewayKind, parentRef.name, parentRef.namespace ?? namespace);
  if (gateway !== undefined && (await isServed(client, gateway))) return;
  const status = { conditions: null, listeners: null };
  await patchStatus<ListenerSet>(client, listenerSetKind, set, status as unknown as ListenerSet["status"]);
}

async function isServed(client: KubeClient, { spec: { gatewayClassName } }: Gateway): Promise<boolean> {
  if (isServedClass(gatewayClassName, undefined)) return true;
  const found = await client.get(gatewayClassKind, gatewayClassName);
  return isServedClass(gatewayClassName, found?.spec.controllerName);
}

/**
 * Whether the status has fields of ours and no fields of another controller. The controller of the new class owns only
 * the values that it has changed, so we still own values that both wrote. Removing ours would remove these values from
 * its status.
 */
function hasOurStatus({ metadata: { managedFields = [] } }: KubernetesObject): boolean {
  const writers = managedFields.filter(({ subresource }) => subresource === "status");
  return writers.length > 0 && writers.every(({ manager }) => manager === fieldManager);
}

/**
 * The keys of the objects that have our status although this control plane wants none for them. They may have got
 * another class while no replica led.
 */
export async function staleStatuses<Value extends KubernetesObject>(
  client: KubeClient,
  kind: KindDefinition<Value>,
  wanted: Collection<unknown>,
): Promise<readonly string[]> {
  const { items } = await client.list(kind);
  return items.filter((object) => hasOurStatus(object) && wanted.get(keyOf(object)) === undefined).map(keyOf);
}
