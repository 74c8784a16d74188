import { matchesLabels } from "../../../api/index.ts";
import { endpointSliceKind } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { SettleCondition, SettleState } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { observeAcknowledged } from "../pilots.ts";

/** Whether enough ready pods with the labels are endpoints of the Service, and all proxies know it. */
export async function endpointsState({ client, view, nowMs }: { readonly client: KubeClient; readonly view: ClusterView; readonly nowMs: number }, { service, labels, atLeast }: Extract<SettleCondition, { type: "endpoints" }>): Promise<SettleState> {
  const { namespace = "", name } = service;
  const { items } = await client.list(endpointSliceKind, { namespace, labelSelector: `kubernetes.io/service-name=${name}` });
  const ready = new Set(
    items
      .flatMap(({ endpoints }) => endpoints ?? [])
      .filter(({ conditions, targetRef }) => conditions?.ready !== false && targetRef?.kind === "Pod")
      .map(({ targetRef }) => targetRef?.name ?? "")
      .filter((pod) => matchesLabels(labels, view.pods.get(`${namespace}/${pod}`)?.metadata.labels)),
  );
  if (ready.size < atLeast) return { state: "waiting", detail: `Service ${namespace}/${name}: ${ready.size} of ${atLeast} pods are endpoints` };
  for (const item of items) {
    const slice = { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", plural: "endpointslices", name: item.metadata.name ?? "", namespace };
    const state = await observeAcknowledged(view, slice, { ...item }, nowMs);
    if (state.state !== "met") return state;
  }
  return { state: "met" };
}
