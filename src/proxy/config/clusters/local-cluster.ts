import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { ClusterSchema } from "../../../wire/envoy/index.ts";
import { localClusterName, localityOfLabels } from "../../../wire/xds/index.ts";
import type { EndpointConfig } from "../../upstream/endpoint.ts";
import type { LocalZones } from "../../upstream/zone-aware.ts";
import { compileCluster, type ClusterSpec } from "./cluster-config.ts";
import type { ConfigNotes } from "../config-check.ts";

/** The static cluster with the endpoints of the proxy's own workload, as upstream's bootstrap has it. */
export const localClusterConfig: JsonObject = {
  name: localClusterName,
  alt_stat_name: `${localClusterName};`,
  type: "EDS",
  connect_timeout: "1s",
  eds_cluster_config: {
    eds_config: { ads: {}, resource_api_version: "V3" },
    service_name: localClusterName,
  },
  lb_policy: "LEAST_REQUEST",
  common_lb_config: { zone_aware_lb_config: { min_cluster_size: "1" } },
};

export function localClusterSpec(notes: ConfigNotes): ClusterSpec {
  return compileCluster(fromJson(ClusterSchema, localClusterConfig), notes);
}

/** The locality of this proxy, and the addresses by which it finds itself among the endpoints of its workload. */
export interface OwnPlace {
  /** `region/zone/subzone`, from the pod's labels. */
  readonly locality: string | undefined;
  readonly addresses: ReadonlySet<string>;
}

interface PlaceSettings {
  readonly role: string;
  readonly instanceIp: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Whether the proxy asks for its own workload's endpoints. Upstream supports this for sidecars only. */
export function discoversItself({ role, metadata }: Pick<PlaceSettings, "role" | "metadata">): boolean {
  const setting = metadata["ENABLE_SELF_DISCOVERY"];
  return role === "sidecar" && (setting === "true" || setting === true);
}

/** The place of this proxy. Undefined if the proxy does not ask for its own workload's endpoints. */
export function ownPlace(settings: PlaceSettings): OwnPlace | undefined {
  if (!discoversItself(settings)) return undefined;
  const { instanceIp, labels, metadata } = settings;
  const all = metadata["INSTANCE_IPS"];
  return {
    locality: localityOfLabels(labels),
    addresses: new Set([instanceIp, ...(typeof all === "string" ? all.split(",") : [])]),
  };
}

/** The zones of the workload's endpoints, with the proxy's own zone. Undefined if the proxy's locality is unknown. */
export function localZones(endpoints: readonly EndpointConfig[], own: OwnPlace): LocalZones | undefined {
  const place = own.locality ?? endpoints.find(({ address }) => own.addresses.has(address))?.locality?.name;
  if (place === undefined) return undefined;
  const usable = endpoints.filter(({ healthy }) => healthy);
  const members = Map.groupBy(usable, ({ locality }) => locality?.name ?? "");
  return {
    own: place,
    usable: new Map([...members].map(([name, { length }]) => [name, length])),
    usableFraction: endpoints.length === 0 ? 0 : usable.length / endpoints.length,
  };
}
