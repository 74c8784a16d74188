import type { TcpKeepalive } from "../../net/index.ts";
import {
  ProxyProtocolConfig_Version,
  ProxyProtocolUpstreamTransportSchema,
  type Cluster,
  type HttpProtocolOptions,
  type InternalUpstreamTransport,
  type ProxyProtocolUpstreamTransport,
  type TcpKeepalive as TcpKeepaliveMessage,
  type TransportSocket,
  type UpstreamTlsContext,
} from "../../wire/envoy/index.ts";
import type { UpstreamTlsSpec } from "../tls/tls-spec.ts";
import type { ProxyHeaderVersion, SocketOptions } from "../upstream/endpoint.ts";
import { checkFields, invalid, unsupported, type ConfigNotes } from "./config-check.ts";
import { compileUpstreamTls, type ServerNameRule } from "./tls-config.ts";
import { contentTypeUrl, unpack } from "./typed-struct.ts";

/**
 * How a cluster's transport sockets connect. The ends of a tunnel depend on the endpoint, so they are not known yet.
 */
export type TransportKind = { readonly proxyHeader?: ProxyHeaderVersion } & BareTransport;

type BareTransport =
  | { readonly kind: "plain" }
  | { readonly kind: "tls"; readonly tls: UpstreamTlsSpec }
  /** For endpoints that are internal listeners. `tls` is used inside the tunnel that such a listener opens. */
  | { readonly kind: "internal"; readonly tls: UpstreamTlsSpec | undefined };

interface TransportRule {
  /** The endpoint's metadata must have all of these values. An empty list matches every endpoint. */
  readonly match: readonly (readonly [key: string, value: unknown])[];
  readonly transport: TransportKind;
}

/** Chooses an endpoint's transport by its metadata under `envoy.transport_socket_match`. */
export class TransportRules {
  readonly #rules: readonly TransportRule[];
  readonly #fallback: TransportKind;
  readonly socketOptions: SocketOptions;

  constructor(cluster: Cluster, where: string, notes: ConfigNotes) {
    const names = serverNameRule(cluster, where);
    this.#rules = cluster.transportSocketMatches.map((entry) => ({
      match: Object.entries(entry.match ?? {}),
      transport: compileTransport(
        entry.transportSocket,
        names,
        `${where}: transportSocketMatches ${entry.name}`,
        notes,
      ),
    }));
    this.#fallback = compileTransport(cluster.transportSocket, names, `${where}: transportSocket`, notes);
    const sourceAddress = sourceAddressOf(cluster, where);
    const keepalive = keepaliveOf(cluster.upstreamConnectionOptions?.tcpKeepalive);
    this.socketOptions = {
      ...(sourceAddress === undefined ? {} : { sourceAddress }),
      ...(keepalive === undefined ? {} : { keepalive }),
    };
  }

  choose(metadata: Readonly<Record<string, unknown>>): TransportKind {
    for (const rule of this.#rules)
      if (rule.match.every(([key, value]) => metadata[key] === value)) return rule.transport;
    return this.#fallback;
  }

  /** All TLS settings of the cluster, whose certificates and roots connections may need. */
  tls(): UpstreamTlsSpec[] {
    return [...this.#rules.map(({ transport }) => transport), this.#fallback].flatMap((transport) =>
      transport.kind === "plain" || transport.tls === undefined ? [] : [transport.tls],
    );
  }
}

/** TCP keepalive. Fields that are absent keep the system's values. */
export function keepaliveOf(message: TcpKeepaliveMessage | undefined): TcpKeepalive | undefined {
  if (message === undefined) return undefined;
  const { keepaliveTime, keepaliveInterval, keepaliveProbes } = message;
  return {
    ...(keepaliveTime === undefined ? {} : { timeSeconds: keepaliveTime }),
    ...(keepaliveInterval === undefined ? {} : { intervalSeconds: keepaliveInterval }),
    ...(keepaliveProbes === undefined ? {} : { probes: keepaliveProbes }),
  };
}

function sourceAddressOf(cluster: Cluster, where: string): string | undefined {
  const source = cluster.upstreamBindConfig?.sourceAddress;
  if (source === undefined) return undefined;
  if (source.portSpecifier.case === "portValue" && source.portSpecifier.value !== 0)
    throw unsupported(where, "upstreamBindConfig with a port");
  if (source.address === "") throw invalid(where, "upstreamBindConfig.sourceAddress has no address");
  return source.address;
}

export const httpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/**
 * How a cluster with `autoSni` chooses the server name. Envoy takes the host that the request names, which normally is
 * the service's host. A connection serves many requests, so this proxy uses the service's host.
 *
 * An endpoint may have the name of another machine, such as a load balancer in front of the service, for which the
 * service's server has no certificate. So the endpoint's host is used only if the service has no single host, as with a
 * wildcard.
 */
function serverNameRule(cluster: Cluster, where: string): ServerNameRule | undefined {
  const any = cluster.typedExtensionProtocolOptions[httpOptionsKey];
  const options =
    any === undefined
      ? undefined
      : (unpack(any, `${where}: ${httpOptionsKey}`) as HttpProtocolOptions | undefined)?.upstreamHttpProtocolOptions;
  if (options?.autoSni !== true) return undefined;
  const services: unknown = cluster.metadata?.filterMetadata["istio"]?.["services"];
  const first: unknown = Array.isArray(services) ? services[0] : undefined;
  const host: unknown = typeof first === "object" && first !== null ? Reflect.get(first, "host") : undefined;
  return {
    host: typeof host === "string" && !host.includes("*") ? host : undefined,
    verified: options.autoSanValidation,
  };
}

function compileTransport(
  socket: TransportSocket | undefined,
  names: ServerNameRule | undefined,
  where: string,
  notes: ConfigNotes,
): TransportKind {
  if (socket === undefined || socket.configType.case === undefined) return { kind: "plain" };
  const message = unpack(socket.configType.value, where);
  switch (message?.$typeName) {
    case "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer":
      return { kind: "plain" };
    case "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport": {
      const inner = compileTransport((message as InternalUpstreamTransport).transportSocket, names, where, notes);
      return { kind: "internal", tls: inner.kind === "plain" ? undefined : inner.tls };
    }
    case "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext":
      return { kind: "tls", tls: compileUpstreamTls(message as UpstreamTlsContext, names, where, notes) };
    case ProxyProtocolUpstreamTransportSchema.typeName: {
      const wrapper = message as ProxyProtocolUpstreamTransport;
      checkFields(ProxyProtocolUpstreamTransportSchema, wrapper, where, notes, {
        used: ["config", "transportSocket"],
        harmless: ["allowUnspecifiedAddress"],
      });
      return {
        ...compileTransport(wrapper.transportSocket, names, where, notes),
        proxyHeader: wrapper.config?.version === ProxyProtocolConfig_Version.V2 ? "v2" : "v1",
      };
    }
    default:
      throw unsupported(where, `the transport socket ${contentTypeUrl(socket.configType.value)}`);
  }
}
