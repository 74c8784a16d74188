import { create, toBinary } from "@bufbuild/protobuf";
import type { TrafficPolicy } from "../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../kube/index.ts";
import { RouteConfigurationSchema, VirtualHostSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { destinationRuleFor } from "../model/destination-rule-model.ts";
import { meshKey, type DestinationRuleFacts } from "../model/facts.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import { hostCovers, qualifiedHost } from "../model/service-hostname.ts";
import { isVisible, registeredService, type ServiceModel } from "../model/service-model.ts";
import { destinationService } from "../model/sidecar-scope.ts";
import { contentHash } from "./content-hash.ts";
import type { HostPlan, RouteTable } from "./outbound-host.ts";
import { planTables } from "./outbound-host-plan.ts";
import type { OutboundPort } from "./outbound-port.ts";
import { portService, routesToService, type MeshModel } from "./mesh-model.ts";
import { hostRoutes, type HostSources } from "./outbound-route.ts";
import { fieldOf, resourceOf, type EncodedResource } from "./resource.ts";
import { routeConfiguration, routeConfigurationByHosts } from "./route-configuration.ts";
import { effectivePolicy } from "./traffic-policy.ts";

/** A virtual host's fields but its name, which differs with the way that it is sent. */
export interface EncodedHost {
  readonly plan: HostPlan;
  readonly version: string;
  readonly bytes: Uint8Array;
}

/** Route configurations of scopes, cut into virtual hosts that scopes share. */
export interface OutboundRoutes {
  /** By `<scope>|<route configuration>`. */
  readonly tables: Collection<RouteTable>;
  /** By {@link HostPlan.key}. */
  readonly hosts: Collection<EncodedHost>;
}

export function deriveOutboundRoutes(graph: CollectionGraph, ports: Collection<OutboundPort>, model: MeshModel): OutboundRoutes {
  const tables = graph.derive("route-tables", ports, (port, reader) => routeTables(port, model, reader).map((table) => [`${table.scope}|${table.name}`, table] as const), sameTable);
  const plans = graph.flatten("host-plans", tables, ({ hosts }) => hosts, (plan) => plan.key);
  const hosts = graph.derive("virtual-hosts", plans, (plan, reader, key) => encodeHost(plan, key, model, reader), (left, right) => left.version === right.version);
  return { tables, hosts };
}

function sameTable(left: RouteTable, right: RouteTable): boolean {
  return left.hosts.length === right.hosts.length && left.hosts.every((host, index) => host === right.hosts[index] || host.key === right.hosts[index]?.key);
}

function routeTables(port: OutboundPort, model: MeshModel, reader: CollectionReader): readonly RouteTable[] {
  const mesh = reader.get(model.inputs.mesh, meshKey);
  if (mesh === undefined) return [];
  const { namespace } = port;
  const services = port.services.flatMap((entry) => {
    const service = portService(port, entry, model.registry, reader);
    const own = service?.ports.find((candidate) => candidate.port === port.port) ?? (port.protocol === undefined ? undefined : service?.ports[0]);
    return service === undefined || own === undefined ? [] : { service, port: own.port === port.port ? own : { ...own, port: port.port } };
  });
  // Where nothing speaks HTTP no listener asks for routes.
  if (!services.some((service) => (port.protocol ?? service.port.protocol) !== "tcp" && (port.protocol ?? service.port.protocol) !== "tls")) return [];
  const aliases = Map.groupBy(reader.lookup(model.registry.allAliases, anyKey).filter((alias) => isVisible(alias, namespace)), (alias) => alias.aliasOf);
  const attached = attachedServices(model, reader);
  const hashing = hashingHosts(model.inputs, reader);
  return planTables({
    port,
    mesh,
    services,
    virtualServices: port.virtualServices.flatMap((key) => reader.get(model.virtualServices.shapes.all, key) ?? []),
    serviceOf: (host) => destinationService(host, namespace, model.registry, reader),
    httpRoutesOf: (service, number) => (attached ? routesToService(service, number, namespace, model, reader) : []),
    aliasesOf: (host) => aliases.get(host)?.map((alias) => alias.hostname) ?? none,
    mayHash: (host) => hashing.some((covering) => hostCovers(covering, host)),
  });
}

const anyKey = "any";
const none: readonly string[] = [];

/** Whether any route is attached to any service: mostly none is, and then none must be looked for. */
function attachedServices({ routes }: MeshModel, reader: CollectionReader): boolean {
  return routes.some((collection) => {
    const attached = collection.index("any-service", ({ parents }) => (parents.some(({ service }) => service !== undefined) ? [anyKey] : []));
    return reader.lookup(attached, anyKey).length > 0;
  });
}

/** Hosts of rules that send like requests to like endpoints. */
function hashingHosts({ destinationRules, mesh }: MeshInputs, reader: CollectionReader): readonly string[] {
  const hashing = destinationRules.index("consistent-hash", (rule) => (hasHash(rule) ? [anyKey] : []));
  const domain = reader.get(mesh, meshKey)?.domain ?? "";
  return reader.lookup(hashing, anyKey).map((rule) => qualifiedHost(rule.spec.host, rule.namespace, domain));
}

function hasHash({ spec }: DestinationRuleFacts): boolean {
  const hashes = (policy: TrafficPolicy | undefined): boolean => policy?.loadBalancer?.consistentHash !== undefined || policy?.portLevelSettings.some((own) => own.loadBalancer?.consistentHash !== undefined) === true;
  return hashes(spec.trafficPolicy) || spec.subsets.some((subset) => hashes(subset.trafficPolicy));
}

function encodeHost(plan: HostPlan, key: string, model: MeshModel, reader: CollectionReader): Iterable<readonly [string, EncodedHost]> {
  const mesh = reader.get(model.inputs.mesh, meshKey);
  if (mesh === undefined) return [];
  const { source } = plan;
  const client = "client" in source ? source.client : undefined;
  const serviceOf = (host: string): ServiceModel | undefined => destinationService(host, client?.namespace ?? "", model.registry, reader);
  const sources: HostSources = {
    mesh,
    virtualServiceOf: (virtualService) => reader.get(model.virtualServices.models, virtualService),
    hashOf: (destination, port) => {
      if (client === undefined) return undefined;
      const rule = destinationRuleFor(serviceOf(destination.host) ?? { hostname: destination.host, namespace: "" }, client, mesh, model.destinationRules, reader);
      return effectivePolicy(rule, destination.subset, port, mesh).loadBalancer?.consistentHash;
    },
    attachedRoutes: () => {
      if (source.from !== "http-routes") return undefined;
      const service = registeredService(source.service, model.registry, reader);
      return service === undefined ? undefined : { service, routes: routesToService(service, source.port, source.client.namespace, model, reader) };
    },
  };
  const bytes = toBinary(VirtualHostSchema, create(VirtualHostSchema, { domains: [...plan.domains], includeRequestAttemptCount: !mesh.proxyHeaders.attemptCountDisabled, routes: [...hostRoutes(plan, sources)] }));
  return [[key, { plan, version: contentHash(bytes), bytes }]];
}

/** The name of a virtual host that is sent by itself. */
export function virtualHostName({ table, host }: Pick<HostPlan, "table" | "host">): string {
  return `${table}/${host}`;
}

/** A virtual host by itself: Envoy drops one again only when the host's own name is the resource's. */
export function virtualHostResource({ plan, version, bytes }: EncodedHost): EncodedResource {
  const name = virtualHostName(plan);
  return resourceOf(typeUrls.virtualHost, name, version, [fieldOf(nameField, Buffer.from(name)), bytes]);
}

/** A route configuration with all its hosts. */
export function routeTableResource({ name, hosts }: RouteTable, encodedOf: (plan: HostPlan) => EncodedHost | undefined): EncodedResource {
  const settings = toBinary(RouteConfigurationSchema, routeConfiguration(name, []));
  const parts: Uint8Array[] = [settings];
  const versions: string[] = [contentHash(settings)];
  for (const plan of hosts) {
    const encoded = encodedOf(plan);
    if (encoded === undefined) continue;
    const named = fieldOf(nameField, Buffer.from(plan.name));
    parts.push(fieldHead(virtualHostsField, named.length + encoded.bytes.length), named, encoded.bytes);
    versions.push(`${plan.name}@${encoded.version}`);
  }
  return resourceOf(typeUrls.route, name, contentHash(Buffer.from(versions.join("\n"))), parts);
}

/** A route configuration whose hosts are sent by themselves. */
export function announcedTableResource(name: string): EncodedResource {
  const bytes = toBinary(RouteConfigurationSchema, routeConfigurationByHosts(name));
  return resourceOf(typeUrls.route, name, contentHash(bytes), [bytes]);
}

/** Of RouteConfiguration, and of VirtualHost. */
const virtualHostsField = 2;
const nameField = 1;

function fieldHead(number: number, length: number): Uint8Array {
  return fieldOf(number, nothing, length);
}

const nothing = new Uint8Array(0);
