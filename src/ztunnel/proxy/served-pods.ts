import type { ZdsListenerRole } from "../../wire/zds/index.ts";
import type { WorkloadInfo } from "../state/model.ts";

/** A listening socket with its role. The receiver owns it as soon as it is passed. */
export interface PassedListener {
  readonly role: ZdsListenerRole;
  readonly fd: number;
}

export interface AddedPod {
  readonly uid: string;
  readonly info: WorkloadInfo;
  readonly namespaceFd: number | undefined;
  /** Whether another thread closes `namespaceFd`, once this one no longer needs it. */
  readonly borrowsNamespace?: boolean;
  readonly listeners: readonly PassedListener[];
  /** Whether it is the ztunnel's own pod, which takes only HBONE. */
  readonly itself?: boolean;
}

/** The accepting sockets, for an agent that has lost its own. */
export interface PodDescriptors {
  readonly namespaceFd: number | undefined;
  readonly listeners: readonly PassedListener[];
}

/** The pods that we serve, by uid. */
export interface ServedPods {
  /** The sockets of a pod. Undefined if this ztunnel does not serve the pod. */
  descriptors(uid: string): PodDescriptors | undefined;
  uids(): readonly string[];
  /** Takes over the descriptors. Fails if the pod's listeners cannot be opened. The pod then counts as not added. */
  add(added: AddedPod): Promise<void>;
  /** Stops accepting at once. After a hand-over, connections continue. Otherwise they get the grace time. */
  remove(uid: string, handedOver: boolean): void;
}
