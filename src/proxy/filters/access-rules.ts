import type { ConnectionInfo } from "../connection-info.ts";
import type { FilterRequest } from "./http-filter.ts";

/** Whether a rule means this connection, and this request of it; undefined on the level of connections, where what asks about requests does not match. */
export type AccessMatcher = (connection: ConnectionInfo, request: FilterRequest | undefined) => boolean;

export interface AccessPolicy {
  readonly name: string;
  /** One of each must match. */
  readonly permissions: readonly AccessMatcher[];
  readonly principals: readonly AccessMatcher[];
}

export interface AccessVerdict {
  readonly allowed: boolean;
  /** The policy that decided; undefined when it was that none matched. */
  readonly policy: string | undefined;
}

/** Rules of one action: `allow` lets through what a policy matches, `deny` what none matches, `log` everything. */
export class AccessRules {
  readonly action: "allow" | "deny" | "log";
  readonly #policies: readonly AccessPolicy[];

  constructor(action: AccessRules["action"], policies: readonly AccessPolicy[]) {
    this.action = action;
    // The first in the order of names is the one that is told of.
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
