// Compares the state that people have specified, in objects of any kind. An undone upgrade must leave all of it as it
// was before.
import assert from "node:assert/strict";
import { gatewayKind } from "../../src/api/gateway/index.ts";
import type { KindDefinition, KubernetesObject } from "../../src/api/index.ts";
import {
  daemonSetKind,
  deploymentKind,
  mutatingWebhookConfigurationKind,
  namespaceKind,
  nodeKind,
  podDisruptionBudgetKind,
  validatingWebhookConfigurationKind,
} from "../../src/api/kubernetes/index.ts";
import type { KubeClient } from "../../src/kube/index.ts";

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
/** Annotations in which controllers and commands leave a note. */
const notes = /^(deployment\.kubernetes\.io|kubectl\.kubernetes\.io)\//;

/** The objects that an upgrade changes, by kind and name, without what controllers write. */
export async function intendedState(client: KubeClient): Promise<IntendedState> {
  const lists = await Promise.all(
    kinds.map(async (kind) => (await client.list(kind)).items.map((object) => intended(kind.kind, object))),
  );
  return new Map(lists.flat());
}

/** Throws an error that names the first object that differs, is missing, or is new. */
export async function expectIntendedState(client: KubeClient, before: IntendedState): Promise<void> {
  const now = await intendedState(client);
  for (const [name, object] of before) assert.deepEqual(now.get(name), object, `${name} is not as before`);
  const added = [...now.keys()].filter((name) => !before.has(name));
  assert.deepEqual(added, [], "objects that were not there before");
}

function intended(kind: string, object: KubernetesObject): [string, unknown] {
  const { namespace = "", name = "", labels = {}, annotations = {} } = object.metadata;
  const own = Object.fromEntries(Object.entries(annotations).filter(([key]) => !notes.test(key)));
  const { spec, webhooks } = object as { readonly spec?: unknown; readonly webhooks?: unknown };
  // A webhook gets a new certificate each time. Templates keep an empty map where an annotation was removed.
  const text = JSON.stringify({ labels, own, spec, webhooks }, (key, value: unknown) =>
    key === "caBundle" || (key === "annotations" && JSON.stringify(value) === "{}") ? undefined : value,
  );
  return [`${kind} ${namespace}/${name}`, JSON.parse(text)];
}
