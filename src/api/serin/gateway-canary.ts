/** What a rollout writes on a Gateway or waypoint to have a second revision serve a part of it (docs/contracts/rollout.md). */
export const gatewayCanaryAnnotations = {
  /** The pilot of that revision deploys a canary behind the same Service. */
  revision: "rollout.serin.dev/canary-revision",
  replicas: "rollout.serin.dev/canary-replicas",
  /** For waypoints: the canary's share of new connections, 0 to 100. */
  weight: "rollout.serin.dev/canary-weight",
  stableReplicas: "rollout.serin.dev/stable-replicas",
} as const;

/** Marks a canary's Deployment and pods, with the Gateway's name. */
export const canaryOfLabel = "rollout.serin.dev/canary-of";
