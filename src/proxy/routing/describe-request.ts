import type { DescribedRequest, Descriptor, RateLimitRule } from "./route.ts";

/**
 * When the rules of a virtual host apply, unless the route itself includes them: only if the route has no rules, in
 * addition to them, or never.
 */
export type HostRules = "override" | "include" | "ignore";

/** Describes a request to the rate limits of a stage. Returns one descriptor for each rule that applies. */
export function describeRequest(request: DescribedRequest, stage: number, hostRules: HostRules): Descriptor[] {
  const action = request.route?.action;
  if (action?.kind !== "forward" || action.rateLimits === undefined) return [];
  const { ofRoute, ofHost, includeHost } = action.rateLimits;
  const withHost = includeHost || hostRules === "include" || (hostRules === "override" && ofRoute.length === 0);
  return descriptorsOf(
    (withHost ? [...ofRoute, ...ofHost] : ofRoute).filter((rule) => rule.stage === stage),
    request,
  );
}

export function descriptorsOf(rules: readonly RateLimitRule[], request: DescribedRequest): Descriptor[] {
  return rules.flatMap((rule) => {
    const descriptor = rule.describe(request);
    return descriptor === undefined ? [] : [descriptor];
  });
}
