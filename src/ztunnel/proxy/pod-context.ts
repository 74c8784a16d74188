import { transientError, type Clock, type ConnectionLimit, type Logger, type Random } from "../../base/index.ts";
import type { CertificateSource, ConnectionTracker, HbonePool } from "../../dataplane/tunnels/index.ts";
import type { SocketAddress, TcpKeepalive } from "../../net/index.ts";
import type { DnsResolver } from "../dns/dns-resolver.ts";
import type { MeshState } from "../state/mesh-state.ts";
import type { Workload, WorkloadInfo } from "../state/model.ts";
import type { IdentityUsers } from "./identity-users.ts";
import type { ConnectionShare } from "./connection-share.ts";
import type { ConnectionTelemetry } from "./connection-record.ts";

/** One live connection, with the fields that the admin server, a drain and policy changes need. */
export interface LiveConnection {
  /** The pod as it is currently served. A pod that is removed and added again gets a new object. */
  readonly pod: PodContext;
  readonly direction: "outbound" | "inbound";
  readonly protocol: "HBONE" | "TCP";
  readonly source: SocketAddress;
  readonly destination: SocketAddress;
  readonly hboneTarget?: string;
  /** Whether policies still allow the connection. Only inbound connections have this function. */
  readonly stillAllowed?: () => boolean;
}

/** The parts of a ztunnel that all its pods share. */
export interface ProxyEnvironment {
  readonly state: MeshState;
  readonly certificates: CertificateSource;
  readonly identities: Pick<IdentityUsers, "use">;
  readonly telemetry: ConnectionTelemetry;
  readonly tracker: ConnectionTracker<LiveConnection>;
  /**
   * Limits the connections of each pod. Without the limit, one pod that opens many connections could use up the
   * process's descriptors and cut off the other pods.
   */
  readonly limit: ConnectionLimit;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** SO_MARK of the ztunnel's own packets, which the capture rules do not redirect. */
  readonly mark: number;
  readonly keepalive?: TcpKeepalive;
  readonly ports: ProxyPorts;
  readonly network: string;
  readonly dns: DnsResolver;
  /** Shares the connections with other threads. It is undefined if only one thread serves. */
  readonly share?: ConnectionShare;
}

export interface ProxyPorts {
  readonly outbound: number;
  readonly inboundPlaintext: number;
  readonly hbone: number;
  readonly dns: number;
}

export interface PodContext {
  readonly environment: ProxyEnvironment;
  readonly uid: string;
  readonly info: WorkloadInfo;
  /**
   * The descriptor of the pod's network namespace, or undefined for the ztunnel's own namespace. The getter throws once
   * the pod is closed, because the number may then refer to another pod's namespace.
   */
  get namespaceFd(): number | undefined;
  /**
   * Whether this is the ztunnel's own pod. There, no rule redirects responses to the ztunnel, so connections to the
   * application come from the pod's own address and not from the client's.
   */
  readonly itself: boolean;
  readonly pool: HbonePool;
}

export const connectTimeoutMs = 10_000;
/**
 * The time limit for a connection while another endpoint can be tried, in place of {@link connectTimeoutMs}. It is
 * short because the address of a pod that has ended sends no response at all. A ztunnel may learn late that a pod has
 * ended, for example while its istiod is replaced too.
 */
export const connectTimeoutWithOthersMs = 2_000;
/**
 * How long a new pod's connection waits until the control plane has sent the pod. A kubelet reports a pod's address
 * only after its containers have started, which takes 5 to 7 s when twenty pods start together on a busy node.
 */
const ownWorkloadTimeoutMs = 15_000;
export const policyTimeoutMs = 5_000;

interface OwnPod {
  readonly environment: Pick<ProxyEnvironment, "state" | "clock">;
  readonly info: WorkloadInfo;
}

/**
 * Returns the pod's own workload. If xDS has not sent it yet, returns a promise, which rejects after {@link
 * ownWorkloadTimeoutMs}.
 */
export function ownWorkload(pod: OwnPod): Workload | Promise<Workload> {
  return pod.environment.state.workloadByPod(pod.info) ?? awaitedWorkload(pod);
}

async function awaitedWorkload({ environment: { state, clock }, info }: OwnPod): Promise<Workload> {
  const workload = await state.waitForPod(info, ownWorkloadTimeoutMs, clock);
  if (workload !== undefined) return workload;
  throw transientError(
    "source-unknown",
    `failed to fetch information about local workload: ${info.serviceAccount}.${info.namespace} (${info.name})`,
  );
}

/**
 * Whether capture redirects connections to this port to the ztunnel, as in upstream. A connection to such a port would
 * come back to this ztunnel.
 */
export function isIllegalPort(ports: ProxyPorts, port: number): boolean {
  return port === ports.outbound || port === ports.inboundPlaintext || port === ports.hbone;
}

/**
 * Whether a client has reset its connection before the ztunnel accepted it. The kernel then no longer knows the
 * client's address, which policies need.
 */
export function hasLeft({ address }: SocketAddress): boolean {
  return address === "";
}

/** The reasons of refused connections, for access logs and errors. */
export const tooManyConnections = "the ztunnel is full, and no pod has more connections than this one";
export const notServed = "the pod is no longer served here";
export const selfCall = "attempted recursive call to ourselves";
