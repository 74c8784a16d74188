import type { TcpSpec } from "../tcp/tcp-spec.ts";
import type { TlsSpec } from "../tls/tls-spec.ts";

/** TCP to one cluster, without limits, logs and tunnels. */
export function plainTcpSpec(cluster: string): TcpSpec {
  return {
    statPrefix: cluster,
    clusters: [{ cluster, weight: 1 }],
    totalWeight: 1,
    idleTimeoutMs: 0,
    maxDurationMs: 0,
    connectAttempts: 1,
    hashesSource: false,
    accessLogs: [],
    stats: undefined,
    peerLabelNames: [],
    tunnel: undefined,
  };
}

/** TLS settings that name no certificate of our own, and do not verify the peer's. */
export const plainTlsSpec: TlsSpec = {
  key: "",
  certificates: [],
  roots: undefined,
  revocations: undefined,
  subjectAltNames: [],
  publicKeyHashes: [],
  certificateHashes: [],
  alpnProtocols: [],
  minVersion: undefined,
  maxVersion: undefined,
  ciphers: [],
  curves: [],
};

/** The settings of a cluster that allows this number of connections and of waiting requests. */
export function roomFor(connections: number, pending: number) {
  return {
    maxConnections: connections,
    maxPendingRequests: pending,
    limits: {
      connectTimeoutMs: 2000,
      maxConnections: connections,
      maxPendingRequests: pending,
      maxRequestsPerConnection: 0,
      idleTimeoutMs: 60_000,
    },
  };
}
