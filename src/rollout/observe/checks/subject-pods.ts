import { matchesLabels } from "../../../api/index.ts";
import { serviceKind, type Pod } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { CheckSubject, WorkloadMatch } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { workloadOf } from "../sidecar-workloads.ts";
import { proxyPods, revisionOf } from "./proxies.ts";

export interface SubjectPods {
  readonly canary: readonly Pod[];
  readonly stable: readonly Pod[];
}

/** The maximum number of pods of each group that one look reads. */
const maxPods = 200;

/** The pods of both versions that have not ended. A pod that belongs to both counts for the canary. */
export async function podsOfSubject(
  client: KubeClient,
  view: ClusterView,
  subject: CheckSubject,
): Promise<SubjectPods> {
  const { canary, stable } = await sidesOf(client, view, subject);
  const ofCanary = new Set(canary);
  return { canary: canary.slice(0, maxPods), stable: stable.filter((pod) => !ofCanary.has(pod)).slice(0, maxPods) };
}

async function sidesOf(client: KubeClient, view: ClusterView, subject: CheckSubject): Promise<SubjectPods> {
  const live = view.pods.list().filter(({ status }) => status?.phase !== "Succeeded");
  switch (subject.type) {
    case "backends":
      return {
        canary: await backendPods(client, view, live, subject.canary),
        stable: await backendPods(client, view, live, subject.stable),
      };
    case "gatewayRevisions": {
      const pods = proxyPods(view).flatMap(({ pod }) =>
        pod.metadata.labels?.["gateway.networking.k8s.io/gateway-name"] === subject.gateway.name &&
        pod.metadata.namespace === subject.gateway.namespace
          ? [pod]
          : [],
      );
      return {
        canary: pods.filter((pod) => revisionOf(pod) === subject.canary),
        stable: pods.filter((pod) => revisionOf(pod) === subject.stable),
      };
    }
    case "revisions": {
      const chosen = live.filter(
        ({ metadata }) => subject.namespaces.length === 0 || subject.namespaces.includes(metadata.namespace ?? ""),
      );
      const meshed = chosen.filter((pod) => isOfMesh(pod));
      return {
        canary: meshed.filter((pod) => revisionOf(pod) === subject.canary),
        stable: meshed.filter((pod) => revisionOf(pod) === subject.stable),
      };
    }
    case "proxies":
      return { canary: live.filter((pod) => isOfMesh(pod) && revisionOf(pod) === subject.revision), stable: [] };
    case "probes":
      return { canary: live.filter((pod) => isOfMesh(pod) && subject.revisions.includes(revisionOf(pod))), stable: [] };
    case "mesh":
      return { canary: live.filter(isOfMesh), stable: [] };
  }
}

/** Whether a pod is a control plane, ztunnel, CNI agent, gateway or waypoint, or has a sidecar. */
function isOfMesh(pod: Pod): boolean {
  const { labels = {} } = pod.metadata;
  const app = labels["app"] ?? labels["k8s-app"] ?? "";
  if (
    ["istiod", "ztunnel", "istio-cni-node"].includes(app) ||
    labels["gateway.networking.k8s.io/gateway-name"] !== undefined
  )
    return true;
  return [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].some(
    ({ name }) => name === "istio-proxy",
  );
}

/** Finds the pods by labels, else by the workload, else by the selector of the Service. */
async function backendPods(
  client: KubeClient,
  view: ClusterView,
  live: readonly Pod[],
  match: WorkloadMatch,
): Promise<readonly Pod[]> {
  const here = live.filter(({ metadata }) => metadata.namespace === match.namespace);
  const { podLabels, workload, service } = match;
  if (podLabels !== undefined) return here.filter(({ metadata }) => matchesLabels(podLabels, metadata.labels));
  if (workload !== undefined) return here.filter((pod) => workloadOf(pod).name === workload);
  if (service === undefined) return [];
  const found = await view.recently(
    `service ${match.namespace}/${service}`,
    async () => await client.get(serviceKind, service, match.namespace),
  );
  const selector = found?.spec?.selector;
  return selector === undefined || Object.keys(selector).length === 0
    ? []
    : here.filter(({ metadata }) => matchesLabels(selector, metadata.labels));
}
