import { policyKey, type AuthorizationPolicy, type Service, type Workload } from "./model.ts";

/**
 * An update as plain data, so that one thread can send it to others. The removals of a kind are applied before its
 * additions.
 */
export interface MeshChange {
  /** Uids of workloads and `namespace/hostname` of services. */
  readonly removedAddresses: readonly string[];
  readonly workloads: readonly Workload[];
  readonly services: readonly Service[];
  /** The keys `namespace/name` of policies. */
  readonly removedPolicies: readonly string[];
  readonly policies: readonly AuthorizationPolicy[];
  /** Whether all existing policies are known once this change is applied. There may be none. */
  readonly hasAllPolicies: boolean;
}

export const noChange: MeshChange = {
  removedAddresses: [],
  workloads: [],
  services: [],
  removedPolicies: [],
  policies: [],
  hasAllPolicies: false,
};

/** The workloads whose policies an update may have changed. */
export class PolicyReach {
  readonly #namespaces = new Set<string>();
  readonly #policies = new Set<string>();
  readonly #uids = new Set<string>();
  #isWhole = false;

  get isEmpty(): boolean {
    return !this.#isWhole && this.#namespaces.size + this.#policies.size + this.#uids.size === 0;
  }

  addAll(): void {
    this.#isWhole = true;
  }

  /**
   * Adds a policy that arrived, changed or left. For a changed policy, both its old and its new version must be added.
   */
  addPolicy(policy: AuthorizationPolicy): void {
    if (policy.scope === "Global") this.#isWhole = true;
    if (policy.scope === "Namespace") this.#namespaces.add(policy.namespace);
    this.#policies.add(policyKey(policy));
  }

  addWorkload(uid: string): void {
    this.#uids.add(uid);
  }

  includes({ uid, namespace, authorizationPolicies }: Workload): boolean {
    if (this.#isWhole || this.#uids.has(uid) || this.#namespaces.has(namespace)) return true;
    return this.#policies.size > 0 && authorizationPolicies.some((key) => this.#policies.has(key));
  }
}
