/** Labels and annotations that the engine writes, and others act on (docs/contracts.md). */
export const ztunnelRevisionLabel = "serin.dev/ztunnel-rev";
export const ztunnelOwnerAnnotation = "serin.dev/ztunnel-owner";
export const canaryRevisionAnnotation = "rollout.serin.dev/canary-revision";
export const canaryReplicasAnnotation = "rollout.serin.dev/canary-replicas";
export const stableReplicasAnnotation = "rollout.serin.dev/stable-replicas";
