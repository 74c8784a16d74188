import type { Clock } from "../../base/index.ts";
import type { MeshState } from "../state/mesh-state.ts";
import { workloadIdentity, type WorkloadInfo } from "../state/model.ts";
import type { IdentityUsers } from "./identity-users.ts";

/**
 * The maximum time to wait for the pod in xDS before its certificate is fetched in advance. After that, the pod's first
 * connection fetches the certificate.
 */
const ownIdentityTimeoutMs = 300_000;

interface PodIdentityOptions {
  readonly state: MeshState;
  readonly clock: Clock;
  readonly identities: Pick<IdentityUsers, "use">;
}

/**
 * Keeps the certificate of a pod's identity from the time when xDS sends the pod until the returned object is disposed.
 */
export function keepIdentity(info: WorkloadInfo, { state, clock, identities }: PodIdentityOptions): Disposable {
  let disposed = false;
  let used: Disposable | undefined;
  void state.waitForPod(info, ownIdentityTimeoutMs, clock).then((workload) => {
    if (workload !== undefined && !disposed) used = identities.use(workloadIdentity(workload));
  });
  return {
    [Symbol.dispose]: () => {
      disposed = true;
      used?.[Symbol.dispose]();
      used = undefined;
    },
  };
}
