import { messageOf, transientError, type Clock } from "../../base/index.ts";
import type { CertificateSource } from "../../dataplane/tunnels/index.ts";
import type { MeshState } from "../state/mesh-state.ts";
import { workloadIdentity, type WorkloadInfo } from "../state/model.ts";
import type { IdentityUsers } from "./identity-users.ts";

/**
 * The maximum time in milliseconds for which a hand-over waits until this ztunnel is ready for the pod. Meanwhile the
 * present ztunnel serves the pod. The time is much shorter than the CNI agent's time limit for an answer.
 */
const prepareTimeoutMs = 4_000;

export interface PodSources {
  readonly state: Pick<MeshState, "waitForPod">;
  readonly certificates: Pick<CertificateSource, "fetch">;
  readonly identities: Pick<IdentityUsers, "use">;
  readonly clock: Clock;
}

/**
 * Waits until the control plane has sent a pod, and the CA has sent its certificate. Otherwise peers that connect would
 * wait for this ztunnel, although the present ztunnel can still serve them. The returned object keeps the certificate,
 * and must be disposed after the pod was added. Throws a transient error after {@link prepareTimeoutMs}.
 */
export async function preparePod(
  info: WorkloadInfo,
  { state, certificates, identities, clock }: PodSources,
): Promise<Disposable> {
  const timeout = new AbortController();
  using _timer = clock.after(prepareTimeoutMs, () => timeout.abort());
  const workload = await state.waitForPod(info, prepareTimeoutMs, clock);
  if (workload === undefined)
    throw transientError("source-unknown", `the control plane has not sent pod ${info.namespace}/${info.name} yet`);
  const identity = workloadIdentity(workload);
  const used = identities.use(identity);
  try {
    await certificates.fetch(identity, timeout.signal);
    return used;
  } catch (error) {
    used[Symbol.dispose]();
    throw transientError("certificate-wait", `no certificate for ${identity} yet: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
