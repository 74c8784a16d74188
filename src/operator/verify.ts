import { keyOf, matchesLabels, type KubernetesObject, type UntypedObject } from "../api/index.ts";
import { nodeKind, type DaemonSet, type Deployment } from "../api/kubernetes/index.ts";
import { undefinedIfForbidden, type KubeClient } from "../kube/index.ts";
import { installedKindOf } from "../install/index.ts";
import { keptClosed } from "./kept-closed.ts";
import { keptSelector } from "./kept-selector.ts";
import { readinessCheck } from "./readiness.ts";

export interface Verification {
  /** One line for each object that exists and is ready. */
  readonly good: readonly string[];
  /** One line for each object that is missing or not ready, with the reason. */
  readonly bad: readonly string[];
  readonly absent: number;
  readonly definitions: number;
  readonly deployments: number;
}

export async function verifyInstalled(client: KubeClient, objects: readonly UntypedObject[]): Promise<Verification> {
  const good: string[] = [];
  const bad: string[] = [];
  let absent = 0;
  for (const object of objects) {
    const name = `${object.kind ?? ""}: ${keyOf(object).split("/").toReversed().join(".")}`;
    const found = await client.get(installedKindOf(object), object.metadata.name ?? "", object.metadata.namespace);
    if (found === undefined) absent += 1;
    const missing =
      found === undefined
        ? "does not exist"
        : ((await readinessCheck(object, client)?.()) ?? (await runsNowhere(client, object, found)));
    if (missing === undefined) good.push(`${name} checked successfully`);
    else bad.push(`${name}: ${missing}`);
  }
  const count = (kind: string): number => objects.filter((object) => object.kind === kind).length;
  return { good, bad, absent, definitions: count("CustomResourceDefinition"), deployments: count("Deployment") };
}

/**
 * Returns a fault if a workload counts as ready only because it wants no pods, for example istiod scaled to 0. Returns
 * undefined if the installation itself wants no pods.
 */
async function runsNowhere(
  client: KubeClient,
  wanted: UntypedObject,
  found: KubernetesObject,
): Promise<string | undefined> {
  const { kind = "", metadata } = wanted;
  const namespace = metadata.namespace === undefined ? "" : ` -n ${metadata.namespace}`;
  if (kind === "Deployment" || kind === "StatefulSet") {
    if (replicasOf(found) !== 0 || replicasOf(wanted) === 0) return undefined;
    const name = `${kind.toLowerCase()}/${metadata.name ?? ""}`;
    return `it is scaled to 0 replicas; to start it: kubectl scale ${name}${namespace} --replicas=${replicasOf(wanted) ?? 1}`;
  }
  const daemonSet = found as DaemonSet;
  if (kind !== "DaemonSet" || (daemonSet.status?.desiredNumberScheduled ?? 0) > 0) return undefined;
  const { nodeSelector, affinity } = (daemonSet.spec?.template?.spec ?? {}) as PodPlacement;
  if (affinity?.nodeAffinity !== undefined) return undefined;
  const nodes = await undefinedIfForbidden(client.list(nodeKind));
  const eligible = nodes?.items.filter((node) => matchesLabels(nodeSelector, node.metadata.labels)) ?? [];
  return eligible.length === 0
    ? undefined
    : `it runs on none of ${eligible.length} nodes; kubectl describe daemonset/${metadata.name ?? ""}${namespace} says why`;
}

interface PodPlacement {
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly affinity?: { readonly nodeAffinity?: unknown };
}

function replicasOf(object: KubernetesObject): number | undefined {
  return (object as Deployment).spec?.replicas;
}

export type PlannedChange = "created" | "changed" | "unchanged";

/** Asks the server, without writing, what applying an object would change. */
export async function planObject(
  client: KubeClient,
  object: UntypedObject,
  fieldManager: string,
): Promise<PlannedChange> {
  const kind = installedKindOf(object);
  const before = await client.get(kind, object.metadata.name ?? "", object.metadata.namespace);
  if (before === undefined) return "created";
  const wanted = await keptSelector(client, await keptClosed(client, object));
  const after = await client.apply(kind, wanted, { fieldManager, force: true, dryRun: true });
  return comparable(before) === comparable(after) ? "unchanged" : "changed";
}

function comparable(object: UntypedObject): string {
  const { metadata, status: _status, apiVersion: _apiVersion, kind: _kind, ...rest } = object;
  return JSON.stringify(
    [metadata.labels ?? {}, metadata.annotations ?? {}, metadata.ownerReferences ?? [], rest],
    sorted,
  );
}

/** Sorts the fields of an object, because writers may have used another order. */
function sorted(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
