import type { Clock, Logger } from "../../base/index.ts";
import { banzaiIstioKind, minorOf } from "../../api/banzai/index.ts";
import { createInformer, EventRecorder, type KubeClient } from "../../kube/index.ts";

export interface SecondOperatorOptions {
  readonly client: KubeClient;
  /** The release that both operators manage, such as `1.6`. */
  readonly minor: string;
  /** The name of the idle pod, such as `istio-system/istio-operator-b-0`. */
  readonly identity: string;
  /** The name of the active pod. */
  readonly holder: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Reports in the log, and in an Event at each Istio object of the release, that this operator is the second one for its
 * release and stays idle. If both pods belong to the same StatefulSet, they are intended replicas, so this is only
 * logged. Returns when `signal` aborts, or at once for a replica.
 */
export async function tellOfSecondOperator(
  { client, minor, identity, holder, clock, log }: SecondOperatorOptions,
  signal: AbortSignal,
): Promise<void> {
  if (setOf(identity) === setOf(holder)) {
    log.info(`${holder} is the active replica: this one takes over when it ends`, { minor });
    return;
  }
  log.warn(`${holder} already manages Istio ${minor}: this operator stays idle until it ends`, { minor });
  const message = `two operators of Istio ${minor} are running: ${holder} manages this object, ${identity} is idle; uninstall one of them`;
  const events = new EventRecorder({ client, component: `istio-operator-${minor}`, clock, log });
  const warned = new Set<string>();
  const istios = createInformer(client, banzaiIstioKind, { clock, log });
  istios.subscribe(({ type, object }) => {
    const version = object.spec?.["version"];
    const uid = object.metadata.uid ?? "";
    if (type === "delete") warned.delete(uid);
    if (type === "delete" || warned.has(uid) || typeof version !== "string" || minorOf(version) !== minor) return;
    warned.add(uid);
    events.record(banzaiIstioKind, object, { type: "Warning", reason: "SecondOperator", message });
  });
  await istios.run(signal);
}

/** The name of the StatefulSet to which a pod belongs, derived from the pod's name. */
function setOf(pod: string): string {
  return pod.replace(/-\d+$/, "");
}
