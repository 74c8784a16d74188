import { create, toJson, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  envoyRegistry,
  HttpConnectionManagerSchema,
  ListenerSchema,
  RouteConfigurationSchema,
  SecretSchema,
  type Listener,
  type RouteConfiguration,
  type Secret,
} from "../../wire/envoy/index.ts";
import { localClusterName } from "../../wire/xds/index.ts";
import { discoversItself } from "../config/clusters/local-cluster.ts";
import type { ListenerSet } from "../listener-set.ts";
import type { AppliedResource, AppliedConfig } from "../applied-config.ts";
import type { ProxySettings } from "../proxy-settings.ts";
import type { SecretStore } from "../tls/secret-store.ts";
import { extensionsDump } from "./extensions-dump.ts";
import { resourceJson } from "./resource-json.ts";
import { staticClusterConfigs, staticListenerConfigs } from "./static-resources.ts";

export interface DumpSources {
  readonly settings: ProxySettings;
  readonly nodeId: string;
  readonly config: AppliedConfig;
  readonly listeners: ListenerSet;
  readonly secrets: SecretStore;
  readonly startedMs: number;
}

const v3 = "type.googleapis.com/envoy.admin.v3";
const type = "type.googleapis.com/envoy.config";

/** The parts of `/config_dump`, in Envoy's order. */
export function configDump(sources: DumpSources, withEndpoints: boolean): Record<string, unknown>[] {
  const { config, settings } = sources;
  const started = new Date(sources.startedMs).toISOString();
  return [
    { "@type": `${v3}.BootstrapConfigDump`, bootstrap: bootstrapOf(sources), last_updated: started },
    {
      "@type": `${v3}.ClustersConfigDump`,
      static_clusters: staticClusterConfigs(settings).map((cluster) => ({ cluster, last_updated: started })),
      dynamic_active_clusters: entries(ClusterSchema, config.clusters, `${type}.cluster.v3.Cluster`).map(
        ({ resource, ...rest }) => ({ ...rest, cluster: resource }),
      ),
    },
    extensionsDump(config.extensions, new Set(sources.listeners.discoveries().map(({ resource }) => resource))),
    ...(withEndpoints ? [endpointsDump(sources)] : []),
    {
      "@type": `${v3}.ListenersConfigDump`,
      static_listeners: staticListenerConfigs(settings).map((listener) => ({ listener, last_updated: started })),
      dynamic_listeners: entries(ListenerSchema, config.listeners, `${type}.listener.v3.Listener`).map(
        ({ name, resource, ...rest }) => ({
          name,
          active_state: { ...rest, listener: resource },
          ...errorState(sources.listeners, name),
        }),
      ),
    },
    { "@type": `${v3}.ScopedRoutesConfigDump` },
    {
      "@type": `${v3}.RoutesConfigDump`,
      static_route_configs: [...config.listeners.values()].flatMap(({ message, updatedMs }) =>
        inlineRoutes(message()).map((route) => ({
          route_config: typed(RouteConfigurationSchema, route, `${type}.route.v3.RouteConfiguration`),
          last_updated: new Date(updatedMs).toISOString(),
        })),
      ),
      dynamic_route_configs: entries(
        RouteConfigurationSchema,
        config.routes,
        `${type}.route.v3.RouteConfiguration`,
      ).map(({ resource, name: _name, ...rest }) => ({ ...rest, route_config: resource })),
    },
    { "@type": `${v3}.SecretsConfigDump`, dynamic_active_secrets: secretsDump(sources) },
  ];
}

function endpointsDump({ config, settings }: DumpSources): Record<string, unknown> {
  const all = entries(ClusterLoadAssignmentSchema, config.endpoints, `${type}.endpoint.v3.ClusterLoadAssignment`);
  const isStatic = ({ name }: DumpEntry): boolean => name === localClusterName && discoversItself(settings);
  return {
    "@type": `${v3}.EndpointsConfigDump`,
    static_endpoint_configs: all
      .filter(isStatic)
      .map(({ resource, last_updated }) => ({ endpoint_config: resource, last_updated })),
    dynamic_endpoint_configs: all
      .filter((entry) => !isStatic(entry))
      .map(({ resource, name: _name, ...rest }) => ({ ...rest, endpoint_config: resource })),
  };
}

/** The route configurations that are written inside listeners. Envoy lists them among the static ones. */
function inlineRoutes({ filterChains, defaultFilterChain }: Listener): RouteConfiguration[] {
  return [...filterChains, ...(defaultFilterChain === undefined ? [] : [defaultFilterChain])].flatMap(({ filters }) =>
    filters.flatMap(({ configType }) => {
      const manager =
        configType.case === "typedConfig" ? anyUnpack(configType.value, HttpConnectionManagerSchema) : undefined;
      return manager?.routeSpecifier.case === "routeConfig" ? [manager.routeSpecifier.value] : [];
    }),
  );
}

function errorState(listeners: ListenerSet, name: string): { readonly error_state?: unknown } {
  for (const listener of listeners.listeners()) {
    if (listener.name === name && listener.trouble !== undefined) return { error_state: { details: listener.trouble } };
  }
  return {};
}

function bootstrapOf({ settings, nodeId }: DumpSources): unknown {
  return {
    node: {
      id: nodeId,
      cluster: `${settings.workloadName}.${settings.podNamespace}`,
      metadata: settings.metadata,
      user_agent_name: "serin",
    },
    static_resources: { listeners: staticListenerConfigs(settings), clusters: staticClusterConfigs(settings) },
    ...(discoversItself(settings) ? { cluster_manager: { local_cluster_name: localClusterName } } : {}),
    dynamic_resources: {
      lds_config: { ads: {}, resource_api_version: "V3" },
      cds_config: { ads: {}, resource_api_version: "V3" },
      ads_config: {
        api_type: "DELTA_GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "xds-grpc" } }],
      },
    },
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: settings.ports.admin } } },
  };
}

interface DumpEntry {
  readonly name: string;
  readonly resource: unknown;
  readonly version_info: string;
  readonly last_updated: string;
}

function entries<Schema extends DescMessage>(
  schema: Schema,
  resources: ReadonlyMap<string, AppliedResource<Schema>>,
  typeUrl: string,
): DumpEntry[] {
  return [...resources].map(([name, { message, version, updatedMs }]) => ({
    name,
    resource: typed(schema, message(), typeUrl),
    version_info: version,
    last_updated: new Date(updatedMs).toISOString(),
  }));
}

function typed<Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>, typeUrl: string): object {
  return { "@type": typeUrl, ...(resourceJson(schema, message) as object) };
}

const redacted = Buffer.from("[redacted]").toString("base64");

const secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const base64 = (text: string): string => Buffer.from(text).toString("base64");

/**
 * The proxy's own certificate with the mesh's roots, then the received secrets, then the certificates from files.
 * Private keys are never included.
 */
function secretsDump({ secrets }: DumpSources): unknown[] {
  const own = secrets.certificate({ kind: "sds", name: "default" });
  const roots = secrets.roots({ kind: "sds", name: "ROOTCA" });
  const updated = { last_updated: new Date(secrets.ownReceivedAtMs ?? 0).toISOString() };
  return [
    ...(own === undefined ? [] : [{ name: "default", ...updated, secret: certificateSecret("default", own.chain) }]),
    ...(roots === undefined ? [] : [{ name: "ROOTCA", ...updated, secret: rootsSecret("ROOTCA", roots.roots) }]),
    ...[...secrets.applied().values()].map(({ ref, version, updatedMs, message }) => ({
      name: ref.name,
      version_info: version,
      last_updated: new Date(updatedMs).toISOString(),
      secret: {
        "@type": secretType,
        ...(toJson(SecretSchema, withoutKey(message), {
          registry: envoyRegistry(),
          useProtoFieldName: true,
        }) as object),
      },
    })),
    ...[...secrets.fromFiles()].map(([name, material]) => ({
      name,
      secret: "chain" in material ? certificateSecret(name, material.chain) : rootsSecret(name, material.roots),
    })),
  ];
}

function certificateSecret(name: string, chain: string): object {
  const tls_certificate = {
    certificate_chain: { inline_bytes: base64(chain) },
    private_key: { inline_bytes: redacted },
  };
  return { "@type": secretType, name, tls_certificate };
}

function rootsSecret(name: string, roots: string): object {
  return { "@type": secretType, name, validation_context: { trusted_ca: { inline_bytes: base64(roots) } } };
}

function withoutKey(message: Secret): Secret {
  if (message.type.case !== "tlsCertificate") return message;
  const { certificateChain } = message.type.value;
  return create(SecretSchema, {
    name: message.name,
    type: {
      case: "tlsCertificate",
      value: {
        ...(certificateChain === undefined ? {} : { certificateChain }),
        privateKey: { specifier: { case: "inlineBytes", value: Buffer.from("[redacted]") } },
      },
    },
  });
}

/**
 * Answers requests such as `?resource=dynamic_listeners` with the entries of one list only. Undefined if there is no
 * such list.
 */
export function dumpOfResource(
  dump: readonly Record<string, unknown>[],
  resource: string,
  nameRegex: string | null,
): unknown[] | undefined {
  const part = dump.find((candidate) => Array.isArray(candidate[resource]));
  if (part === undefined) return undefined;
  const wanted = nameRegex === null ? undefined : new RegExp(nameRegex);
  const list = part[resource] as readonly Record<string, unknown>[];
  return wanted === undefined ? [...list] : list.filter((entry) => wanted.test(nameOf(entry)));
}

function nameOf(entry: Readonly<Record<string, unknown>>): string {
  if (typeof entry["name"] === "string") return entry["name"];
  for (const inner of Object.values(entry)) {
    const name: unknown =
      typeof inner === "object" && inner !== null
        ? (Reflect.get(inner, "name") ?? Reflect.get(inner, "cluster_name"))
        : undefined;
    if (typeof name === "string") return name;
  }
  return "";
}
