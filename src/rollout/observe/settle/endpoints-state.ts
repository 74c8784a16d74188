import { matchesLabels, type UntypedObject } from "../../../api/index.ts";
import { endpointSliceKind, serviceKind, type Deployment, type Pod } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { SettleCondition, SettleState } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { isLive, workloadOf } from "../sidecar-workloads.ts";
import { isOpen, notAskedLeft, observeAcknowledged, ofOthersTogether, type AskedObject } from "../acknowledgements.ts";

/** What {@link endpointsState} reads, and the namespaces whose proxies decide. See `AskedObject`. */
export interface EndpointSources extends Pick<AskedObject, "ageMs" | "concerned" | "withoutOthers"> {
  readonly client: KubeClient;
  readonly view: ClusterView;
  /**
   * Set if only EndpointSlices decide, and not whether proxies have acknowledged them. For example, the engine has
   * waited for the proxies long enough.
   */
  readonly withoutProxies?: boolean;
}

/**
 * Whether enough ready pods with the labels are endpoints of the Service, and all proxies have acknowledged its
 * EndpointSlices.
 */
export async function endpointsState(
  { client, view, withoutProxies = false, ...asking }: EndpointSources,
  { service, labels, atLeast }: Extract<SettleCondition, { type: "endpoints" }>,
): Promise<SettleState> {
  const { namespace = "", name } = service;
  const { items } = await client.list(endpointSliceKind, {
    namespace,
    labelSelector: `kubernetes.io/service-name=${name}`,
  });
  const ready = new Set(
    items
      .flatMap(({ endpoints }) => endpoints ?? [])
      .filter(({ conditions, targetRef }) => conditions?.ready !== false && targetRef?.kind === "Pod")
      .map(({ targetRef }) => targetRef?.name ?? "")
      .filter((pod) => matchesLabels(labels, view.pods.get(`${namespace}/${pod}`)?.metadata.labels)),
  );
  if (ready.size < atLeast)
    return {
      state: "waiting",
      detail: `Service ${namespace}/${name}: ${ready.size} of ${atLeast} pods are endpoints`,
      left: notAskedLeft + atLeast - ready.size,
    };
  if (withoutProxies) return { state: "met" };
  const ofOthers: SettleState[] = [];
  for (const item of items) {
    const slice = {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      plural: "endpointslices",
      name: item.metadata.name ?? "",
      namespace,
    };
    const state = await observeAcknowledged(view, { ...asking, reference: slice, object: { ...item } });
    if (isOpen(state)) return state;
    ofOthers.push(state);
  }
  return ofOthersTogether(ofOthers);
}

function isPodOf(pod: Pod, { metadata: { name, namespace } }: UntypedObject): boolean {
  if (pod.metadata.namespace !== namespace) return false;
  const workload = workloadOf(pod);
  return workload.kind === "Deployment" && workload.name === name;
}

/**
 * Whether proxies know a Deployment's ready pods as endpoints of every Service that selects them. The Service of a
 * Canary's stable version selects them by their template hash, which only the pods have, and not the Deployment's
 * template. `lacked` of these pods may be missing. Objects of other kinds are always `met`.
 */
export async function reachableState(
  sources: EndpointSources,
  deployment: UntypedObject | undefined,
  lacked = 0,
): Promise<SettleState> {
  if (deployment?.kind !== "Deployment") return { state: "met" };
  const { selector, template, replicas = 1 } = deployment["spec"] as NonNullable<Deployment["spec"]>;
  const { namespace = "" } = deployment.metadata;
  const { items } = await sources.client.list(serviceKind, { namespace });
  const own = sources.view.pods.list().filter((pod) => isLive(pod) && isPodOf(pod, deployment));
  const labels = [template.metadata?.labels, ...own.map((pod) => pod.metadata.labels)];
  const selecting = items.filter(({ spec: { selector: selected = {} } = {} }) => {
    const isSelecting = Object.keys(selected).length > 0;
    return isSelecting && labels.some((some) => matchesLabels(selected, some));
  });
  for (const { metadata } of selecting) {
    const service = { apiVersion: "v1", kind: "Service", plural: "services", name: metadata.name ?? "", namespace };
    const state = await endpointsState(sources, {
      type: "endpoints",
      service,
      labels: selector.matchLabels ?? {},
      atLeast: replicas - lacked,
    });
    if (state.state !== "met") return state;
  }
  return { state: "met" };
}
