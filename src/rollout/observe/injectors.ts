import type { FieldEntry } from "../decide/index.ts";
import { matchesLabelSelector, type UntypedObject, type Labels } from "../../api/index.ts";
import type { PodTemplate, WebhookConfiguration } from "../../api/kubernetes/index.ts";
import { isEngine, whoWrote } from "../../api/serin/field-managers/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import { isRestart } from "../act/undo-order.ts";
import { injectionLabel, labelPointer, reference, revisionLabel, tagLabel } from "../plan/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { pilotPods } from "./pilot-answers.ts";

/**
 * Why no workload of the namespace may restart now: its new pods would start without a sidecar, or be refused. The
 * engine checks this before a restart, because Kubernetes does not wait for an injector.
 */
export function injectorObstacle(view: ClusterView, namespace: string, revision: string): string | undefined {
  const { [injectionLabel]: _, ...labels } = view.namespaces.get(namespace)?.metadata.labels ?? {};
  return obstacleOf(view, namespace, { ...labels, [revisionLabel]: revision });
}

/**
 * Why undo must wait before it moves a namespace back to its former injector, or restarts a workload there: that
 * injector does not exist, or its control plane is not ready. A workload with a sidecar in its own template needs no
 * injector.
 */
export async function heldByInjector(
  { objects, view }: { readonly objects: ObjectAccess; readonly view: ClusterView },
  entry: FieldEntry,
  current: UntypedObject,
): Promise<string | undefined> {
  const { object, pointer, prior } = entry;
  if (object.kind === "Namespace") {
    const label = [revisionLabel, injectionLabel].find((key) => labelPointer(key) === pointer);
    if (label === undefined || typeof prior !== "string") return undefined;
    return restoredObstacle(view, object.name, { ...current.metadata.labels, [label]: prior });
  }
  const { template } = (current["spec"] ?? {}) as { readonly template?: PodTemplate };
  const hasOwnProxy = template?.spec?.containers?.some(({ name }) => name === "istio-proxy") === true;
  if (!isRestart(entry) || entry.adopted === true || hasOwnProxy) return undefined;
  const namespace = object.namespace ?? "";
  // Read from the API server: undo may have restored the label a moment ago, and the watched copy may not have it yet.
  const found = await objects.get(reference("v1", "Namespace", namespace));
  return restoredObstacle(view, namespace, found?.metadata.labels ?? {});
}

/**
 * Why no wave moves the namespace's workloads away from the revision: the namespace's labels select another revision,
 * or no injector, because they name a tag that somebody has removed. Undefined if the labels select the revision, or if
 * there are no such labels.
 */
export function ledElsewhere(
  view: Pick<ClusterView, "namespaces" | "injectors">,
  namespace: string,
  revision: string,
): string | undefined {
  const labels = view.namespaces.get(namespace)?.metadata.labels ?? {};
  const key = [injectionLabel, revisionLabel].find((label) => labels[label] !== undefined);
  if (key === undefined || labels[revisionLabel] === revision) return undefined;
  const named = `namespace ${namespace} has the label ${key}=${labels[key] ?? ""}`;
  const revisions = revisionsThatInject(view, labels);
  if (revisions.includes(revision)) return undefined;
  const [other] = revisions;
  return other === undefined
    ? `${named}, which no MutatingWebhookConfiguration selects`
    : `${named}, which leads to revision ${other}`;
}

function revisionsThatInject(view: Pick<ClusterView, "injectors">, labels: Labels): readonly string[] {
  return view.injectors
    .list()
    .filter((injector) => selects(injector, labels))
    .map(({ metadata }) => metadata.labels?.[revisionLabel] ?? "");
}

/**
 * Whether the namespace's labels make the revision inject new pods. The label `istio-injection` overrides
 * `istio.io/rev`. Only the injectors' selectors say which revision it means.
 */
export function isLedTo(
  view: Pick<ClusterView, "namespaces" | "injectors">,
  namespace: string,
  revision: string,
): boolean {
  const labels = view.namespaces.get(namespace)?.metadata.labels ?? {};
  if (labels[injectionLabel] !== undefined) return revisionsThatInject(view, labels).includes(revision);
  return labels[revisionLabel] !== undefined && ledElsewhere(view, namespace, revision) === undefined;
}

/**
 * The command that makes another revision inject the pods of a namespace: it moves the tag that the namespace names, or
 * changes the namespace's label. Undefined if the given revision does not inject them.
 */
export function howToLeadAway(
  view: Pick<ClusterView, "namespaces" | "injectors">,
  namespace: string,
  revision: string,
): string | undefined {
  if (!isLedTo(view, namespace, revision)) return undefined;
  const labels = view.namespaces.get(namespace)?.metadata.labels ?? {};
  const tag = labels[injectionLabel] === undefined ? (labels[revisionLabel] ?? "") : "default";
  return tag === revision
    ? `kubectl label --overwrite namespace ${namespace} ${revisionLabel}=REVISION`
    : `serin tag set ${tag} --revision REVISION --overwrite`;
}

/**
 * Why undo must not yet remove the revision's control plane: somebody has moved a tag to it, by the tag's label or by
 * its Service alone. Without the control plane, the API server would refuse new pods in the namespaces that use the
 * tag. A tag that the engine itself has moved or made is no obstacle: its own journal entry undoes that. `pilot` names
 * the control plane's Deployment and also its Service.
 */
export function tagLedTo(
  view: Pick<ClusterView, "injectors">,
  revision: string,
  pilot: Pick<ObjectReference, "name" | "namespace">,
): string | undefined {
  for (const injector of view.injectors.list()) {
    const { [tagLabel]: tag, [revisionLabel]: led } = injector.metadata.labels ?? {};
    if (tag === undefined) continue;
    const asked = (injector.webhooks ?? []).findIndex(({ clientConfig }) => {
      const { name, namespace } = clientConfig?.service ?? {};
      return name === pilot.name && namespace === pilot.namespace;
    });
    if (led !== revision && asked === -1) continue;
    const pointer = led === revision ? labelPointer(revisionLabel) : `/webhooks/${asked}/clientConfig/service`;
    const who = whoWrote(injector, pointer);
    if (who !== undefined && !isEngine(who))
      return `${who} has set tag ${tag} to revision ${revision}; set it to another one, or new pods would be refused: serin tag set ${tag} --revision REVISION --overwrite`;
  }
  return undefined;
}

/**
 * Why new pods would get no sidecar with the restored labels of the namespace. The labels from before the upgrade may
 * name a tag that somebody has removed.
 */
function restoredObstacle(view: ClusterView, namespace: string, labels: Labels): string | undefined {
  const tag = labels[injectionLabel] === undefined ? labels[revisionLabel] : "default";
  const advice = tag === undefined ? "" : `, or if it was a tag: serin tag set ${tag} --revision REVISION`;
  return obstacleOf(view, namespace, labels, advice);
}

function obstacleOf(view: ClusterView, namespace: string, labels: Labels, advice = ""): string | undefined {
  const named = [injectionLabel, revisionLabel].flatMap((key) => {
    const value = labels[key];
    return value === undefined ? [] : [`${key}=${value}`];
  });
  const led = named.length === 0 ? `with the labels of ${namespace}` : `with ${named.join(",")}`;
  const injectors = view.injectors.list().filter((injector) => selects(injector, labels));
  if (injectors.length === 0)
    return `namespace ${namespace} waits for an injector: no MutatingWebhookConfiguration selects namespaces ${led}. Install that revision again${advice}`;
  const revisions = [...new Set(injectors.map(({ metadata }) => metadata.labels?.[revisionLabel] ?? ""))];
  // An injector with a URL runs outside the cluster, so nothing is known about its readiness.
  const isOutside = injectors.some(({ webhooks = [] }) =>
    webhooks.some((webhook) => webhook.clientConfig?.url !== undefined),
  );
  if (isOutside || revisions.some((revision) => pilotPods(view, revision).length > 0)) return undefined;
  const [revision = ""] = revisions;
  return `namespace ${namespace} waits for its injector: no control plane of revision ${revision} is ready. See kubectl get deployments -A -l app=istiod,${revisionLabel}=${revision}`;
}

function selects({ metadata, webhooks = [] }: WebhookConfiguration, labels: Labels): boolean {
  return (
    metadata.labels?.[revisionLabel] !== undefined &&
    webhooks.some(({ namespaceSelector }) => matchesLabelSelector(namespaceSelector ?? {}, labels))
  );
}
