export { runCaBundleController } from "./ca-bundle-controller.ts";
export { serveWebhooks } from "./webhook-server.ts";
