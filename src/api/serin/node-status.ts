/** What a node's CNI agent tells of the pods that it has enrolled (docs/contracts/rollout.md, "Moving the mesh's own parts"). */
export interface EnrolledReport {
  readonly node: string;
  /** The agent's release. */
  readonly version: string;
  /** As `/readyz` says. */
  readonly ready: boolean;
  /** Revisions of the ztunnels that are connected. */
  readonly ztunnels: readonly string[];
  readonly pods: readonly EnrolledPodReport[];
}

export interface EnrolledPodReport {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Revision of the ztunnel that has the pod; empty while none has. */
  readonly owner: string;
  /** Of the rules as the kernel has them, SHA-256 in hex; empty when they cannot be read. Equal rules have equal digests. */
  readonly rulesDigest: string;
  /** The pod's listening sockets that the agent keeps, by role: the inodes tell whether they are still the same sockets. */
  readonly listeners: readonly { readonly role: string; readonly inode: number }[];
}
