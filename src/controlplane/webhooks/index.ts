// The webhooks of injection and validation.
export { runCaBundleController } from "./ca-bundle-controller.ts";
export { InjectionSource } from "./injection-source.ts";
export { validationDoubt } from "./validation-proof.ts";
export { serveWebhooks, webhookTls } from "./webhook-server.ts";
