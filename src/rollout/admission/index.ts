export { RolloutWebhook } from "./rollout-webhook.ts";
