import type { HeaderMutation } from "./header-mutation.ts";
import type { StringMatcher } from "./matchers.ts";
import type { RequestView } from "./request-view.ts";

/**
 * The policy of a route about scripts of other origins in browsers (CORS in the Fetch standard): which origins may read
 * its responses, and the response headers that say so.
 */
export interface CorsPolicy {
  readonly origins: readonly StringMatcher[];
  /** Values of response headers. Empty ones are omitted. */
  readonly allowMethods: string;
  readonly allowHeaders: string;
  readonly exposeHeaders: string;
  readonly maxAge: string;
  readonly allowCredentials: boolean;
  /** Whether the proxy forwards a preflight request from a forbidden origin to the upstream. */
  readonly forwardsOthers: boolean;
}

/**
 * What the policy does with a request: it answers a preflight, or adds headers to the response. Undefined means
 * neither.
 */
export type CorsDecision =
  | { readonly kind: "answer"; readonly fields: readonly (readonly [name: string, value: string])[] }
  | { readonly kind: "add"; readonly mutation: HeaderMutation };

export function decideCors(policy: CorsPolicy, request: RequestView): CorsDecision | undefined {
  const origin = request.head.get("origin");
  if (origin === undefined || origin === "") return undefined;
  const allowed = policy.origins.some((matches) => matches(origin));
  const preflight = request.method === "OPTIONS" && (request.head.get("access-control-request-method") ?? "") !== "";
  if (!allowed) return preflight && !policy.forwardsOthers ? { kind: "answer", fields: [] } : undefined;
  const common: (readonly [string, string])[] = [["access-control-allow-origin", origin]];
  if (policy.allowCredentials) common.push(["access-control-allow-credentials", "true"]);
  const exposed = ["access-control-expose-headers", policy.exposeHeaders] as const;
  if (!preflight) return { kind: "add", mutation: overwriting([...common, exposed]) };
  const fields = [
    ...common,
    [
      "access-control-allow-methods",
      allowedNames(policy, policy.allowMethods, request.head.get("access-control-request-method")),
    ],
    [
      "access-control-allow-headers",
      allowedNames(policy, policy.allowHeaders, request.head.get("access-control-request-headers")),
    ],
    exposed,
    ["access-control-max-age", policy.maxAge],
  ] as const;
  return { kind: "answer", fields: fields.filter(([, value]) => value !== "") };
}

/**
 * The value of `access-control-allow-headers` or `-methods`. With credentials, browsers do not accept `*`, so the
 * requested names are repeated.
 */
function allowedNames({ allowCredentials }: CorsPolicy, configured: string, requested: string | undefined): string {
  return configured === "*" && allowCredentials ? (requested ?? configured) : configured;
}

function overwriting(fields: readonly (readonly [string, string])[]): HeaderMutation {
  const present = fields.filter(([, value]) => value !== "");
  return {
    remove: [],
    add: present.map(([name, value]) => ({
      name,
      value: () => value,
      action: "overwrite-if-exists-or-add",
      keepEmptyValue: false,
    })),
  };
}
