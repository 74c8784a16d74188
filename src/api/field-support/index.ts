// The support for every field of every kind. A test compares it with the kinds' CRDs, and `docs/features.md` is
// generated from it.
import type { FieldTable } from "./field-table.ts";
import { gatewayApiTables } from "./gateway-api-tables.ts";
import { meshConfigTable, proxyDefaultsTable } from "./mesh-tables.ts";
import {
  authorizationPolicyTable,
  peerAuthenticationTable,
  requestAuthenticationTable,
  telemetryTable,
  trafficExtensionTable,
  wasmPluginTable,
} from "./policy-tables.ts";
import {
  destinationRuleTable,
  envoyFilterTable,
  gatewayTable,
  proxyConfigTable,
  serviceEntryTable,
  sidecarTable,
  virtualServiceTable,
  workloadEntryTable,
  workloadGroupTable,
} from "./traffic-tables.ts";

export type { FieldRow, FieldTable } from "./field-table.ts";
export { meshConfigTable, proxyDefaultsTable };

/** The order is the order in `docs/features.md`. */
export const kindTables: readonly FieldTable[] = [
  virtualServiceTable,
  destinationRuleTable,
  gatewayTable,
  sidecarTable,
  serviceEntryTable,
  workloadEntryTable,
  workloadGroupTable,
  proxyConfigTable,
  envoyFilterTable,
  authorizationPolicyTable,
  peerAuthenticationTable,
  requestAuthenticationTable,
  telemetryTable,
  wasmPluginTable,
  trafficExtensionTable,
  ...gatewayApiTables,
];
