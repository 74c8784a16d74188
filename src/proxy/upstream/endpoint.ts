import { joinHostPort } from "../../base/index.ts";
import { ipFamilyOf, type ByteStream, type TcpKeepalive } from "../../net/index.ts";
import type { ConnectionInfo, OriginalSource } from "../terms/connection-info.ts";
import type { UpstreamTlsSpec } from "../tls/tls-spec.ts";
import type { WorkloadLabels } from "../terms/workload-labels.ts";
import type { EndpointStatus } from "./preferred-endpoint.ts";

export type EndpointTransport =
  | { readonly kind: "plain" }
  | {
      readonly kind: "hbone";
      /** The authority of the CONNECT: `ip:port` or `hostname:port`. */
      readonly authority: string;
      /** The peer of the tunnel's TLS connection: the workload itself or a waypoint. */
      readonly address: string;
      readonly port: number;
      readonly expectedIdentities: readonly string[];
      /**
       * Whether the tunnel ends at the gateway of another network. It then contains a second tunnel, with the same
       * authority, to the server there.
       */
      readonly within?: true;
    }
  | { readonly kind: "tls"; readonly tls: UpstreamTlsSpec }
  | { readonly kind: "internal"; readonly listener: string };

export interface SocketOptions {
  readonly sourceAddress?: string;
  readonly keepalive?: TcpKeepalive;
}

export type ProxyHeaderVersion = "v1" | "v2";

export interface EndpointConfig extends SocketOptions {
  readonly address: string;
  /** Further addresses of the same host. They are tried if the first one does not answer soon. */
  readonly alternatives?: readonly string[];
  readonly port: number;
  readonly transport: EndpointTransport;
  readonly weight: number;
  readonly priority: number;
  /** The endpoint's locality, with the share of requests that the locality gets. Undefined if neither is set. */
  readonly locality?: { readonly name: string; readonly weight: number };
  readonly healthy: boolean;
  /**
   * The status from which `healthy` was derived. If absent, the status is unknown, or unhealthy if `healthy` is false.
   */
  readonly status?: EndpointStatus;
  /**
   * Set if each connection begins with a PROXY header that names the client, so that clients cannot share connections.
   */
  readonly proxyHeader?: ProxyHeaderVersion;
  /** The TLS inside the tunnel, which the application terminates. */
  readonly innerTls?: UpstreamTlsSpec;
  readonly hostname: string | undefined;
  readonly workload: WorkloadLabels;
}

/** The endpoint's `ip:port` for logs. For a tunnel, it is the destination inside the tunnel. */
export function endpointName(config: EndpointConfig): string {
  if (config.transport.kind === "hbone") return config.transport.authority;
  return joinHostPort(config.address, config.port);
}

/**
 * The client's address, if connections to the endpoint may come from it. Undefined for an endpoint of another address
 * family, and for one on a loopback address, from which the application could not answer another host.
 */
export function sourceFor(config: EndpointConfig, source: OriginalSource | undefined): OriginalSource | undefined {
  const { address, transport } = config;
  if (source === undefined || (transport.kind !== "plain" && transport.kind !== "tls")) return undefined;
  if (address === "::1" || address.startsWith("127.")) return undefined;
  return ipFamilyOf(address) === ipFamilyOf(source.address) ? source : undefined;
}

/** A text that identifies where and how connections are opened. If it stays the same in an update, the pool is kept. */
export function endpointKey(config: EndpointConfig): string {
  return `${config.address} ${config.port} ${transportKey(config.transport)} ${config.sourceAddress ?? ""} ${config.proxyHeader ?? ""} ${config.innerTls?.key ?? ""}`;
}

function transportKey(transport: EndpointTransport): string {
  return transport.kind === "tls" ? `tls ${transport.tls.key}` : JSON.stringify(transport);
}

export interface UpstreamStream extends ByteStream {
  /**
   * Whether the tunnel that carries this connection is draining. This connection then finishes its open requests and
   * gets no new ones.
   */
  readonly retiring?: boolean;
  readonly alpnProtocol?: string | undefined;
  readonly peerIdentity?: string;
}

export interface ConnectContext {
  /** The protocol, which determines what ALPN offers. `alpn` means that the endpoint chooses HTTP/2 or HTTP/1.1. */
  readonly protocol: "http1" | "http2" | "alpn" | "tcp";
  /** The client whose bytes the connection carries, if it belongs to one client only. */
  readonly downstream?: ConnectionInfo;
  /** The address from which the connection comes, if that is the address of its clients. */
  readonly source?: OriginalSource;
  /** Whether both ends may exchange metadata before the first byte, if ALPN agrees on it. */
  readonly exchangesPeers?: boolean;
}

const http2Names: ReadonlySet<string> = new Set(["h2", "istio-h2"]);

/** Whether a connection that was opened for this protocol carries HTTP/2. */
export function carriesHttp2({ alpnProtocol }: UpstreamStream, protocol: ConnectContext["protocol"]): boolean {
  return protocol === "http2" || (protocol === "alpn" && http2Names.has(alpnProtocol ?? ""));
}

/** Opens a connection to an endpoint. Rejects with an error whose message contains the reason. */
export interface EndpointConnector {
  connect(config: EndpointConfig, timeoutMs: number, context?: ConnectContext): Promise<UpstreamStream>;
}
