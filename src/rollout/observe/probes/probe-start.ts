import type { Pod } from "../../../api/kubernetes/index.ts";
import type { SettleState } from "../../decide/index.ts";
import type { AgeOfEvent } from "../event-ages.ts";
import { whyNotReady, isReady } from "../pod-reason.ts";

/** A probe counts as failed if a stage of its start takes longer. */
const startLimitMs = 90_000;

/** The state of a probe pod. It is `failed`, with the reason, if the pod will never start. */
export function probePodState(pod: Pod | undefined, name: string, ageMs: AgeOfEvent): SettleState {
  if (pod === undefined) return { state: "waiting", detail: `probe ${name} does not exist yet` };
  const revision = pod.metadata.labels?.["istio.io/rev"];
  if (revision !== undefined && !isInjected(pod)) {
    return {
      state: "failed",
      detail: `probe ${name} was not injected: no webhook of revision ${revision} has answered for a pod with the label istio.io/rev: ${revision}`,
    };
  }
  if (isReady(pod)) return { state: "met" };
  const { phase = "", message = "" } = pod.status ?? {};
  // A crashed container of a probe restarts, so only the node can have ended the pod. The engine makes the pod again.
  if (phase === "Failed" || phase === "Succeeded")
    return {
      state: "waiting",
      detail: `probe ${name} has ended (${phase}${message === "" ? "" : `: ${message}`}); the engine recreates it`,
    };
  const reason = `${whyNotReady(pod)}${missingSecrets(pod)}`;
  const lastStage = Math.max(Date.parse(pod.metadata.creationTimestamp ?? "") || 0, ...startedAt(pod));
  const sinceMs = lastStage === 0 ? 0 : ageMs(`start of probe ${name}, ${pod.metadata.uid ?? ""}`, lastStage);
  if (sinceMs <= startLimitMs) return { state: "waiting", detail: `probe ${name} is not ready: ${reason}` };
  return {
    state: "failed",
    detail: `probe ${name} has made no progress towards its start for ${Math.round(startLimitMs / 1000)} s: ${reason}`,
  };
}

/**
 * The image pull Secrets of a pod whose image cannot be pulled. The engine has no right to read whether they exist, so
 * the text names all of them.
 */
function missingSecrets({ metadata: { namespace = "" }, spec, status }: Pod): string {
  const waits = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].some(({ state }) =>
    /^(ErrImagePull|ImagePullBackOff)$/.test(state?.waiting?.reason ?? ""),
  );
  const names = (spec?.imagePullSecrets ?? []).map(({ name }) => name);
  if (!waits || names.length === 0) return "";
  return `; images are pulled with Secret ${names.join(", ")}, which must exist in namespace ${namespace}`;
}

/** The times of the stages of a pod's start: scheduled, then each container. The start after a crash is no stage. */
function startedAt({ status }: Pod): number[] {
  const conditions = (status?.conditions ?? [])
    .filter(({ type, status: value }) => value === "True" && (type === "PodScheduled" || type === "Initialized"))
    .map(({ lastTransitionTime }) => lastTransitionTime);
  const containers = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
    .filter(({ restartCount }) => restartCount === 0)
    .flatMap(({ state }) => [state?.running?.startedAt, state?.terminated?.finishedAt]);
  return [...conditions, ...containers].map((time) => Date.parse(time ?? "")).filter((time) => !Number.isNaN(time));
}

function isInjected({ spec }: Pod): boolean {
  return [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some(
    (container) => container.name === "istio-proxy",
  );
}
