import type { ZdsListenerRole } from "../../wire/zds/index.ts";
import type { WorkloadInfo } from "../state/model.ts";

/** A listening socket with its role. Passing it transfers its ownership. */
export interface PassedListener {
  readonly role: ZdsListenerRole;
  readonly fd: number;
}

export interface AddedPod {
  readonly uid: string;
  readonly info: WorkloadInfo;
  readonly namespaceFd: number | undefined;
  /** Whether another thread closes `namespaceFd` when this thread no longer needs it. */
  readonly borrowsNamespace?: boolean;
  readonly listeners: readonly PassedListener[];
  /** Whether this is the ztunnel's own pod, which accepts only HBONE. */
  readonly itself?: boolean;
}

/** The namespace and listening sockets of a pod, for an agent that has lost its own descriptors. */
export interface PodDescriptors {
  readonly namespaceFd: number | undefined;
  readonly listeners: readonly PassedListener[];
}

export interface ServedPods {
  /** Returns the sockets of a pod, or undefined if this ztunnel does not serve the pod. */
  descriptors(uid: string): PodDescriptors | undefined;
  uids(): readonly string[];
  /** Takes ownership of the descriptors. Rejects if the pod's listeners cannot be opened. The pod is then not added. */
  add(added: AddedPod): Promise<void>;
  /**
   * Stops accepting at once. If the pod was handed over, its connections continue. Otherwise they may continue for the
   * grace time.
   */
  remove(uid: string, handedOver: boolean): void;
}
