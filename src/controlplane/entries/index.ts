export { WorkloadRegistration } from "./workload-registration.ts";
export { runEntryControllers, type EntryControllersOptions } from "./leading.ts";
