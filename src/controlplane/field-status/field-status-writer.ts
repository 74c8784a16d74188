import { formatIssues, meansNoEffect, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import { istioKinds, type IstioCondition } from "../../api/istio/index.ts";
import { truncated, type Clock, rfc3339Seconds } from "../../base/index.ts";
import { Reconciler, structurallyEqual, type Informer, type KubeClient, type QueueMetrics } from "../../kube/index.ts";
import { leadAlone, type LeadershipOptions } from "../leadership/index.ts";

export interface FieldStatusOptions extends LeadershipOptions {
  /** The latest objects. Undefined for a kind that is not read. */
  readonly objectsOf: (kind: KindDefinition) => Informer<KubernetesObject> | undefined;
  readonly queues?: QueueMetrics | undefined;
}

type WithConditions = KubernetesObject & { status?: { conditions?: readonly IstioCondition[] } };

/**
 * Serin's own condition. It is true while fields of the object have no effect, or have none at Serin's own proxies.
 * Otherwise, the object does not have the condition.
 */
export const fieldCondition = "serin.dev/FieldsWithoutEffect";
const fieldManager = "istio-field-status";
const leaseName = "istio-field-status";
const maxMessageLength = 1024;

/**
 * Reports in the status of Istio's objects which of their fields have no effect. Only one revision does so at a time.
 */
export async function runFieldStatusController(options: FieldStatusOptions, signal: AbortSignal): Promise<void> {
  await leadAlone(
    options,
    leaseName,
    signal,
    async (leading, client) => await runFieldStatusWriter({ ...options, client }, leading),
  );
}

export async function runFieldStatusWriter(
  {
    client,
    objectsOf,
    queues,
    clock,
    log,
  }: Pick<FieldStatusOptions, "client" | "objectsOf" | "queues" | "clock" | "log">,
  signal: AbortSignal,
): Promise<void> {
  const read = istioKinds.flatMap((kind) => {
    const objects = objectsOf(kind);
    return objects === undefined ? [] : [{ kind, objects }];
  });
  const reconciler = new Reconciler({
    name: "field-status",
    queues,
    log,
    clock,
    maxAttempts: Infinity,
    reconcile: async (name) => {
      const [kindName, key = ""] = name.split(" ");
      const found = read.find(({ kind }) => kind.kind === kindName);
      const object = found?.objects.get(key);
      if (found !== undefined && object !== undefined) await write(client, found.kind, object, clock);
    },
  });
  using subscriptions = new DisposableStack();
  for (const { kind, objects } of read) {
    subscriptions.use(
      objects.subscribe((change) => {
        if (change.type === "set" && wantedConditions(kind, change.object, clock) !== undefined)
          reconciler.add(`${kind.kind} ${change.key}`);
      }),
    );
  }
  await reconciler.run(signal);
}

/**
 * Writes the conditions of an object, and keeps those of other writers. Fails with `conflict` if the object has changed
 * since it was read; the next attempt reads it again.
 */
async function write(client: KubeClient, kind: KindDefinition, object: KubernetesObject, clock: Clock): Promise<void> {
  const conditions = wantedConditions(kind, object, clock);
  if (conditions === undefined || object.metadata.deletionTimestamp !== undefined) return;
  const { name = "", namespace, resourceVersion } = object.metadata;
  await client.patchMerge(
    kind,
    name,
    namespace,
    { metadata: { resourceVersion }, status: { conditions } },
    { subresource: "status", fieldManager },
  );
}

function wantedConditions(
  kind: KindDefinition,
  object: WithConditions,
  clock: Clock,
): readonly IstioCondition[] | undefined {
  const before = object.status?.conditions ?? [];
  const own = before.find(({ type }) => type === fieldCondition);
  const issues = (kind.parse?.(object).warnings ?? []).filter(meansNoEffect);
  if (issues.length === 0) return own === undefined ? undefined : before.filter(({ type }) => type !== fieldCondition);
  const condition = {
    type: fieldCondition,
    status: "True",
    reason: "FieldsWithoutEffect",
    message: truncated(formatIssues(issues).replaceAll("\n", "; "), maxMessageLength),
    observedGeneration: object.metadata.generation,
  } as IstioCondition;
  const wanted: IstioCondition = {
    ...condition,
    lastTransitionTime: own?.lastTransitionTime ?? rfc3339Seconds(clock.nowMs()),
  };
  if (
    own !== undefined &&
    structurallyEqual(
      { ...own, observedGeneration: Number(own.observedGeneration) },
      { ...wanted, observedGeneration: Number(wanted.observedGeneration) },
    )
  )
    return undefined;
  return [...before.filter(({ type }) => type !== fieldCondition), wanted];
}
