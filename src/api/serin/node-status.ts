/**
 * What a node's CNI agent reports about its enrolled pods (docs/contracts/rollout.md, "Moving the mesh's own parts").
 */
export interface EnrolledReport {
  readonly node: string;
  /** The agent's release. */
  readonly version: string;
  /** The state that `/readyz` reports. */
  readonly ready: boolean;
  /** The revisions of the connected ztunnels. */
  readonly ztunnels: readonly string[];
  readonly pods: readonly EnrolledPodReport[];
}

export interface EnrolledPodReport {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** The revision of the ztunnel that serves the pod. Empty if none does. */
  readonly owner: string;
  /** The SHA-256, in hex, of the kernel's rules. Empty if they cannot be read. Equal rules have equal digests. */
  readonly rulesDigest: string;
  /**
   * The listening sockets in the pod that the agent keeps open, by role. The inode shows whether a socket is still the
   * same one.
   */
  readonly listeners: readonly { readonly role: string; readonly inode: number }[];
}

/** The reason of the Warning event of an agent's own pod if the container runtime does not call the CNI plugin. */
export const pluginProblemReason = "CniPluginNotCalled";
/** The annotation of that event with what a person can do. The event's message ends with the same text. */
export const pluginRemedyAnnotation = "serin.dev/remedy";
