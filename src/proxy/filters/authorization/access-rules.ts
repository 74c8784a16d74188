import type { ConnectionInfo } from "../../terms/connection-info.ts";
import type { FilterRequest } from "../http-filter.ts";

/**
 * Whether a rule matches a connection and its request. If the connection is judged without a request (undefined), a
 * condition about requests does not match.
 */
export type AccessMatcher = (connection: ConnectionInfo, request: FilterRequest | undefined) => boolean;

export interface AccessPolicy {
  readonly name: string;
  /** A policy matches if at least one permission and at least one principal match. */
  readonly permissions: readonly AccessMatcher[];
  readonly principals: readonly AccessMatcher[];
}

export interface AccessVerdict {
  readonly allowed: boolean;
  /** The name of the policy that decided. Undefined if no policy matched. */
  readonly policy: string | undefined;
}

/**
 * Rules with one action. `allow` admits requests that a policy matches. `deny` admits requests that no policy matches.
 * `log` admits all requests.
 */
export class AccessRules {
  readonly action: "allow" | "deny" | "log";
  readonly #policies: readonly AccessPolicy[];

  constructor(action: AccessRules["action"], policies: readonly AccessPolicy[]) {
    this.action = action;
    // Sort by name, because the first matching policy in this order is reported.
    this.#policies = [...policies].sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  decide(connection: ConnectionInfo, request: FilterRequest | undefined): AccessVerdict {
    for (let index = 0; index < this.#policies.length; index += 1) {
      const policy = this.#policies[index];
      if (
        policy === undefined ||
        !matchesAny(policy.permissions, connection, request) ||
        !matchesAny(policy.principals, connection, request)
      )
        continue;
      return { allowed: this.action !== "deny", policy: policy.name };
    }
    return { allowed: this.action !== "allow", policy: undefined };
  }
}

function matchesAny(
  matchers: readonly AccessMatcher[],
  connection: ConnectionInfo,
  request: FilterRequest | undefined,
): boolean {
  for (let index = 0; index < matchers.length; index += 1)
    if (matchers[index]?.(connection, request) === true) return true;
  return false;
}
