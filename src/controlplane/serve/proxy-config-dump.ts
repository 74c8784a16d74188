import { fromBinary, toJson, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { EnvoyTypes } from "../../wire/envoy-types/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import type { EncodedResource } from "../translate/index.ts";
import type { DiscoveryServer } from "./discovery-server.ts";
import type { DiscoveryStream } from "./discovery-stream.ts";
import type { Subscription } from "./subscription.ts";

type Shown = (resource: JsonValue, version: string, name: string) => Record<string, unknown>;

/** The part and the list of Envoy's dump for each type, and the form of an entry. */
const parts: readonly {
  readonly typeUrl: string;
  readonly part: string;
  readonly list: string;
  readonly entry: Shown;
}[] = [
  {
    typeUrl: typeUrls.cluster,
    part: "ClustersConfigDump",
    list: "dynamic_active_clusters",
    entry: (cluster, version_info) => ({ version_info, cluster }),
  },
  {
    typeUrl: typeUrls.endpoint,
    part: "EndpointsConfigDump",
    list: "dynamic_endpoint_configs",
    entry: (endpoint_config, version_info) => ({ version_info, endpoint_config }),
  },
  {
    typeUrl: typeUrls.listener,
    part: "ListenersConfigDump",
    list: "dynamic_listeners",
    entry: (listener, version_info, name) => ({ name, active_state: { version_info, listener } }),
  },
  {
    typeUrl: typeUrls.route,
    part: "RoutesConfigDump",
    list: "dynamic_route_configs",
    entry: (route_config, version_info) => ({ version_info, route_config }),
  },
  {
    typeUrl: typeUrls.extensionConfig,
    part: "EcdsConfigDump",
    list: "ecds_filters",
    entry: (ecds_filter, version_info) => ({ version_info, ecds_filter }),
  },
];

/**
 * The current configuration of a connected proxy, in the form of Envoy's `/config_dump`. Undefined if it is not
 * connected here.
 */
export function proxyConfigDump(server: DiscoveryServer, proxyId: string, types: EnvoyTypes): unknown {
  const stream = [...server.streams].find(({ proxy }) => proxy.id === proxyId);
  if (stream === undefined) return undefined;
  const announced = announcedHosts(stream.subscriptions.get(typeUrls.virtualHost), types);
  const configs = parts.flatMap(({ typeUrl, part, list, entry }) => {
    const subscription = stream.subscriptions.get(typeUrl);
    if (subscription === undefined && typeUrl === typeUrls.extensionConfig) return [];
    const resources = subscription === undefined ? [] : wantedResources(subscription);
    const shown = (resource: EncodedResource): JsonValue =>
      typeUrl === typeUrls.route
        ? withHosts(resourceJson(resource, types), announced.get(resource.name))
        : resourceJson(resource, types);
    return {
      "@type": `type.googleapis.com/envoy.admin.v3.${part}`,
      [list]: resources.map((resource) => entry(shown(resource), resource.version, resource.name)),
    };
  });
  return { configs };
}

/** The virtual hosts that a proxy should have by virtual host discovery, by route configuration. */
function announcedHosts(
  subscription: Subscription | undefined,
  types: EnvoyTypes,
): ReadonlyMap<string, readonly JsonValue[]> {
  const hosts = subscription === undefined ? [] : wantedResources(subscription);
  const byTable = Map.groupBy(hosts, ({ name }) => name.slice(0, Math.max(0, name.indexOf("/"))));
  return new Map(
    [...byTable].map(([table, members]) => [table, members.map((host) => withoutType(resourceJson(host, types)))]),
  );
}

/**
 * A route configuration in the form that proxies show: with the discovered hosts, and without the field that announces
 * their discovery.
 */
function withHosts(table: JsonValue, announced: readonly JsonValue[] | undefined): JsonValue {
  const { vhds, virtual_hosts: own = [], ...fields } = table as Record<string, JsonValue>;
  if (vhds === undefined) return table;
  const hosts = [...(own as readonly JsonValue[]), ...(announced ?? [])];
  return { ...fields, ...(hosts.length === 0 ? {} : { virtual_hosts: hosts }) };
}

function withoutType(resource: JsonValue): JsonValue {
  const { "@type": _type, ...fields } = resource as Record<string, JsonValue>;
  return fields;
}

/** The resources of one type that a proxy should have now. Empty if it has not requested the type. */
export function streamResources(
  { subscriptions }: Pick<DiscoveryStream, "subscriptions">,
  typeUrl: string,
  types: EnvoyTypes,
): readonly JsonValue[] {
  const subscription = subscriptions.get(typeUrl);
  return subscription === undefined
    ? []
    : wantedResources(subscription).map((resource) => resourceJson(resource, types));
}

function wantedResources({ view, wildcard, names }: Subscription): readonly EncodedResource[] {
  if (wildcard) return [...view.all()];
  return [...names].map((name) => view.get(name)).filter((resource) => resource !== undefined);
}

/** Fields that a dump leaves out: credentials for pulling a plugin's image, which readers of the dump must not have. */
const secretFields: ReadonlySet<string> = new Set(["ISTIO_META_WASM_IMAGE_PULL_SECRET"]);

function withoutSecrets(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([field, inner]) => [
      field,
      secretFields.has(field) ? "<redacted>" : withoutSecrets(inner),
    ]),
  );
}

function resourceJson({ any }: EncodedResource, types: EnvoyTypes): JsonValue {
  const { typeUrl, value } = fromBinary(AnySchema, any);
  const desc = types.mustHave(typeUrl.slice(typeUrl.lastIndexOf("/") + 1));
  const fields = withoutSecrets(
    toJson(desc, fromBinary(desc, value), { registry: types.registry, useProtoFieldName: true }),
  );
  return { "@type": typeUrl, ...(fields as Record<string, JsonValue>) };
}
