// Registers workloads outside of the cluster, and writes the statuses of entries.
export { WorkloadRegistration } from "./workload-registration.ts";
export { runEntryControllers } from "./leading.ts";
