import { fromBinary, toJson, type DescMessage, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { ClusterLoadAssignmentSchema, ClusterSchema, envoyRegistry, ListenerSchema, RouteConfigurationSchema } from "../../wire/envoy/index.ts";
import type { EncodedResource } from "../translate/index.ts";
import type { DiscoveryServer } from "./discovery-server.ts";
import type { Subscription } from "./subscription.ts";

type Shown = (resource: JsonValue, version: string, name: string) => Record<string, unknown>;

/** By type: part and list of Envoy's dump, and how an entry of it looks. */
const parts: readonly { readonly schema: DescMessage; readonly part: string; readonly list: string; readonly entry: Shown }[] = [
  { schema: ClusterSchema, part: "ClustersConfigDump", list: "dynamic_active_clusters", entry: (cluster, version_info) => ({ version_info, cluster }) },
  { schema: ClusterLoadAssignmentSchema, part: "EndpointsConfigDump", list: "dynamic_endpoint_configs", entry: (endpoint_config, version_info) => ({ version_info, endpoint_config }) },
  { schema: ListenerSchema, part: "ListenersConfigDump", list: "dynamic_listeners", entry: (listener, version_info, name) => ({ name, active_state: { version_info, listener } }) },
  { schema: RouteConfigurationSchema, part: "RoutesConfigDump", list: "dynamic_route_configs", entry: (route_config, version_info) => ({ version_info, route_config }) },
];

/** What a connected proxy should have now, in the form of Envoy's `/config_dump`; undefined when it is not connected here. */
export function proxyConfigDump(server: DiscoveryServer, proxyId: string): unknown {
  const stream = [...server.streams].find(({ proxy }) => proxy.id === proxyId);
  if (stream === undefined) return undefined;
  const configs = parts.map(({ schema, part, list, entry }) => {
    const subscription = stream.subscriptions.get(`type.googleapis.com/${schema.typeName}`);
    const resources = subscription === undefined ? [] : wantedResources(subscription);
    return { "@type": `type.googleapis.com/envoy.admin.v3.${part}`, [list]: resources.map((resource) => entry(resourceJson(schema, resource), resource.version, resource.name)) };
  });
  return { configs };
}

function wantedResources({ view, wildcard, names }: Subscription): readonly EncodedResource[] {
  if (wildcard) return [...view.all()];
  return [...names].map((name) => view.get(name)).filter((resource) => resource !== undefined);
}

function resourceJson(schema: DescMessage, { any }: EncodedResource): JsonValue {
  const { typeUrl, value } = fromBinary(AnySchema, any);
  const fields = toJson(schema, fromBinary(schema, value), { registry: envoyRegistry(), useProtoFieldName: true });
  return { "@type": typeUrl, ...(fields as Record<string, JsonValue>) };
}
