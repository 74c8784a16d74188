// The webhook that refuses faulty Canaries, Checks, Freezes and MeshUpgrades, and records the authors of rollouts.
export { RolloutWebhook } from "./rollout-webhook.ts";
