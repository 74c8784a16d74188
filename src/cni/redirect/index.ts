export { checkRedirect } from "./redirect-check.ts";
export { adaptToUsers, readRedirectCommand, type RedirectCommand, type RedirectOptions } from "./redirect-options.ts";
export { describeRedirect, planRedirect, type RedirectRule } from "./redirect-plan.ts";
export { applyRedirect, hasRedirect, removeRedirect } from "./redirect-rules.ts";
