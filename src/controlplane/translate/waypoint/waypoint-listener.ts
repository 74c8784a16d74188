import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import {
  ApplicationProtocolInputSchema,
  DestinationIPInputSchema,
  DestinationPortInputSchema,
  FilterStateInputSchema,
  HttpConnectionManager_ForwardClientCertDetails,
  IPMatcherSchema,
  ListenerSchema,
  NetworkSetFilterStateSchema,
  TcpProxySchema,
  TrafficDirection,
  type Listener,
  type MatcherSchema,
  type Route,
} from "../../../wire/envoy/index.ts";
import { formatAuthority } from "../../../wire/hbone/index.ts";
import type { AppProtocol, MeshSettings } from "../../model/facts.ts";
import { addressBytes, cidrOf, isWithin } from "../../model/ip-address.ts";
import { serviceLogsOf2022, writesLogsOf2022 } from "../telemetry/access-log-2022.ts";
import { tcpIdleTimeout } from "../connection-settings.ts";
import { forwardTlsFilter, wildcardCache } from "../dynamic-forward-proxy.ts";
import { packed } from "../envoy-any.ts";
import { destinationState, filterInit, filterState, type FilterInit } from "../filter-init.ts";
import { httpConnectionManagerFilter } from "../http-connection-manager.ts";
import { plaintextHttpProtocols } from "../inbound-chain-match.ts";
import type { FilterChainInit } from "../inbound/inbound-chain.ts";
import { connectAuthorityState, mainInternalName } from "../inbound/inbound-hbone.ts";
import { ofPorts } from "../inbound/inbound-listener.ts";
import { clientIdentityInXfcc, tcpMetadataExchange } from "../istio-filters.ts";
import { httpInspector, originalDestination, tlsInspector } from "../listener-filters.ts";
import type { SecurityFilters } from "../security/security-filters.ts";
import type { ProxyTelemetry } from "../telemetry/telemetry-policies.ts";
import { carriedKinds, vipName, type WaypointCarries } from "./waypoint-name.ts";
import { plainRoute, waypointRouteTable } from "./waypoint-route.ts";
import type { TcpSettings } from "../routing/virtual-service-tcp.ts";
import { specifierOf, type WeightedTarget } from "../routing/weighted-target.ts";

export type MatcherInit = Exclude<MessageInitShape<typeof MatcherSchema>, { $typeName: string }>;
export type OnMatchInit = NonNullable<MatcherInit["onNoMatch"]>;
type RangeInit = NonNullable<
  Exclude<MessageInitShape<typeof IPMatcherSchema>, { $typeName: string }>["rangeMatchers"]
>[number];

export const encapName = "encap";

export interface WaypointPolicies {
  readonly security: SecurityFilters;
  readonly telemetry: ProxyTelemetry;
  readonly forwardsClientIdentity: boolean;
}

export interface WaypointPort {
  readonly host: string;
  /** The last part of the service's names, see {@link vipName}. */
  readonly vipHost: string;
  readonly port: number;
  readonly protocol: AppProtocol;
  /** The routes of the port. Absent if it does not carry HTTP. */
  readonly routes: readonly Route[];
  readonly targets: readonly WeightedTarget[];
  readonly settings?: TcpSettings | undefined;
  readonly forwarded?: boolean;
}

export interface WaypointServiceChains {
  readonly kind: "Service" | "ServiceEntry";
  readonly addresses: readonly string[];
  readonly ports: readonly WaypointPort[];
  readonly policies: WaypointPolicies;
}

export interface MainInternalOptions {
  readonly mesh: MeshSettings;
  readonly services: readonly WaypointServiceChains[];
  /** The addresses of pods whose own traffic goes through the waypoint. */
  readonly workloads: readonly string[];
  /**
   * The addresses of WorkloadEntries and of endpoints of ServiceEntries whose own traffic goes through the waypoint.
   * Users write these addresses. There is a list for each namespace, so that no namespace changes the matcher of
   * another.
   */
  readonly named: readonly (readonly string[])[];
  readonly direct: WaypointPolicies;
}

const directTcp = "direct-tcp";
const directHttp = "direct-http";

/**
 * The listener for connections inside the tunnels. It selects a chain by the service's address and port, or by the
 * pod's address.
 */
export function mainInternalListener({ mesh, services, workloads, named, direct }: MainInternalOptions): Listener {
  const chains = services.flatMap(({ ports, policies }) =>
    ports.flatMap((port) => carriedKinds(port.protocol).map((carries) => serviceChain(port, carries, policies, mesh))),
  );
  // Requests by name come from another network, where addresses differ. They go to the service that owns the host.
  const names =
    mesh.ambientMultiNetwork === true
      ? services.flatMap(({ addresses, ports }) =>
          addresses.length === 0
            ? []
            : ports
                .filter(({ host, vipHost }) => vipHost === host)
                .map((port) => [formatAuthority(port.host, port.port), chainOf(port)] as const),
        )
      : [];
  return create(ListenerSchema, {
    name: mainInternalName,
    listenerSpecifier: { case: "internalListener", value: {} },
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: [
      originalDestination(),
      httpInspectorFor(services, workloads.length + named.length > 0),
      ...tlsInspectorFor(services),
    ],
    filterChains: [...chains, ...directChains(direct, mesh)],
    filterChainMatcher: byNameOr(names, addressRanges(rangesOf(services, workloads, named))),
  });
}

/**
 * The chains by address. Of equal ranges, a proxy uses the first one that has a chain. So ServiceEntries come last: an
 * entry that claims the address of a Service or a pod could otherwise capture requests and bypass their policies. Such
 * an entry loses the address altogether, because the proxy would still use the entry for ports that the Service does
 * not have. For the same reason, the address that a user writes for a workload counts only if nothing else has it.
 */
function rangesOf(
  services: readonly WaypointServiceChains[],
  workloads: readonly string[],
  named: readonly (readonly string[])[],
): readonly AddressRanges[] {
  const toServices = ({ addresses, ports }: WaypointServiceChains): readonly AddressRanges[] =>
    addresses.length === 0 || ports.length === 0
      ? []
      : [{ addresses, onMatch: toMatcher(byPort(ports.map((port) => [port.port, chainOf(port)] as const))) }];
  const owned = services.filter(({ kind }) => kind === "Service");
  const taken = new Set([...owned.flatMap(({ addresses }) => addresses), ...workloads].map(rangeKey));
  const entries = services.filter(({ kind }) => kind === "ServiceEntry");
  const claimed = entries.flatMap(({ addresses }) => addresses);
  const free = named.map((own) =>
    outsideOf(
      claimed,
      own.filter((address) => !taken.has(rangeKey(address))),
    ),
  );
  return [
    ...owned.flatMap(toServices),
    ...[workloads, ...free].flatMap((addresses) =>
      addresses.length === 0 ? [] : [{ addresses, onMatch: toMatcher(byProtocol(directTcp, directHttp)) }],
    ),
    ...entries.flatMap((entry) =>
      toServices({ ...entry, addresses: entry.addresses.filter((address) => !taken.has(rangeKey(address))) }),
    ),
  ];
}

function outsideOf(ranges: readonly string[], addresses: readonly string[]): readonly string[] {
  if (addresses.length === 0) return addresses;
  const single = new Set(ranges.map(rangeKey));
  const wide = ranges.flatMap((range) => (range.includes("/") ? (cidrOf(range) ?? []) : []));
  return addresses.filter((address) => {
    const bytes = addressBytes(address);
    return !single.has(rangeKey(address)) && bytes !== undefined && !wide.some((range) => isWithin(bytes, range));
  });
}

/** A key that is equal for all spellings of an address or range. IPv4 has only one spelling here. */
function rangeKey(text: string): string {
  const range = text.includes(":") ? cidrOf(text) : undefined;
  return range === undefined ? text : `${range.address.join(".")}/${range.length}`;
}

/**
 * The HTTP inspector. It is off at ports with a declared protocol, where it would wait in vain if the server speaks
 * first. With `anyPort`, it is on everywhere, because directly addressed pods accept every port.
 */
function httpInspectorFor(services: readonly WaypointServiceChains[], anyPort: boolean) {
  const filter = httpInspector();
  if (anyPort) return filter;
  const kinds = new Map<number, Set<string>>();
  for (const { port, protocol } of services.flatMap(({ ports }) => ports))
    kinds.set(port, new Set([...(kinds.get(port) ?? []), ...carriedKinds(protocol)]));
  const singlePorts = [...kinds].filter(([, carried]) => carried.size === 1).map(([port]) => port);
  const disabled = ofPorts(singlePorts.sort((left, right) => left - right));
  return disabled === undefined ? filter : { ...filter, filterDisabled: disabled };
}

/** The TLS inspector for the ports that carry TLS. It reads the server name, which policies may match. */
function tlsInspectorFor(services: readonly WaypointServiceChains[]) {
  const ports = services.flatMap((service) => service.ports);
  const secure = new Set(ports.filter(({ protocol }) => protocol === "tls").map(({ port }) => port));
  if (secure.size === 0) return [];
  const others = new Set(ports.filter(({ port }) => !secure.has(port)).map(({ port }) => port));
  const disabled = ofPorts([...others].sort((left, right) => left - right));
  return [{ ...tlsInspector(), ...(disabled === undefined ? {} : { filterDisabled: disabled }) }];
}

function serviceChain(
  port: WaypointPort,
  carries: WaypointCarries,
  policies: WaypointPolicies,
  mesh: MeshSettings,
): FilterChainInit {
  const name = vipName(port.port, carries, undefined, port.vipHost);
  if (carries === "tcp")
    return {
      name,
      filters: connections(
        { statPrefix: name, targets: port.targets, settings: port.settings },
        policies,
        mesh,
        port.forwarded === true ? [forwardTlsFilter(port.host, port.port)] : [],
      ),
    };
  const own = writesLogsOf2022(mesh)
    ? { ...policies, telemetry: { ...policies.telemetry, accessLogs: serviceLogsOf2022(port.host, port.port, mesh) } }
    : policies;
  return { name, filters: [requests(name, port, own, mesh)] };
}

function directChains(policies: WaypointPolicies, mesh: MeshSettings): readonly FilterChainInit[] {
  return [
    {
      name: directTcp,
      filters: [
        keepDestination(),
        ...connections(
          { statPrefix: encapName, targets: [{ name: encapName, weight: 1 }], settings: tcpIdleTimeout(mesh) },
          policies,
          mesh,
        ),
      ],
    },
    {
      name: directHttp,
      filters: [
        keepDestination(),
        requests(
          encapName,
          { host: "", port: 0, protocol: "http", routes: [plainRoute(encapName, "", 0, mesh)] },
          policies,
          mesh,
        ),
      ],
    },
  ];
}

function requests(
  name: string,
  { host, port, protocol, routes, forwarded }: Omit<WaypointPort, "targets" | "vipHost">,
  { security, telemetry, forwardsClientIdentity }: WaypointPolicies,
  mesh: MeshSettings,
): FilterInit {
  // Other hosts than those of the wildcard are not accepted, so that no route sends requests to them.
  const domains = forwarded === true ? [host, `${host}:${port}`] : undefined;
  return httpConnectionManagerFilter({
    direction: "waypoint",
    statPrefix: `inbound_0.0.0.0_${port}`,
    mesh,
    routes: { inline: waypointRouteTable(name, port, routes, domains) },
    // The policies may match the header, so they come after the filter that sets it.
    security: forwardsClientIdentity ? [clientIdentityInXfcc(), ...security.http] : security.http,
    telemetry,
    ...(forwarded === true ? { forwarded: [wildcardCache(host)] } : {}),
    fields: {
      ...(protocol === "http2" || protocol === "grpc" ? { http2ProtocolOptions: {} } : {}),
      // Forward the header although this connection has no certificate itself: the tunnel around it has one.
      ...(forwardsClientIdentity
        ? { forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.ALWAYS_FORWARD_ONLY }
        : {}),
    },
  });
}

function connections(
  { statPrefix, targets, settings = {} }: Pick<WaypointPort, "targets" | "settings"> & { readonly statPrefix: string },
  { security, telemetry }: WaypointPolicies,
  mesh: MeshSettings,
  before: readonly FilterInit[] = [],
): FilterInit[] {
  const proxy = filterInit("envoy.filters.network.tcp_proxy", TcpProxySchema, {
    statPrefix,
    clusterSpecifier: specifierOf(targets),
    ...settings,
    accessLog: [...telemetry.accessLogs],
  });
  return [tcpMetadataExchange(mesh), ...security.tcp, ...telemetry.stats("waypoint"), ...before, proxy];
}

/** Gives the next tunnel the destination of the tunnel that ended here. */
function keepDestination(): FilterInit {
  return filterInit("connect_authority", NetworkSetFilterStateSchema, {
    onNewConnection: [filterState(destinationState, `%FILTER_STATE(${destinationState}:PLAIN)%`, { inherits: "ONCE" })],
  });
}

function cidr(address: string) {
  const [addressPrefix = "", length] = address.split("/");
  return { addressPrefix, prefixLen: length === undefined ? (address.includes(":") ? 128 : 32) : Number(length) };
}

interface AddressRanges {
  readonly addresses: readonly string[];
  readonly onMatch: OnMatchInit;
}

/** Matches destination addresses, which may have a prefix length. */
export function addressRanges(ranges: readonly AddressRanges[]): MatcherInit {
  const rangeMatchers = ranges.map(({ addresses, onMatch }): RangeInit => ({ ranges: addresses.map(cidr), onMatch }));
  return matcherTree("ip", packed(DestinationIPInputSchema, {}), {
    case: "customMatch",
    value: { name: "ip", typedConfig: packed(IPMatcherSchema, { rangeMatchers }) },
  });
}

export function byPort(ports: readonly (readonly [port: number, then: OnMatchInit])[]): MatcherInit {
  return matcherTree("port", packed(DestinationPortInputSchema, {}), {
    case: "exactMatchMap",
    value: { map: Object.fromEntries(ports.map(([port, then]) => [String(port), then])) },
  });
}

function chainOf({ port, protocol, vipHost }: WaypointPort): OnMatchInit {
  const kinds = carriedKinds(protocol);
  const name = (carries: WaypointCarries): string => vipName(port, carries, undefined, vipHost);
  return kinds.length > 1 ? toMatcher(byProtocol(name("tcp"), name("http"))) : toChain(name(kinds[0] ?? "tcp"));
}

function byProtocol(tcp: string, http: string): MatcherInit {
  const map = Object.fromEntries(plaintextHttpProtocols.map((protocol) => [`'${protocol}'`, toChain(http)]));
  return {
    ...matcherTree("application-protocol", packed(ApplicationProtocolInputSchema, {}), {
      case: "exactMatchMap",
      value: { map },
    }),
    onNoMatch: toChain(tcp),
  };
}

/** Matches the CONNECT's authority against these names. If none matches, `otherwise` decides. */
export function byNameOr(
  names: readonly (readonly [authority: string, then: OnMatchInit])[],
  otherwise: MatcherInit,
): MatcherInit {
  if (names.length === 0) return otherwise;
  return { ...byState("authority", connectAuthorityState, Object.fromEntries(names)), onNoMatch: toMatcher(otherwise) };
}

/** Matches a value that the listener at the tunnel's end recorded from the CONNECT. */
export function byState(name: string, key: string, map: Readonly<Record<string, OnMatchInit>>): MatcherInit {
  return matcherTree(name, packed(FilterStateInputSchema, { key }), {
    case: "exactMatchMap",
    value: { map: { ...map } },
  });
}

type TreeInit = NonNullable<
  Extract<NonNullable<MatcherInit["matcherType"]>, { case: "matcherTree" }>["value"]["treeType"]
>;

function matcherTree(name: string, typedConfig: ReturnType<typeof packed>, treeType: TreeInit): MatcherInit {
  return { matcherType: { case: "matcherTree", value: { input: { name, typedConfig }, treeType } } };
}

export function toMatcher(matcher: MatcherInit): OnMatchInit {
  return { onMatch: { case: "matcher", value: matcher } };
}

export function toChain(name: string): OnMatchInit {
  return { onMatch: { case: "action", value: { name, typedConfig: packed(StringValueSchema, { value: name }) } } };
}
