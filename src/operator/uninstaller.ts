import { firstNames, userError, type Clock } from "../base/index.ts";
import type { Pod } from "../api/kubernetes/index.ts";
import {
  formatLabelSelector,
  keyOf,
  type KindDefinition,
  type KubernetesObject,
  type UntypedObject,
} from "../api/index.ts";
import { istioLabels } from "../api/istio/index.ts";
import { controllerOf, itemsIfServed, type KubeClient } from "../kube/index.ts";
import { installedKinds } from "../install/index.ts";
import { podsLeft, type PodsGoneOptions, type SelectingWorkload } from "./pods-gone.ts";
import { releasePods } from "./release-pods.ts";

export interface UninstallOptions {
  readonly client: KubeClient;
  /**
   * The objects to remove.
   * - `revision` without a selector: all objects of the revision. With `owner`, only those that this IstioOperator
   *   installed.
   * - `labelSelector`: all objects that match. If `revision` is given too, the base and the node agent stay while
   *   another revision exists, because that revision may need them.
   */
  readonly selection:
    | { readonly revision: string; readonly owner?: string }
    | { readonly labelSelector: string; readonly revision?: string }
    | "everything";
  readonly onRemoved: (object: KubernetesObject) => void;
  /** Returns whether to keep an object that the selection matches. */
  readonly keeps?: (object: UntypedObject) => boolean;
  readonly dryRun?: boolean;
  readonly clock: Clock;
  /** Called with a message that names pods that did not end in time. */
  readonly onWarning?: (text: string) => void;
  readonly onWait?: PodsGoneOptions["onWait"];
}

const agentKind = "DaemonSet";

/** The label of all installed objects. */
const everything = istioLabels.component;
const notShared = `${everything} notin (Base,Cni)`;
const rightsGroup = "rbac.authorization.k8s.io";
/**
 * The time to wait for a control plane to end. Its leases expire within this time, so waiting longer would not help.
 */
const controlPlanePatienceMs = 20_000;
/**
 * The time to wait for the pods of a complete removal. Pods that need longer are reported instead, because a ztunnel or
 * a gateway with open connections may need an hour.
 */
const endPatienceMs = 30_000;
const maxNamed = 5;
const workloadKinds = new Set(["Deployment", "DaemonSet"]);
const webhookKinds = new Set(["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]);

/**
 * Removes installed objects, and returns their number. Webhooks and tags are removed first, so that no webhook calls a
 * removed control plane. Then the CNI agents are removed, and release their pods while everything else still serves.
 * The other kinds follow in reverse order of their installation. Rights are removed only when the control planes have
 * ended: without rights a control plane could not release its leases, and the next control plane would wait until they
 * expire. CRDs stay, because their removal would delete users' objects. The root certificate and namespaces stay too. A
 * complete removal also waits for the pods, because users delete their namespaces next.
 */
export async function removeInstalled({
  client,
  selection,
  onRemoved,
  keeps = () => false,
  dryRun = false,
  clock,
  onWarning = () => undefined,
  onWait = () => undefined,
}: UninstallOptions): Promise<number> {
  const labelSelector = await selectorOf(selection, client);
  const kinds = installedKinds
    .toReversed()
    .filter(({ kind }) => kind !== "CustomResourceDefinition" && kind !== "Namespace");
  let removed = 0;
  const controlPlanes: SelectingWorkload[] = [];
  const workloads: SelectingWorkload[] = [];
  // A dry run changes nothing, so it reads all kinds at once.
  const listed = dryRun ? listAll(client, kinds, labelSelector) : undefined;
  const removeAll = async (kind: KindDefinition<UntypedObject>): Promise<void> => {
    const found = await (listed?.get(kind) ?? present(client, kind, labelSelector));
    const items = found.filter((object) => !keeps({ ...object, kind: kind.kind }));
    await Promise.all(
      items.map(async (object) => {
        const { metadata } = object;
        if (!dryRun)
          await client.delete(kind, metadata.name ?? "", metadata.namespace, { propagationPolicy: "Background" });
        onRemoved({ kind: kind.kind, metadata });
        removed += 1;
        if (kind.kind === "Deployment" && metadata.labels?.["app"] === "istiod") controlPlanes.push(object);
        if (workloadKinds.has(kind.kind)) workloads.push(object);
      }),
    );
  };
  for (const kind of kinds.filter(({ kind }) => webhookKinds.has(kind))) await removeAll(kind);
  if (!dryRun) {
    const keepsAgent = (agent: KubernetesObject): boolean => keeps({ ...agent, kind: agentKind });
    removed += await releasePods({ client, clock, labelSelector, keeps: keepsAgent, onRemoved, onWarning, onWait });
  }
  for (const kind of kinds.filter(({ kind }) => !webhookKinds.has(kind))) {
    if (kind.group === rightsGroup && !dryRun)
      for (const ending of controlPlanes.splice(0))
        await podsLeft({ client, clock, patienceMs: controlPlanePatienceMs, onWait }, ending);
    await removeAll(kind);
  }
  if (selection === "everything" && !dryRun) {
    const ends = await Promise.all(
      workloads.map(async (workload) => ({
        workload,
        pods: await podsLeft({ client, clock, patienceMs: endPatienceMs, onWait }, workload),
      })),
    );
    const left = ends.filter(({ pods }) => pods.length > 0);
    if (left.length > 0) onWarning(endingText(left));
  }
  return removed;
}

interface EndingWorkload {
  readonly workload: SelectingWorkload;
  readonly pods: readonly Pod[];
}

/**
 * A warning that names the pods that have not ended. Kubernetes rarely checks a namespace in deletion while its pods
 * have a long grace period, so a namespace that is deleted too early seems to hang.
 */
function endingText(left: readonly EndingWorkload[]): string {
  const names = left.flatMap(({ pods }) =>
    pods.map(({ metadata, spec }) => `${keyOf({ metadata })} on ${spec?.nodeName ?? "no node"}`),
  );
  const commands = left.map(
    ({ workload: { metadata, spec } }) =>
      `kubectl wait --for=delete pod -n ${metadata.namespace ?? ""} -l ${formatLabelSelector(spec?.selector ?? {})} --timeout=1h`,
  );
  return `these pods still end, because they have open connections or their node does not answer: ${firstNames(names, maxNamed)}. Wait for them before you delete their namespaces: ${commands.join("; ")}`;
}

async function selectorOf(selection: UninstallOptions["selection"], client: KubeClient): Promise<string> {
  if (selection === "everything") return everything;
  if ("labelSelector" in selection) {
    const { labelSelector, revision } = selection;
    const isShared = revision !== undefined && (await hasOtherRevision(client, revision));
    return isShared ? `${labelSelector},${notShared}` : labelSelector;
  }
  if (selection.revision === "") throw userError("argument-missing", "no revision was named");
  const owned = selection.owner === undefined ? "" : `,${istioLabels.owningResource}=${selection.owner}`;
  return `${istioLabels.revision}=${selection.revision},${everything},${notShared}${owned}`;
}

/**
 * The objects by which an installed revision is recognized. A control plane that runs in another cluster has only an
 * injector in this one.
 */
const ownWorkloads: readonly (readonly [kind: string, app: string])[] = [
  ["Deployment", "istiod"],
  ["DaemonSet", "ztunnel"],
  ["MutatingWebhookConfiguration", "sidecar-injector"],
];

async function hasOtherRevision(client: KubeClient, revision: string): Promise<boolean> {
  for (const [name, app] of ownWorkloads) {
    const kind = installedKinds.find((installed) => installed.kind === name);
    if (kind === undefined) continue;
    const { items } = await client.list(kind, { labelSelector: `app=${app}` });
    if (items.some(({ metadata }) => (metadata.labels?.[istioLabels.revision] ?? "default") !== revision)) return true;
  }
  return false;
}

/** Begins to list all kinds at once. If a list fails, the code that awaits that list gets the error. */
function listAll(
  client: KubeClient,
  kinds: readonly KindDefinition<UntypedObject>[],
  labelSelector: string,
): ReadonlyMap<KindDefinition, Promise<readonly UntypedObject[]>> {
  return new Map(
    kinds.map((kind) => {
      const list = present(client, kind, labelSelector);
      list.catch(() => undefined);
      return [kind, list];
    }),
  );
}

/** The objects that match, except those with a controller. Kubernetes deletes the latter with their owners. */
async function present(
  client: KubeClient,
  kind: KindDefinition<UntypedObject>,
  labelSelector: string,
): Promise<readonly UntypedObject[]> {
  const found = await itemsIfServed(client.list(kind, { labelSelector }));
  return found.filter(
    (object) =>
      controllerOf(object) === undefined &&
      object.metadata.labels?.["endpointslice.kubernetes.io/managed-by"] === undefined,
  );
}
