import type { AuthorizationPolicy, Service, Workload } from "./model.ts";

/** An update as plain data, so that one thread can send it to others. Removals are applied first. */
export interface MeshChange {
  /** Uids of workloads and `namespace/hostname` of services. */
  readonly removedAddresses: readonly string[];
  readonly workloads: readonly Workload[];
  readonly services: readonly Service[];
  /** `namespace/name`. */
  readonly removedPolicies: readonly string[];
  readonly policies: readonly AuthorizationPolicy[];
  /** All existing policies have arrived with this change. There may be none. */
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
