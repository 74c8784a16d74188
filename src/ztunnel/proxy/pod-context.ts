import type { Clock, Logger, Random } from "../../base/index.ts";
import type { CertificateManager, ConnectionTracker, HbonePool } from "../../dataplane/index.ts";
import type { SocketAddress } from "../../net/index.ts";
import { transientError } from "../../base/index.ts";
import type { DnsResolver } from "../dns/dns-resolver.ts";
import type { MeshState } from "../state/mesh-state.ts";
import type { Workload, WorkloadInfo } from "../state/model.ts";
import type { IdentityUsers } from "./identity-users.ts";
import type { ConnectionTelemetry } from "./connection-record.ts";

/** What the admin server says of a live connection, and what drain and policy changes need. */
export interface LiveConnection {
  /** The pod as it is served now; the same pod may come back later as another. */
  readonly pod: PodContext;
  readonly direction: "outbound" | "inbound";
  readonly protocol: "HBONE" | "TCP";
  readonly source: SocketAddress;
  readonly destination: SocketAddress;
  readonly hboneTarget?: string;
  /** False once policies no longer allow it; inbound only. */
  readonly stillAllowed?: () => boolean;
}

/** What all pods of a ztunnel share. */
export interface ProxyEnvironment {
  readonly state: MeshState;
  readonly certificates: CertificateManager;
  readonly identities: IdentityUsers;
  readonly telemetry: ConnectionTelemetry;
  readonly tracker: ConnectionTracker<LiveConnection>;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** SO_MARK of what we send: capture leaves it alone. */
  readonly mark: number;
  readonly ports: ProxyPorts;
  /** Our own network, for looking peers up. */
  readonly network: string;
  readonly dns: DnsResolver;
}

export interface ProxyPorts {
  readonly outbound: number;
  readonly inboundPlaintext: number;
  readonly hbone: number;
  readonly dns: number;
}

/** One pod that we serve. */
export interface PodContext {
  readonly environment: ProxyEnvironment;
  readonly uid: string;
  readonly info: WorkloadInfo;
  /** The pod's network namespace; undefined for our own. */
  readonly namespaceFd: number | undefined;
  readonly pool: HbonePool;
}

export const connectTimeoutMs = 10_000;
/** How long a connection waits for what xDS and the CA have still to bring. */
const ownWorkloadTimeoutMs = 5_000;
export const policyTimeoutMs = 5_000;

/** The workload of the pod itself. */
export async function ownWorkload(pod: PodContext): Promise<Workload> {
  const { state, clock } = pod.environment;
  const { info } = pod;
  const workload = await state.waitForPod(info, ownWorkloadTimeoutMs, clock);
  if (workload !== undefined) return workload;
  throw transientError(
    "unknown-source",
    `failed to fetch information about local workload: ${info.serviceAccount}.${info.namespace} (${info.name})`,
  );
}

/** Ports of ours, which nobody may be sent to. */
export function isIllegalPort(ports: ProxyPorts, port: number): boolean {
  return (
    port === ports.outbound ||
    port === ports.inboundPlaintext ||
    port === ports.hbone ||
    (port >= 15_000 && port <= 15_001) ||
    (port >= 15_020 && port <= 15_021)
  );
}

export const selfCall = "attempted recursive call to ourselves";
