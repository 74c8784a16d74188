import { create, toBinary } from "@bufbuild/protobuf";
import type { TrafficPolicy } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { RouteConfigurationSchema, VirtualHostSchema } from "../../../wire/envoy/index.ts";
import { typeUrls } from "../../../wire/xds/index.ts";
import { destinationRuleFor } from "../../model/destination-rule-model.ts";
import { meshKey, type DestinationRuleFacts } from "../../model/facts.ts";
import { memos } from "../../model/memos.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { qualifiedHost } from "../../model/service/service-hostname.ts";
import {
  isVisible,
  registeredService,
  destinationService,
  type ServiceModel,
} from "../../model/service/service-model.ts";
import { serviceSession, sessionRulesOf } from "../../model/service/service-session.ts";
import { contentHash } from "../content-hash.ts";
import type { HostPlan, RouteTable } from "./outbound-host.ts";
import { planTables } from "./outbound-host-plan.ts";
import type { OutboundPort } from "./outbound-port.ts";
import { anyRoute, routesToService, type MeshModel } from "../mesh-model.ts";
import { hostRoutes, type HostSources } from "./outbound-route.ts";
import { sharedPortOf, type SharedPorts } from "./outbound-shared-port.ts";
import { fieldOf, resourceOf, type EncodedResource } from "../resource.ts";
import { routeConfiguration, routeConfigurationByHosts } from "../routing/route-configuration.ts";
import { hostSession } from "../routing/stateful-session.ts";
import { effectivePolicy } from "../traffic-policy.ts";

/** A virtual host's encoded fields without its name, which depends on how the host is sent. */
export interface EncodedHost {
  readonly plan: HostPlan;
  readonly version: string;
  readonly bytes: Uint8Array;
  /** The host with its name, as an encoded field of a route configuration. */
  readonly field: Uint8Array;
}

/** The route configurations of scopes, split into virtual hosts, which scopes share. */
export interface OutboundRoutes {
  /** The tables by `<scope>|<route configuration>`. */
  readonly tables: Collection<RouteTable>;
  /** The virtual hosts by {@link HostPlan.key}. */
  readonly hosts: Collection<EncodedHost>;
}

export function deriveOutboundRoutes(
  graph: CollectionGraph,
  ports: Collection<OutboundPort>,
  shared: SharedPorts,
  model: MeshModel,
): OutboundRoutes {
  const tables = graph.derive(
    "route-tables",
    ports,
    (port, reader) =>
      routeTables(port, shared, model, reader).map((table) => [`${table.scope}|${table.name}`, table] as const),
    sameTable,
  );
  const plans = graph.flatten(
    "host-plans",
    tables,
    ({ hosts }) => hosts,
    (plan) => plan.key,
  );
  const hosts = graph.derive(
    "virtual-hosts",
    plans,
    (plan, reader, key) => encodeHost(plan, key, model, reader),
    (left, right) => left.version === right.version,
  );
  return { tables, hosts };
}

function sameTable(left: RouteTable, right: RouteTable): boolean {
  return (
    left.hosts.length === right.hosts.length &&
    left.hosts.every((host, index) => host === right.hosts[index] || host.key === right.hosts[index]?.key)
  );
}

function routeTables(
  port: OutboundPort,
  shared: SharedPorts,
  model: MeshModel,
  reader: CollectionReader,
): readonly RouteTable[] {
  const mesh = reader.get(model.inputs.mesh, meshKey);
  if (mesh === undefined) return [];
  const { namespace } = port;
  const { services } = sharedPortOf(port, shared, model, reader);
  // Without an HTTP service, no listener requests routes.
  if (
    !services.some(
      (service) =>
        (port.protocol ?? service.port.protocol) !== "tcp" && (port.protocol ?? service.port.protocol) !== "tls",
    )
  )
    return [];
  const visible = reader.lookup(model.registry.allAliases, anyKey).filter((alias) => isVisible(alias, namespace));
  const aliases = Map.groupBy(visible, (alias) => alias.aliasOf);
  const targets = new Map(visible.map(({ hostname, aliasOf }) => [hostname, aliasOf]));
  // Most meshes have no attached routes, and then need no look-ups.
  const hasRoutes = anyRoute(model, reader);
  const hashing = hashingHosts(model.inputs, reader);
  return planTables({
    port,
    mesh,
    services,
    virtualServices: port.virtualServices.flatMap((key) => reader.get(model.virtualServices.shapes.all, key) ?? []),
    serviceOf: (host) => destinationService(host, namespace, model.registry, reader),
    httpRoutesOf: hasRoutes
      ? (service, number) => routesToService(service, number, namespace, model, reader)
      : undefined,
    aliased: [...aliases.keys()],
    aliasesOf: (host) => aliases.get(host)?.map((alias) => alias.hostname) ?? none,
    targetOf: (alias) => targets.get(alias),
    hashing,
  });
}

const anyKey = "any";
const none: readonly string[] = [];

function hashingHosts({ destinationRules, mesh }: MeshInputs, reader: CollectionReader): readonly string[] {
  const hashing = destinationRules.index("consistent-hash", (rule) => (hasHash(rule) ? [anyKey] : []));
  const domain = reader.get(mesh, meshKey)?.domain ?? "";
  return reader.lookup(hashing, anyKey).map((rule) => qualifiedHost(rule.spec.host, rule.namespace, domain));
}

function hasHash({ spec }: DestinationRuleFacts): boolean {
  const hashes = (policy: TrafficPolicy | undefined): boolean =>
    policy?.loadBalancer?.consistentHash !== undefined ||
    policy?.portLevelSettings.some((own) => own.loadBalancer?.consistentHash !== undefined) === true;
  return hashes(spec.trafficPolicy) || spec.subsets.some((subset) => hashes(subset.trafficPolicy));
}

function encodeHost(
  plan: HostPlan,
  key: string,
  model: MeshModel,
  reader: CollectionReader,
): Iterable<readonly [string, EncodedHost]> {
  const mesh = reader.get(model.inputs.mesh, meshKey);
  if (mesh === undefined) return [];
  const { source } = plan;
  const client = "client" in source ? source.client : undefined;
  const serviceOf = (host: string): ServiceModel | undefined =>
    destinationService(host, client?.namespace ?? "", model.registry, reader);
  const sources: HostSources = {
    mesh,
    virtualServiceOf: (virtualService) => reader.get(model.virtualServices.models, virtualService),
    hashOf: (destination, port) => {
      if (client === undefined) return undefined;
      const rule = destinationRuleFor(
        serviceOf(destination.host) ?? { hostname: destination.host, namespace: "" },
        client,
        mesh,
        model.destinationRules,
        reader,
      );
      return effectivePolicy(rule, destination.subset, port, mesh).loadBalancer?.consistentHash;
    },
    sessionOf: sessionRulesOf(mesh).enabled
      ? (host, namespace) => serviceSession(destinationService(host, namespace, model.registry, reader), mesh)
      : undefined,
    attachedRoutes: () => {
      if (source.from !== "http-routes") return undefined;
      const service = registeredService(source.service, model.registry, reader);
      return service === undefined
        ? undefined
        : { service, routes: routesToService(service, source.port, source.client.namespace, model, reader) };
    },
  };
  const bytes = toBinary(
    VirtualHostSchema,
    create(VirtualHostSchema, {
      domains: [...plan.domains],
      includeRequestAttemptCount: !mesh.proxyHeaders.attemptCountDisabled,
      routes: [...hostRoutes(plan, sources)],
      ...hostSession(sessionRulesOf(mesh).enabled ? serviceOfHost(plan, sources, model, reader) : undefined, mesh),
    }),
  );
  const named = fieldOf(nameField, Buffer.from(plan.name));
  const head = fieldHead(virtualHostsField, named.length + bytes.length);
  const field = new Uint8Array(Buffer.concat([head, named, bytes]));
  return [[key, { plan, version: contentHash(bytes), bytes: field.subarray(field.length - bytes.length), field }]];
}

/** The service of a virtual host. Undefined if the host belongs to none. */
function serviceOfHost(
  { host, source }: HostPlan,
  { virtualServiceOf }: HostSources,
  model: MeshModel,
  reader: CollectionReader,
): ServiceModel | undefined {
  switch (source.from) {
    case "service":
    case "http-routes":
      return registeredService(source.service, model.registry, reader);
    case "virtual-service": {
      const namespace = source.client?.namespace ?? virtualServiceOf(source.virtualService)?.namespace ?? "";
      return destinationService(host, namespace, model.registry, reader);
    }
    case "unknown":
      return undefined;
  }
}

/** The resource name of a virtual host that is sent separately. */
export function virtualHostName({ table, host }: Pick<HostPlan, "table" | "host">): string {
  return `${table}/${host}`;
}

/** A virtual host as a separate resource. Envoy can remove it only if its name equals the resource's name. */
export function virtualHostResource({ plan, version, bytes }: EncodedHost): EncodedResource {
  const name = virtualHostName(plan);
  return resourceOf(typeUrls.virtualHost, name, version, [fieldOf(nameField, Buffer.from(name)), bytes]);
}

/** A route configuration with all its hosts. As long as no host changes, the result is the same object. */
export function routeTableResource(
  table: RouteTable,
  encodedOf: (plan: HostPlan) => EncodedHost | undefined,
): EncodedResource {
  const used = table.hosts.map(encodedOf);
  const known = encodedTables.get(table);
  if (known !== undefined && known.used.every((host, index) => host === used[index])) return known.resource;
  const settings = toBinary(RouteConfigurationSchema, routeConfiguration(table.name, []));
  const parts: Uint8Array[] = [settings];
  const versions: string[] = [contentHash(settings)];
  for (const [index, plan] of table.hosts.entries()) {
    const encoded = used[index];
    if (encoded === undefined) continue;
    parts.push(encoded.field);
    versions.push(`${plan.name}@${encoded.version}`);
  }
  const resource = resourceOf(typeUrls.route, table.name, contentHash(Buffer.from(versions.join("\n"))), parts);
  encodedTables.set(table, { used, resource });
  return resource;
}

const encodedTables = memos.memo<
  RouteTable,
  { readonly used: readonly (EncodedHost | undefined)[]; readonly resource: EncodedResource }
>("encoded-route-tables");

export function announcedTableResource(name: string): EncodedResource {
  const bytes = toBinary(RouteConfigurationSchema, routeConfigurationByHosts(name));
  return resourceOf(typeUrls.route, name, contentHash(bytes), [bytes]);
}

/** The field numbers of RouteConfiguration and of VirtualHost. */
const virtualHostsField = 2;
const nameField = 1;

function fieldHead(number: number, length: number): Uint8Array {
  return fieldOf(number, nothing, length);
}

const nothing = new Uint8Array(0);
