import { istioLabels } from "../../api/istio/index.ts";
import { messageOf } from "../../base/index.ts";
import { formatLabelSelector } from "../../api/index.ts";
import {
  daemonSetKind,
  deploymentKind,
  namespaceKind,
  podKind,
  serviceKind,
  type DaemonSet,
  type Deployment,
  type Pod,
} from "../../api/kubernetes/index.ts";
import { isKubeCode, undefinedIfForbidden, type KubeClient } from "../../kube/index.ts";
import {
  findPodObstacle,
  crashLog,
  refusedPods,
  type PodObstacle,
  type PodRefusal,
  type RefusedWorkload,
} from "../../kube/obstacles/index.ts";
import { besideIstio, istioImageOf } from "./istio-image.ts";
import { good, unseen, warning, type ClusterFinding } from "./cluster-finding.ts";

/**
 * The labels of the mesh's own workloads: the first marks those that an installation creates, the second the proxies of
 * Gateways.
 */
const ownLabels: readonly string[] = [istioLabels.component, istioLabels.gatewayManaged];

const subject = "mesh";

interface OwnWorkload {
  readonly kind: "Deployment" | "DaemonSet";
  readonly object: Deployment | DaemonSet;
  readonly wanted: number;
  readonly ready: number;
  /** Whether pods are missing or are being replaced, even if enough pods are ready. */
  readonly isChanging: boolean;
}

/**
 * Checks whether the pods of the installed mesh are ready. For a pod that is not, reports the reason that the kubelet,
 * the scheduler or the API server gives. Finds nothing without a mesh.
 */
export async function meshFindings(client: KubeClient): Promise<ClusterFinding[]> {
  try {
    const workloads = await ownWorkloads(client);
    const orphans = await orphanedGateways(client, workloads);
    const found = await Promise.all(
      workloads.map(async (workload) =>
        orphans.has(workload) ? orphanFinding(workload) : await findingOf(client, workload),
      ),
    );
    return [...found, ...missingAgent(workloads), ...istioFindings(workloads)];
  } catch (error) {
    if (isKubeCode(error, "forbidden")) return [unseen(subject, "deployments, daemonsets and pods", messageOf(error))];
    throw error;
  }
}

async function ownWorkloads(client: KubeClient): Promise<OwnWorkload[]> {
  const ending = await endingNamespaces(client);
  const found = await labelledWorkloads(client);
  return found.filter(
    ({ object: { metadata } }) => metadata.deletionTimestamp === undefined && !ending.has(metadata.namespace ?? ""),
  );
}

/**
 * The namespaces that are being deleted. Their workloads may stay for minutes after their pods. Empty if the user may
 * not list namespaces.
 */
async function endingNamespaces(client: KubeClient): Promise<ReadonlySet<string>> {
  const found = await undefinedIfForbidden(client.list(namespaceKind));
  const ending = (found?.items ?? []).filter(({ metadata }) => metadata.deletionTimestamp !== undefined);
  return new Set(ending.map(({ metadata }) => metadata.name ?? ""));
}

async function labelledWorkloads(client: KubeClient): Promise<OwnWorkload[]> {
  const lists = await Promise.all(
    ownLabels.map(async (labelSelector) => {
      const sets = await client.list(daemonSetKind, { labelSelector });
      const deployments = await client.list(deploymentKind, { labelSelector });
      return [
        ...sets.items.map((object) => ({
          kind: "DaemonSet" as const,
          object,
          wanted: object.status?.desiredNumberScheduled ?? 0,
          ready: object.status?.numberReady ?? 0,
          isChanging: isChanging(
            object.status?.numberUnavailable,
            object.status?.updatedNumberScheduled ?? 0,
            object.status?.desiredNumberScheduled,
          ),
        })),
        ...deployments.items.map((object) => ({
          kind: "Deployment" as const,
          object,
          wanted: object.spec?.replicas ?? 1,
          ready: object.status?.readyReplicas ?? 0,
          isChanging: isChanging(
            object.status?.unavailableReplicas,
            object.status?.updatedReplicas ?? 0,
            object.spec?.replicas,
          ),
        })),
      ];
    }),
  );
  return lists.flat();
}

/**
 * Finds ztunnels without a CNI agent. Such a ztunnel gets no pods and does not become ready, and its own pods do not
 * show why.
 */
function missingAgent(workloads: readonly OwnWorkload[]): ClusterFinding[] {
  const has = (component: string): boolean =>
    workloads.some(
      ({ kind, object: { metadata } }) =>
        kind === "DaemonSet" && metadata.labels?.[istioLabels.component] === component,
    );
  if (!has("Ztunnel") || has("Cni")) return [];
  return [
    warning(
      subject,
      "DaemonSet istio-cni-node",
      "does not exist, and a ztunnel needs it: new pods start outside the ambient mesh, and new pods with a sidecar wait for their redirect",
      "install the agent again, in the same way: serin install with the flags of the installation, or helm install istio-cni",
    ),
  ];
}

/**
 * The proxies of Gateways in a cluster without a control plane, such as those that an uninstall has left. Empty if the
 * cluster has a Service `istiod`: it also exists if the control plane runs in another cluster. Also empty if the user
 * may not list Services.
 */
async function orphanedGateways(
  client: KubeClient,
  workloads: readonly OwnWorkload[],
): Promise<ReadonlySet<OwnWorkload>> {
  const gateways = workloads.filter(({ object: { metadata } }) => gatewayOf(metadata) !== undefined);
  if (gateways.length === 0) return new Set();
  const pilots = await undefinedIfForbidden(client.list(serviceKind, { labelSelector: "app=istiod" }));
  return new Set(pilots?.items.length === 0 ? gateways : []);
}

function gatewayOf({ labels = {} }: Deployment["metadata"]): string | undefined {
  return labels[istioLabels.gatewayManaged] === undefined ? undefined : labels[istioLabels.gatewayName];
}

function orphanFinding({ kind, object: { metadata }, wanted, ready }: OwnWorkload): ClusterFinding {
  const { name = "", namespace = "" } = metadata;
  return warning(
    subject,
    `${kind} ${namespace}/${name}`,
    `${ready} of ${wanted} pods are ready, and there is no control plane: the proxy continues with its last configuration, and a new pod of it does not become ready`,
    `install a control plane, or delete the Gateway: kubectl delete gateways.gateway.networking.k8s.io -n ${namespace} ${gatewayOf(metadata) ?? name}`,
  );
}

/** Finds workloads of Istio, which an installation of Serin with the same revision would replace. */
function istioFindings(workloads: readonly OwnWorkload[]): ClusterFinding[] {
  return workloads.flatMap(({ kind, object }) => {
    const image = istioImageOf(object);
    if (image === undefined) return [];
    const { name = "", namespace = "" } = object.metadata;
    const title = `${kind} ${namespace}/${name}`;
    return [warning("Istio", title, `runs ${image}; an installation of this name would replace it`, besideIstio)];
  });
}

/** Why no pod of the workload was created. Undefined if the user may read pods, but not the events with the reason. */
async function refusalOf(client: KubeClient, workload: RefusedWorkload): Promise<PodRefusal | undefined> {
  return await undefinedIfForbidden(refusedPods(client, workload));
}

async function findingOf(client: KubeClient, workload: OwnWorkload): Promise<ClusterFinding> {
  const { kind, object, wanted, ready } = workload;
  const { name = "", namespace = "" } = object.metadata;
  const title = `${kind} ${namespace}/${name}`;
  const counts = `${ready} of ${wanted} pods are ready`;
  if (ready >= wanted && !workload.isChanging) return good(subject, title, counts);
  const labelSelector = formatLabelSelector(object.spec?.selector ?? {});
  const { items } = await client.list(podKind, { namespace, labelSelector });
  const obstacle = await findPodObstacle(client, items);
  const unready = items.find(isUnready);
  const also = ready >= wanted ? ", and a newer pod does not start" : "";
  // Read the events of refused pods only if pods are missing. Otherwise the events may be older than the ready pods.
  const refused =
    obstacle === undefined && ready < wanted ? await refusalOf(client, { kind, namespace, name }) : undefined;
  const reason = obstacle ?? refused;
  if (reason !== undefined) {
    const text = refused?.refusal ?? reason.text;
    const log = reason.crashed === undefined ? "" : await crashLog(client, namespace, reason.crashed);
    return warning(subject, title, `${counts}${also}; ${text}${log}`, hintOf(reason, namespace));
  }
  if (unready !== undefined)
    return warning(
      subject,
      title,
      `${counts}${also}; ${describePod(unready)} runs and is not ready`,
      `kubectl logs -n ${namespace} ${unready.metadata.name ?? ""} --tail=20`,
    );
  if (ready >= wanted) return good(subject, title, counts);
  return warning(subject, title, counts, `kubectl describe pods -n ${namespace} -l '${labelSelector}'`);
}

/** Whether pods are missing or have an older template. The defaults apply because the API server leaves out zeros. */
function isChanging(unavailable = 0, updated = 0, wanted = 1): boolean {
  return unavailable > 0 || updated < wanted;
}

function hintOf({ hint, crashed, text }: PodObstacle, namespace: string): string {
  if (crashed === undefined) return hint ?? text;
  const previous = crashed.run === "previous" ? " --previous" : "";
  return `${hint === undefined ? "" : `${hint} `}kubectl logs -n ${namespace} ${crashed.pod} -c ${crashed.container}${previous} --tail=20`;
}

function isUnready({ metadata, status }: Pod): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    status?.phase === "Running" &&
    status.conditions?.find(({ type }) => type === "Ready")?.status !== "True"
  );
}

function describePod({ metadata, spec }: Pod): string {
  return `pod ${metadata.namespace ?? ""}/${metadata.name ?? ""} on node ${spec?.nodeName ?? "?"}`;
}
