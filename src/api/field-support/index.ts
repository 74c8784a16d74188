/** What every field of every kind does here: read by the test that holds it against the kinds' definitions, and by `docs/features.md`. */
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

/** The tables of Istio's kinds and the Gateway API's, in the order of the page. */
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
