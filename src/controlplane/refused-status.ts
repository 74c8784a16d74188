import { keyOf, type KindDefinition, type KubernetesObject } from "../api/index.ts";
import { authorizationPolicyKind, closedPolicySpec, istioKinds } from "../api/istio/index.ts";
import { truncated, rfc3339Seconds } from "../base/index.ts";
import { Reconciler, structurallyEqual, type Informer } from "../kube/index.ts";
import { refusedId, type RefusedObject, type RefusedObjects } from "./ingest/index.ts";
import { leadAlone, type LeadingControllerOptions } from "./leadership/index.ts";

export interface RefusedStatusOptions extends LeadingControllerOptions {
  readonly refused: RefusedObjects;
  readonly objectsOf: (kind: KindDefinition) => Informer<KubernetesObject> | undefined;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
}

type WithConditions = KubernetesObject & { status?: { conditions?: Condition[] } };

const fieldManager = "istiod-validation";
const maxMessage = 4096;

/**
 * Reports in the status of Istio's objects that this revision refuses or corrects them. Removes the report when that is
 * no longer so. The condition belongs to the revision, because another revision may accept what this one does not know.
 * The status of other valid objects is not written.
 */
export async function runRefusedStatusWriter(options: RefusedStatusOptions, signal: AbortSignal): Promise<void> {
  await leadAlone(
    options,
    `istio-validation-status-${options.revision}`,
    signal,
    async (leading, client) => await lead({ ...options, client }, leading),
  );
}

async function lead(options: RefusedStatusOptions, signal: AbortSignal): Promise<void> {
  const { refused, objectsOf, queues, clock, log } = options;
  const reconciler = new Reconciler({
    name: "validation-status",
    queues,
    log,
    clock,
    maxAttempts: Infinity,
    reconcile: async (id) => await write(options, id),
  });
  using _changes = refused.onChange((id) => reconciler.add(id));
  for (const id of refused.ids()) reconciler.add(id);
  for (const kind of istioKinds) {
    for (const object of objectsOf(kind)?.list() ?? [])
      if (conditionsOf(object).some(({ type }) => type === typeOf(options)))
        reconciler.add(refusedId(kind, keyOf(object)));
  }
  await reconciler.run(signal);
}

async function write(options: RefusedStatusOptions, id: string): Promise<void> {
  const { client, refused, clock } = options;
  const [, key = ""] = id.split(" ");
  const kind: KindDefinition<WithConditions> | undefined = istioKinds.find(
    (candidate) => refusedId(candidate, key) === id,
  );
  const [namespace = "", name = ""] = key.split("/");
  const object = kind === undefined ? undefined : await client.get(kind, name, namespace);
  if (kind === undefined || object === undefined) return;
  const before = conditionsOf(object);
  const type = typeOf(options);
  const known = before.find((condition) => condition.type === type);
  const found = refused.get(id);
  const wanted =
    found === undefined
      ? undefined
      : {
          type,
          status: "False",
          reason: found.isCorrected ? "Corrected" : "Refused",
          message: messageFor(found, object),
          lastTransitionTime: known?.lastTransitionTime ?? rfc3339Seconds(clock.nowMs()),
        };
  const conditions = [
    ...before.filter((condition) => condition.type !== type),
    ...(wanted === undefined ? [] : [wanted]),
  ];
  if (structurallyEqual(before, conditions)) return;
  await client.patchMerge(
    kind,
    name,
    namespace,
    { metadata: { resourceVersion: object.metadata.resourceVersion }, status: { conditions } },
    { subresource: "status", fieldManager },
  );
}

function typeOf({ revision }: RefusedStatusOptions): string {
  return `serin.dev/valid-${revision}`;
}

function messageFor({ kind, faults, isCorrected }: RefusedObject, object: KubernetesObject): string {
  return truncated(`${faults}${isCorrected ? "" : inForce(kind, object)}`, maxMessage);
}

function inForce(kind: KindDefinition, object: KubernetesObject): string {
  const valid = "; the last version that was valid stays in force";
  const closed = kind === authorizationPolicyKind ? closedPolicySpec(object) : undefined;
  if (closed === undefined) return `${valid}, if there was one`;
  return `${valid}, and if there was none, the policy ${closed.action === "ALLOW" ? "allows nothing" : "denies all that it selects"}`;
}

function conditionsOf(object: KubernetesObject): readonly Condition[] {
  return (object as WithConditions).status?.conditions ?? [];
}
