import { ownField } from "../../../base/index.ts";
import type { ContainerStatus, Pod } from "../../../api/kubernetes/index.ts";
import type { PodFacts } from "../../decide/index.ts";
import { podName } from "../live-pods.ts";

/** Reasons of waiting containers that usually do not go away by themselves. */
const incurable: Readonly<Record<string, string>> = {
  CrashLoopBackOff: "is in a crash loop",
  ImagePullBackOff: "has an image that cannot be pulled",
  ErrImagePull: "has an image that cannot be pulled",
  InvalidImageName: "has an invalid image name",
  CreateContainerConfigError: "refers to configuration that does not exist",
  CreateContainerError: "cannot be created",
  RunContainerError: "cannot be started",
};

export function podFacts(pod: Pod): PodFacts {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const condition = pod.status?.conditions?.find(({ type }) => type === "Ready");
  const last = statuses.map(lastEndOf).find((text) => text !== undefined);
  const problem = problemOf(pod, statuses);
  const node = pod.spec?.nodeName;
  return {
    uid: pod.metadata.uid ?? podName(pod),
    name: podName(pod),
    ready: condition?.status === "True",
    ending: pod.metadata.deletionTimestamp !== undefined,
    ...(node === undefined ? {} : { node }),
    restarts: statuses.reduce((sum, { restartCount }) => sum + restartCount, 0),
    detail: detailOf(pod, statuses, condition?.message ?? condition?.reason),
    ...(last === undefined ? {} : { lastEnd: last }),
    ...(problem === undefined ? {} : { problem }),
  };
}

function problemOf(pod: Pod, statuses: readonly ContainerStatus[]): PodFacts["problem"] {
  if (pod.status?.phase === "Failed")
    return {
      kind: pod.status.reason ?? "Failed",
      detail: `has failed: ${pod.status.reason ?? ""} ${pod.status.message ?? ""}`.trim(),
    };
  for (const status of statuses) {
    const { name, state } = status;
    const reason = state?.waiting?.reason ?? "";
    const ended = lastEndOf(status);
    const text = ownField(incurable, reason);
    if (text !== undefined)
      return {
        kind: reason,
        detail: `${name} ${text}${ended === undefined ? messageText(state?.waiting?.message) : `, ${ended}`}`,
      };
    if (status.restartCount > 0 && status.lastState?.terminated?.reason === "OOMKilled" && !status.ready)
      return { kind: "OOMKilled", detail: `${name} ran out of memory` };
  }
  return undefined;
}

function messageText(message: string | undefined): string {
  return message === undefined || message === "" ? "" : `: ${message}`;
}

/**
 * Describes how a container last ended. Undefined if it has not ended, or if it ended with exit code 0 and was never
 * restarted.
 */
function lastEndOf({ name, state, lastState, restartCount }: ContainerStatus): string | undefined {
  const ended = lastState?.terminated ?? state?.terminated;
  if (ended === undefined || (ended.exitCode === 0 && restartCount === 0)) return undefined;
  const reason = ended.reason === undefined || ended.reason === "" ? "" : ` (${ended.reason})`;
  return `${name} ended with ${ended.exitCode}${reason}`;
}

function detailOf(pod: Pod, statuses: readonly ContainerStatus[], endReason: string | undefined): string {
  const waiting = statuses.find(({ state }) => state?.waiting !== undefined)?.state?.waiting;
  return waiting?.reason ?? endReason ?? pod.status?.phase ?? "unknown";
}
