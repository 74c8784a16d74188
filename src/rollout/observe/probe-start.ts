import type { Pod } from "../../api/kubernetes/index.ts";
import type { SettleState } from "../decide/index.ts";
import { whyNotReady } from "./settle/pod-reason.ts";

/** How long a probe may take to start before it counts as one that will not. */
const startLimitMs = 90_000;

/** Whether a probe pod answers, and if it will not, why: an explained failure instead of an endless wait. */
export function probePodState(pod: Pod | undefined, name: string, nowMs: number): SettleState {
  if (pod === undefined) return { state: "waiting", detail: `probe ${name} is not there yet` };
  const revision = pod.metadata.labels?.["istio.io/rev"];
  if (revision !== undefined && !isInjected(pod)) {
    return {
      state: "failed",
      detail: `probe ${name} was not injected: no webhook of revision ${revision} has answered for a pod with the label istio.io/rev: ${revision}`,
    };
  }
  if (pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true)
    return { state: "met" };
  const { phase = "", message = "" } = pod.status ?? {};
  if (phase === "Failed" || phase === "Succeeded")
    return { state: "failed", detail: `probe ${name} has ended (${phase}${message === "" ? "" : `: ${message}`})` };
  const reason = whyNotReady(pod);
  const sinceMs = nowMs - Date.parse(pod.metadata.creationTimestamp ?? new Date(nowMs).toISOString());
  if (sinceMs <= startLimitMs) return { state: "waiting", detail: `probe ${name} is not ready: ${reason}` };
  return {
    state: "failed",
    detail: `probe ${name} has not started in ${Math.round(startLimitMs / 1000)} s: ${reason}`,
  };
}

function isInjected({ spec }: Pod): boolean {
  return [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some(
    (container) => container.name === "istio-proxy",
  );
}
