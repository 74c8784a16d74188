/** A CNI agent's report about its node's enrolled pods (docs/contracts/rollout.md, "Moving the mesh's own parts"). */
export interface EnrolledReport {
  readonly node: string;
  readonly version: string;
  /** Whether `/readyz` says that the agent is ready. */
  readonly ready: boolean;
  readonly ztunnels: readonly string[];
  readonly pods: readonly EnrolledPodReport[];
}

export interface EnrolledPodReport {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** The revision of the ztunnel that serves the pod. Empty if none does. */
  readonly owner: string;
  /**
   * The SHA-256 in hex of the kernel's rules for the pod. Equal rules have equal digests. Empty if the rules cannot be
   * read.
   */
  readonly rulesDigest: string;
  /**
   * The listening sockets in the pod that the agent keeps open, by role. A socket with the same inode is the same
   * socket.
   */
  readonly listeners: readonly { readonly role: string; readonly inode: number }[];
}

/**
 * The reason of the Warning event that an agent records on its own pod if the container runtime does not call the CNI
 * plugin.
 */
export const pluginProblemReason = "CniPluginNotCalled";
/** The annotation of that event with what a person can do. The event's message ends with the same text. */
export const pluginRemedyAnnotation = "serin.dev/remedy";
