import type { Pod } from "../../api/kubernetes/index.ts";
import { restartedForAnnotation, revisionLabel } from "../plan/index.ts";
import type { AgeOfEvent, NoticeEvent } from "./event-ages.ts";
import { isReady, whyNotReady } from "./pod-reason.ts";
import { readyState } from "./ready-state.ts";
import { sidecarRevision, templateOf, writtenAt, type SidecarWorkload } from "./sidecar-workloads.ts";

export interface Progress {
  readonly state: "waiting" | "moving" | "moved";
  readonly detail: string;
  /** Set if the workload has exceeded its limit. */
  readonly failed?: boolean;
  /** The time until `failed` is set. It grows when another pod becomes ready. */
  readonly failsInMs?: number;
}

export interface ProgressQuery {
  readonly revision: string;
  readonly mark: string;
  /** The proxies of the revision's control plane, as `<pod>.<namespace>`. */
  readonly connected: ReadonlySet<string>;
  readonly ageMs: AgeOfEvent;
  /** Records when a workload was complete at the revision. If absent, only the present state is used. */
  readonly notice?: NoticeEvent;
  /**
   * A workload fails this long after its restart, after its latest new pod became ready, or after it was last complete
   * without a crash, whichever is latest.
   */
  readonly withinMs: number;
  /**
   * Set if the workload was restarted through a field that does not name the upgrade. Then its template need not have
   * the mark.
   */
  readonly restarted?: boolean;
}

export function progressOf(workload: SidecarWorkload, query: ProgressQuery): Progress {
  const { object, pods, found } = workload;
  const { revision, connected } = query;
  const name = `${object.kind} ${object.name}`;
  const old = pods.filter((pod) => sidecarRevision(pod) !== revision);
  const template = templateOf(found);
  const isMarked =
    template?.annotations?.[restartedForAnnotation] === query.mark ||
    template?.labels?.[revisionLabel] === revision ||
    query.restarted === true;
  if (old.length > 0 && !isMarked) return { state: "waiting", detail: `${name} is to be restarted` };
  const missing = missingOf(name, workload, old, connected);
  const place = `${object.kind} ${object.namespace ?? ""}/${object.name}`;
  if (missing === undefined) {
    noticeMoved(place, pods, query);
    return { state: "moved", detail: "" };
  }
  query.notice?.(`missing: ${place}`);
  // `moved` ages from the last time at which the workload was complete. So pods that start later, such as those of an
  // autoscaler or of a drained node, get the whole limit again.
  const movedMs = query.ageMs(`moved: ${place}`, 0);
  const steadyMs = query.ageMs(`steady: ${place}`, 0);
  const sinceMs = query.ageMs(`restart of ${place}`, writtenAt(found));
  const lastCameAt = Math.max(writtenAt(found), ...pods.map((pod) => cameAt(pod, revision)));
  const stalledMs = Math.min(movedMs, query.ageMs(`progress of ${place}`, lastCameAt));
  const failsInMs = Math.min(
    query.withinMs - stalledMs,
    hardLimitFactor * query.withinMs - Math.min(steadyMs, sinceMs),
  );
  const isLimited = isMarked && found !== undefined;
  const failed = isLimited && failsInMs < 0;
  return failed
    ? {
        state: "moving",
        failed,
        detail: `${name} is not at ${revision} ${Math.round(sinceMs / 1000)} s after its restart: ${missing}`,
      }
    : { state: "moving", detail: missing, ...(isLimited ? { failsInMs } : {}) };
}

/**
 * Records that a workload is complete, so that its limit begins again. Pods that crash prevent this until the workload
 * has been complete for the whole limit. The hard limit ({@link hardLimitFactor}) begins again only the first time, or
 * when the workload has stayed complete for the whole limit. Otherwise a workload that is ready now and then would
 * never fail.
 */
function noticeMoved(place: string, pods: readonly Pod[], { ageMs, notice, withinMs }: ProgressQuery): void {
  if (notice === undefined) return;
  const isSteady = ageMs(`missing: ${place}`, 0) >= withinMs;
  if (!isSteady && pods.some(hasCrashed)) return;
  notice(`moved: ${place}`);
  notice(`steady: ${place}`, !isSteady);
}

function missingOf(
  name: string,
  { object, pods, found }: SidecarWorkload,
  old: readonly Pod[],
  connected: ReadonlySet<string>,
): string | undefined {
  if (found !== undefined) {
    const ready = readyState(found, object);
    if (ready.state !== "met") return `${ready.detail}${reasonOf(pods)}`;
  }
  if (old.length > 0)
    return `${name}: ${old
      .map(({ metadata }) => metadata.name ?? "")
      .slice(0, 3)
      .join(", ")} still has the old sidecar`;
  const unready = pods.find((pod) => !isReady(pod));
  if (unready !== undefined) return `${name}: ${unready.metadata.name ?? ""} is not ready${reasonOf(pods)}`;
  const silent = pods.find(({ metadata }) => !connected.has(`${metadata.name ?? ""}.${metadata.namespace ?? ""}`));
  return silent === undefined
    ? undefined
    : `${name}: ${silent.metadata.name ?? ""} is not connected to the new control plane`;
}

function reasonOf(pods: readonly Pod[]): string {
  const unready = pods.find((pod) => !isReady(pod));
  return unready === undefined ? "" : ` (${unready.metadata.name ?? ""}: ${whyNotReady(unready)})`;
}

/** A workload fails after this multiple of the limit, even if its pods make progress. */
const hardLimitFactor = 10;

/**
 * When a pod of the revision became ready, and 0 if it is not ready or has crashed: becoming ready again after a crash
 * is not progress.
 */
function cameAt(pod: Pod, revision: string): number {
  const { conditions = [] } = pod.status ?? {};
  const ready = conditions.find(({ type, status }) => type === "Ready" && status === "True")?.lastTransitionTime;
  if (ready === undefined || sidecarRevision(pod) !== revision) return 0;
  return hasCrashed(pod) ? 0 : Date.parse(ready) || 0;
}

function hasCrashed({ status }: Pod): boolean {
  return (status?.containerStatuses ?? []).some(({ restartCount }) => restartCount > 0);
}
