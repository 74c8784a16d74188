/**
 * Annotations on a Gateway or waypoint. With them, a rollout lets a second revision serve a part of its traffic
 * (docs/contracts/rollout.md).
 */
export const gatewayCanaryAnnotations = {
  /** The revision whose control plane deploys a canary behind the Gateway's Service. */
  revision: "rollout.serin.dev/canary-revision",
  replicas: "rollout.serin.dev/canary-replicas",
  /** The percentage of a waypoint's new connections that go to the canary, from 0 to 100. */
  weight: "rollout.serin.dev/canary-weight",
  stableReplicas: "rollout.serin.dev/stable-replicas",
  /**
   * The number of pods that the gateway had before its canary. 0 if an autoscaler decides the number. It is on the
   * Gateway, or on the canary's Deployment if the rollout makes that itself. Only the rollout engine reads it.
   */
  replicasBefore: "rollout.serin.dev/replicas-before-canary",
} as const;

/** Marks a canary's Deployment and pods. The value is the Gateway's name. */
export const canaryOfLabel = "rollout.serin.dev/canary-of";
