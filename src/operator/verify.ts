import { keyOf, type UntypedObject } from "../api/index.ts";
import type { KubeClient } from "../kube/index.ts";
import { installedKindOf } from "../install/index.ts";
import { keptClosed } from "./kept-closed.ts";
import { keptSelector } from "./kept-selector.ts";
import { readinessCheck } from "./readiness.ts";

export interface Verification {
  /** One line for each object that exists and is ready. */
  readonly good: readonly string[];
  /** One line for each object that is missing or not ready, with the reason. */
  readonly bad: readonly string[];
  readonly definitions: number;
  readonly deployments: number;
}

/** Compares the objects of an installation with those in the cluster. */
export async function verifyInstalled(client: KubeClient, objects: readonly UntypedObject[]): Promise<Verification> {
  const good: string[] = [];
  const bad: string[] = [];
  for (const object of objects) {
    const name = `${object.kind ?? ""}: ${keyOf(object).split("/").toReversed().join(".")}`;
    const found = await client.get(installedKindOf(object), object.metadata.name ?? "", object.metadata.namespace);
    const missing = found === undefined ? "does not exist" : await readinessCheck(object, client)?.();
    if (missing === undefined) good.push(`${name} checked successfully`);
    else bad.push(`${name}: ${missing}`);
  }
  const count = (kind: string): number => objects.filter((object) => object.kind === kind).length;
  return { good, bad, definitions: count("CustomResourceDefinition"), deployments: count("Deployment") };
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
