import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import {
  authorizationPolicyKind,
  serviceEntryKind,
  workloadEntryKind,
  type IstioCondition,
} from "../../api/istio/index.ts";
import { serviceKind } from "../../api/kubernetes/index.ts";
import { rfc3339Seconds, type Clock, type Logger } from "../../base/index.ts";
import { Reconciler, structurallyEqual, type Informer, type KubeClient, type QueueMetrics } from "../../kube/index.ts";
import {
  ambientConditionTypes,
  type AmbientCondition,
  type AmbientStatuses,
  type AmbientStatusKind,
} from "../model/index.ts";

export interface AmbientStatusWriterOptions {
  readonly client: KubeClient;
  readonly statuses: AmbientStatuses;
  readonly objectsOf: (kind: AmbientStatusKind) => Informer<KubernetesObject> | undefined;
  /** Whether an object is in this revision's model. Conditions of other objects are left alone. */
  readonly isRead: (kind: AmbientStatusKind, key: string) => boolean;
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

type WithConditions = KubernetesObject & { status?: { conditions?: IstioCondition[] } };
const kinds: Readonly<Record<AmbientStatusKind, KindDefinition<WithConditions>>> = {
  Service: serviceKind as KindDefinition<WithConditions>,
  ServiceEntry: serviceEntryKind as unknown as KindDefinition<WithConditions>,
  WorkloadEntry: workloadEntryKind as unknown as KindDefinition<WithConditions>,
  AuthorizationPolicy: authorizationPolicyKind,
};
const fieldManager = "istio-ambient-status";
const separator = " ";

/** Writes ambient mode's conditions into the status of services, entries and policies. Only the leader runs this. */
export async function runAmbientStatusWriter(options: AmbientStatusWriterOptions, signal: AbortSignal): Promise<void> {
  const { statuses, objectsOf, queues, clock, log } = options;
  const names = Object.keys(kinds) as AmbientStatusKind[];
  const reconciler = new Reconciler({
    name: "ambient-status",
    queues,
    log,
    clock,
    maxAttempts: Infinity,
    reconcile: async (name) => {
      const [kind, key] = name.split(separator) as [AmbientStatusKind, string];
      await write(options, kind, key);
    },
  });
  using subscriptions = new DisposableStack();
  for (const kind of names) {
    subscriptions.use(
      statuses[kind].subscribe((changes) => {
        for (const change of changes) reconciler.add(`${kind}${separator}${change.key}`);
      }),
    );
    // An earlier leader may have written conditions that no longer hold. So check all objects.
    for (const object of objectsOf(kind)?.list() ?? [])
      if (ownConditions(kind, object).length > 0)
        reconciler.add(`${kind}${separator}${object.metadata.namespace ?? ""}/${object.metadata.name ?? ""}`);
  }
  await reconciler.run(signal);
}

function ownConditions(kind: AmbientStatusKind, object: WithConditions): readonly IstioCondition[] {
  return (object.status?.conditions ?? []).filter(({ type }) => ambientConditionTypes[kind].includes(type));
}

/**
 * Writes the conditions of an object, and keeps those of other writers. Fails with `conflict` if the object has changed
 * since it was read; the next try reads it again.
 */
async function write(
  { client, statuses, objectsOf, isRead, clock }: AmbientStatusWriterOptions,
  kind: AmbientStatusKind,
  key: string,
): Promise<void> {
  const object: WithConditions | undefined = objectsOf(kind)?.get(key);
  if (object === undefined || object.metadata.deletionTimestamp !== undefined || !isRead(kind, key)) return;
  const wanted = statuses[kind].get(key)?.conditions ?? [];
  const before = object.status?.conditions ?? [];
  const own = ownConditions(kind, object);
  const now = rfc3339Seconds(clock.nowMs());
  const ours = wanted.map((condition) =>
    merged(
      condition,
      own.find(({ type }) => type === condition.type),
      now,
    ),
  );
  if (structurallyEqual(own, ours)) return;
  const { name = "", namespace, resourceVersion } = object.metadata;
  const conditions = [...before.filter(({ type }) => !ambientConditionTypes[kind].includes(type)), ...ours];
  await client.patchMerge(
    kinds[kind],
    name,
    namespace,
    { metadata: { resourceVersion }, status: { conditions } },
    { subresource: "status", fieldManager },
  );
}

/** An unchanged condition keeps its former transition time. */
function merged(condition: AmbientCondition, known: IstioCondition | undefined, now: string): IstioCondition {
  const { type, status, reason, message, observedGeneration } = condition;
  const isSame = known !== undefined && known.status === status && known.reason === reason && known.message === message;
  return {
    ...(isSame ? known : { lastTransitionTime: now }),
    type,
    status,
    reason,
    message,
    ...(observedGeneration === undefined
      ? {}
      : {
          observedGeneration:
            typeof known?.observedGeneration === "string" ? String(observedGeneration) : observedGeneration,
        }),
  };
}
