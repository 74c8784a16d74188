import type { CollectionReader } from "../../kube/index.ts";
import type { Labels, MeshSettings } from "../model/facts.ts";
import type { AccessLogInit } from "./access-log.ts";
import type { MeshModel } from "./outbound-resources.ts";
import type { SecurityFilters } from "./security-filters.ts";

/** A proxy that classic Gateways select, and what it is made of. */
export interface ClassicGatewayContext {
  readonly model: MeshModel;
  readonly mesh: MeshSettings;
  readonly namespace: string;
  readonly labels: Labels;
  readonly security: SecurityFilters;
  readonly accessLogs: readonly AccessLogInit[];
  readonly reader: CollectionReader;
}
