import type { ByteStream } from "../../net/index.ts";

/** How the bytes of an upstream connection travel. */
export type EndpointTransport =
  | { readonly kind: "plain" }
  | {
      readonly kind: "hbone";
      /** `ip:port` or `hostname:port` of the CONNECT. */
      readonly authority: string;
      /** Where the tunnel's TLS connection goes: the workload itself, or a waypoint. */
      readonly address: string;
      readonly port: number;
      readonly expectedIdentities: readonly string[];
    }
  | {
      readonly kind: "tls";
      readonly serverName: string | undefined;
      readonly expectedIdentities: readonly string[];
      readonly alpnProtocols: readonly string[];
      /** Our workload certificate is presented, and the peer is verified against the mesh's roots. */
      readonly mutual: boolean;
    };

/** Who is behind an endpoint, for metrics: from `istio.workload` of its metadata. */
export interface WorkloadLabels {
  readonly workload: string;
  readonly namespace: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly cluster: string;
}

export const unknownWorkload: WorkloadLabels = {
  workload: "unknown",
  namespace: "unknown",
  canonicalName: "unknown",
  canonicalRevision: "latest",
  cluster: "unknown",
};

export interface EndpointConfig {
  readonly address: string;
  readonly port: number;
  readonly transport: EndpointTransport;
  readonly weight: number;
  readonly priority: number;
  readonly healthy: boolean;
  readonly hostname: string | undefined;
  readonly workload: WorkloadLabels;
}

/** `ip:port`, as logs show it; for a tunnel, the inner destination. */
export function endpointName(config: EndpointConfig): string {
  if (config.transport.kind === "hbone") return config.transport.authority;
  return config.address.includes(":") ? `[${config.address}]:${config.port}` : `${config.address}:${config.port}`;
}

/** What makes two endpoints the same connection target: their pools survive an update. */
export function endpointKey(config: EndpointConfig): string {
  return `${config.address} ${config.port} ${JSON.stringify(config.transport)}`;
}

/** A connection to an endpoint. */
export interface UpstreamStream extends ByteStream {
  /** What carries it drains: it serves what is under way, and is not kept for more. */
  readonly retiring?: boolean;
}

/** Opens a connection to an endpoint; rejects with an error whose message says why. */
export interface EndpointConnector {
  connect(config: EndpointConfig, timeoutMs: number): Promise<UpstreamStream>;
}
