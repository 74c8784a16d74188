// The webhook that refuses faulty Canaries, Checks, Freezes and MeshUpgrades.
export { RolloutWebhook } from "./rollout-webhook.ts";
