import type { Clock } from "../base/index.ts";
import type { SliceFacts } from "./model/facts.ts";

/** How long kube-proxies on busy nodes take to remove an ending pod from their rules. */
const forgottenAfterMs = 3_000;

export interface LeaveServiceOptions {
  readonly slices: Iterable<SliceFacts>;
  /** `namespace/name` of our Service and of our pod. */
  readonly service: string;
  readonly pod: string;
  readonly clock: Clock;
  readonly force: AbortSignal;
}

/**
 * Waits until new connections to the Service reach another replica. Resolves at once if there is no other replica, or
 * when `force` aborts. If this pod disconnects a proxy earlier, the proxy may connect to the same pod again, and its
 * packets are lost after the pod's end. The proxy then gets no changes for seconds, and keeps sending requests to other
 * pods that have ended meanwhile. The wait does not depend on whether another replica is marked as ready, because a
 * busy cluster's EndpointSlices are late.
 */
export async function leaveService({ slices, service, pod, clock, force }: LeaveServiceOptions): Promise<void> {
  const hasOthers = [...slices].some(
    (slice) => slice.service === service && slice.endpoints.some((endpoint) => endpoint.pod !== pod),
  );
  if (hasOthers) await clock.sleep(forgottenAfterMs, force).catch(() => undefined);
}
