// Redirects a pod's traffic to its proxy by rules. Plans, encodes, checks and describes these rules.
export { checkRedirect } from "./redirect-check.ts";
export { adaptToUsers, readRedirectCommand, type RedirectOptions } from "./redirect-options.ts";
export { describeRedirect } from "./describe-redirect.ts";
export { planRedirect } from "./redirect-plan.ts";
export { applyRedirect, hasRedirect, removeRedirect } from "./redirect-rules.ts";
