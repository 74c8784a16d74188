import { keyOf } from "../../api/index.ts";
import type { PodRow } from "../../api/dashboard/index.ts";
import { istioAnnotations, istioLabels } from "../../api/istio/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import { ztunnelOwnerAnnotation } from "../../api/serin/index.ts";
import { isReadyPod, restartsOf, revisionOfPod, sidecarNames } from "./inventory.ts";
import { timeMs } from "./mesh-objects.ts";

export function podRow(pod: Pod, all: readonly Pod[]): PodRow {
  const { metadata, spec, status } = pod;
  const startedAtMs = timeMs(status?.startTime);
  return {
    name: metadata.name ?? "",
    node: spec?.nodeName ?? "",
    ip: status?.podIP ?? "",
    state: podState(pod),
    ready: readyText(pod),
    restarts: restartsOf(pod),
    ...(startedAtMs === undefined ? {} : { startedAtMs }),
    containers: [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].map(({ name }) => name),
    revision: revisionOfPod(pod),
    ztunnel: ztunnelText(pod, all),
  };
}

/** How many of the pod's containers are ready: `1/2`. As in kubectl, sidecars among the init containers count. */
function readyText(pod: Pod): string {
  const { spec, status } = pod;
  const sidecars = sidecarNames(pod);
  const statuses = [
    ...(status?.containerStatuses ?? []),
    ...(status?.initContainerStatuses ?? []).filter(({ name }) => sidecars.has(name)),
  ];
  return `${statuses.filter(({ ready }) => ready).length}/${(spec?.containers.length ?? 0) + sidecars.size}`;
}

/** The state of a pod in kubectl's words. */
function podState({ metadata, status }: Pod): string {
  if (metadata.deletionTimestamp !== undefined) return "Terminating";
  const initial = (status?.initContainerStatuses ?? []).find(
    ({ ready, state }) => !ready && state?.running === undefined && state?.terminated?.exitCode !== 0,
  );
  const initialReason = initial?.state?.waiting?.reason ?? initial?.state?.terminated?.reason;
  if (initialReason !== undefined && initialReason !== "PodInitializing") return `Init:${initialReason}`;
  for (const { state } of status?.containerStatuses ?? []) {
    const reason = state?.waiting?.reason ?? state?.terminated?.reason;
    if (reason !== undefined) return reason;
  }
  return status?.reason ?? status?.phase ?? "Unknown";
}

function ztunnelText(pod: Pod, all: readonly Pod[]): string {
  const { annotations = {} } = pod.metadata;
  const redirection = annotations[istioAnnotations.ambientRedirection];
  if (redirection === "pending") return "none yet: the CNI agent of its node has not enrolled the pod";
  if (redirection !== "enabled") return "";
  const owner = annotations[ztunnelOwnerAnnotation] ?? "default";
  const found = all.find(
    ({ metadata, spec }) =>
      metadata.labels?.["app"] === "ztunnel" &&
      spec?.nodeName === pod.spec?.nodeName &&
      (metadata.labels[istioLabels.revision] ?? "default") === owner,
  );
  if (found === undefined) return `${owner}, which has no pod on ${pod.spec?.nodeName ?? "its node"}`;
  return isReadyPod(found) ? keyOf(found) : `${keyOf(found)}, not ready`;
}
