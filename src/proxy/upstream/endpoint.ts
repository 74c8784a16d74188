import type { ByteStream, TcpKeepalive } from "../../net/index.ts";
import type { ConnectionInfo } from "../connection-info.ts";
import type { UpstreamTlsSpec } from "../tls/tls-spec.ts";
import type { WorkloadLabels } from "./workload-labels.ts";

export { unknownWorkload, type WorkloadLabels } from "./workload-labels.ts";

/** How the bytes of an upstream connection travel. */
export type EndpointTransport =
  | { readonly kind: "plain" }
  | {
      readonly kind: "hbone";
      /** `ip:port` or `hostname:port` of the CONNECT. */
      readonly authority: string;
      /** The other end of the tunnel's TLS connection: the workload itself, or a waypoint. */
      readonly address: string;
      readonly port: number;
      readonly expectedIdentities: readonly string[];
      /** It leads to a gateway of another network, and through that another tunnel of the same authority to who serves it. */
      readonly within?: true;
    }
  | { readonly kind: "tls"; readonly tls: UpstreamTlsSpec }
  /** An internal listener of this proxy. */
  | { readonly kind: "internal"; readonly listener: string };

/** How connections to an endpoint are dialled. */
export interface SocketOptions {
  /** From this address. */
  readonly sourceAddress?: string;
  readonly keepalive?: TcpKeepalive;
}

/** Version of the PROXY protocol. */
export type ProxyHeaderVersion = "v1" | "v2";

export interface EndpointConfig extends SocketOptions {
  readonly address: string;
  readonly port: number;
  readonly transport: EndpointTransport;
  readonly weight: number;
  readonly priority: number;
  /** Its locality, and that locality's share of requests. Undefined if not set. */
  readonly locality?: { readonly name: string; readonly weight: number };
  readonly healthy: boolean;
  /** Connections begin with a PROXY header that names the client, so each client has connections of its own. */
  readonly proxyHeader?: ProxyHeaderVersion;
  /** TLS inside the tunnel. The application behind the endpoint ends it. */
  readonly innerTls?: UpstreamTlsSpec;
  readonly hostname: string | undefined;
  readonly workload: WorkloadLabels;
}

/** `ip:port` for logs. For a tunnel, the inner destination. */
export function endpointName(config: EndpointConfig): string {
  if (config.transport.kind === "hbone") return config.transport.authority;
  return config.address.includes(":") ? `[${config.address}]:${config.port}` : `${config.address}:${config.port}`;
}

/** Identifies the connection target. The pools of equal targets survive an update. */
export function endpointKey(config: EndpointConfig): string {
  return `${config.address} ${config.port} ${transportKey(config.transport)} ${config.sourceAddress ?? ""} ${config.proxyHeader ?? ""} ${config.innerTls?.key ?? ""}`;
}

function transportKey(transport: EndpointTransport): string {
  return transport.kind === "tls" ? `tls ${transport.tls.key}` : JSON.stringify(transport);
}

/** A connection to an endpoint. */
export interface UpstreamStream extends ByteStream {
  /** The carrier drains: the connection serves its open requests and is not kept for more. */
  readonly retiring?: boolean;
  /** The protocol that the endpoint chose from those that TLS offered. */
  readonly alpnProtocol?: string | undefined;
  /** The SPIFFE id that the endpoint proved. */
  readonly peerIdentity?: string;
}

export interface ConnectContext {
  /** The protocol to speak, which decides what TLS offers. `alpn`: either version of HTTP, as the endpoint chooses. */
  readonly protocol: "http1" | "http2" | "alpn" | "tcp";
  /** The client whose bytes it will carry, if it belongs to one client only. */
  readonly downstream?: ConnectionInfo;
  /** Both sides may say who they are before the first byte, if the endpoint agrees by ALPN. */
  readonly exchangesPeers?: boolean;
}

/** Opens a connection to an endpoint. Rejects with an error whose message has the reason. */
export interface EndpointConnector {
  connect(config: EndpointConfig, timeoutMs: number, context?: ConnectContext): Promise<UpstreamStream>;
}
