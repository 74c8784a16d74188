// The rules that redirect a pod's traffic to its proxy: plan, encoding, check and description.
export { checkRedirect } from "./redirect-check.ts";
export { adaptToUsers, readRedirectCommand, type RedirectOptions } from "./redirect-options.ts";
export { describeRedirect } from "./describe-redirect.ts";
export { planRedirect } from "./redirect-plan.ts";
export { applyRedirect, hasRedirect, removeRedirect } from "./redirect-rules.ts";
