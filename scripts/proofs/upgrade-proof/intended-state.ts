// Compares what people have specified in several kinds of objects. An undone upgrade must leave all of it as it was
// before.
import assert from "node:assert/strict";
import { gatewayKind } from "../../../src/api/gateway/index.ts";
import type { KindDefinition, KubernetesObject } from "../../../src/api/index.ts";
import {
  daemonSetKind,
  deploymentKind,
  mutatingWebhookConfigurationKind,
  namespaceKind,
  nodeKind,
  podDisruptionBudgetKind,
  validatingWebhookConfigurationKind,
} from "../../../src/api/kubernetes/index.ts";
import { systemClock, type Clock } from "../../../src/base/index.ts";
import type { KubeClient } from "../../../src/kube/index.ts";

type IntendedState = ReadonlyMap<string, unknown>;

const kinds: readonly KindDefinition[] = [
  namespaceKind,
  nodeKind,
  deploymentKind,
  daemonSetKind,
  gatewayKind,
  mutatingWebhookConfigurationKind,
  validatingWebhookConfigurationKind,
  podDisruptionBudgetKind,
];
/** How long the deletion of an object may take. The namespace of the probes is gone when its last pod has ended. */
const leavesWithinMs = 60_000;
const lookAgainMs = 500;
/** Annotations that controllers and commands write for themselves. */
const notes = /^(deployment\.kubernetes\.io|kubectl\.kubernetes\.io)\//;

/** Returns the objects that an upgrade changes, by kind and name, without what controllers write. */
export async function intendedState(client: KubeClient): Promise<IntendedState> {
  return (await read(client)).state;
}

/**
 * Throws an error that names the first object that differs, is missing, or is new. Waits first for new objects whose
 * deletion has begun.
 */
export async function expectIntendedState(
  client: KubeClient,
  before: IntendedState,
  clock: Pick<Clock, "steadyMs" | "sleep"> = systemClock,
): Promise<void> {
  const endMs = clock.steadyMs() + leavesWithinMs;
  let { state: now, leaving } = await read(client);
  const isLeaving = (): boolean => [...now.keys()].some((name) => !before.has(name) && leaving.has(name));
  while (isLeaving() && clock.steadyMs() < endMs) {
    await clock.sleep(lookAgainMs);
    ({ state: now, leaving } = await read(client));
  }
  for (const [name, object] of before) assert.deepEqual(now.get(name), object, `${name} is not as before`);
  const added = [...now.keys()].filter((name) => !before.has(name));
  assert.deepEqual(added, [], "objects that were not there before");
}

interface Found {
  readonly state: IntendedState;
  /** The names of the objects whose deletion has begun. */
  readonly leaving: ReadonlySet<string>;
}

async function read(client: KubeClient): Promise<Found> {
  const lists = await Promise.all(
    kinds.map(async (kind) => (await client.list(kind)).items.map((object) => ({ kind: kind.kind, object }))),
  );
  const objects = lists.flat();
  return {
    state: new Map(objects.map(({ kind, object }) => [nameOf(kind, object), intended(object)])),
    leaving: new Set(
      objects
        .filter(({ object }) => object.metadata.deletionTimestamp !== undefined)
        .map(({ kind, object }) => nameOf(kind, object)),
    ),
  };
}

function nameOf(kind: string, { metadata: { namespace = "", name = "" } }: KubernetesObject): string {
  return `${kind} ${namespace}/${name}`;
}

function intended(object: KubernetesObject): unknown {
  const { labels = {}, annotations = {} } = object.metadata;
  const own = Object.fromEntries(Object.entries(annotations).filter(([key]) => !notes.test(key)));
  const { spec, webhooks } = object as { readonly spec?: unknown; readonly webhooks?: unknown };
  // Leave out two differences that nobody specified: a webhook gets a new certificate each time, and templates keep an
  // empty map after an annotation was removed.
  const text = JSON.stringify({ labels, own, spec, webhooks }, (key, value: unknown) =>
    key === "caBundle" || (key === "annotations" && JSON.stringify(value) === "{}") ? undefined : value,
  );
  return JSON.parse(text);
}
