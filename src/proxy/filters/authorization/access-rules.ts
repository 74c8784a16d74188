import type { ConnectionInfo } from "../../terms/connection-info.ts";
import type { FilterRequest } from "../http-filter.ts";

/**
 * Whether a rule matches a connection and its request. Without a request (undefined), a condition about requests does
 * not match.
 */
export type AccessMatcher = (connection: ConnectionInfo, request: FilterRequest | undefined) => boolean;

export interface AccessPolicy {
  readonly name: string;
  /** One of the permissions and one of the principals must match. */
  readonly permissions: readonly AccessMatcher[];
  readonly principals: readonly AccessMatcher[];
}

export interface AccessVerdict {
  readonly allowed: boolean;
  /** The policy that decided. Undefined if the decision is that none matched. */
  readonly policy: string | undefined;
}

/**
 * Rules of one action. `allow` admits requests that a policy matches, `deny` admits those that no policy matches, and
 * `log` admits all.
 */
export class AccessRules {
  readonly action: "allow" | "deny" | "log";
  readonly #policies: readonly AccessPolicy[];

  constructor(action: AccessRules["action"], policies: readonly AccessPolicy[]) {
    this.action = action;
    // Reports the first matching policy in the order of names.
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
