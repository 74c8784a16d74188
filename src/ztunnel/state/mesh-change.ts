import type { AuthorizationPolicy, Service, Workload } from "./model.ts";

/** What an update changes, as plain data that one thread can give to others. Removals come first. */
export interface MeshChange {
  /** Uids of workloads and `namespace/hostname` of services. */
  readonly removedAddresses: readonly string[];
  readonly workloads: readonly Workload[];
  readonly services: readonly Service[];
  /** `namespace/name`. */
  readonly removedPolicies: readonly string[];
  readonly policies: readonly AuthorizationPolicy[];
  /** All existing policies have arrived with it. There may be none. */
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
