import { transientError, type Clock, type ConnectionLimit, type Logger, type Random } from "../../base/index.ts";
import type { CertificateSource, ConnectionTracker, HbonePool } from "../../dataplane/tunnels/index.ts";
import type { SocketAddress, TcpKeepalive } from "../../net/index.ts";
import type { DnsResolver } from "../dns/dns-resolver.ts";
import type { MeshState } from "../state/mesh-state.ts";
import type { Workload, WorkloadInfo } from "../state/model.ts";
import type { IdentityUsers } from "./identity-users.ts";
import type { ConnectionShare } from "./connection-share.ts";
import type { ConnectionTelemetry } from "./connection-record.ts";

/** One live connection, as the admin server shows it and as drain and policy changes need it. */
export interface LiveConnection {
  /** The pod as it is currently served. A pod that is removed and added again gets a new object. */
  readonly pod: PodContext;
  readonly direction: "outbound" | "inbound";
  readonly protocol: "HBONE" | "TCP";
  readonly source: SocketAddress;
  readonly destination: SocketAddress;
  readonly hboneTarget?: string;
  /** Whether policies still allow the connection. Only inbound connections have it. */
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
   * Limits the connections of each pod, by its uid. Without it, one pod that opens many connections could use up the
   * process's descriptors and cut off the others.
   */
  readonly limit: ConnectionLimit;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** SO_MARK of our packets, which capture does not redirect. */
  readonly mark: number;
  readonly keepalive?: TcpKeepalive;
  readonly ports: ProxyPorts;
  /** The network of this ztunnel, for looking up peers. */
  readonly network: string;
  readonly dns: DnsResolver;
  /** Shares the connections with other threads. Undefined if one thread serves. */
  readonly share?: ConnectionShare;
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
  /**
   * The descriptor of the pod's network namespace. Undefined for our own. Reading it throws once the pod is closed,
   * because the number may then refer to another pod's namespace.
   */
  get namespaceFd(): number | undefined;
  /**
   * Whether it is the ztunnel's own pod. No rule redirects responses there, so its connections use the pod's own
   * address.
   */
  readonly itself: boolean;
  readonly pool: HbonePool;
}

export const connectTimeoutMs = 10_000;
/**
 * The time limit for a connection while another endpoint can be tried, in place of {@link connectTimeoutMs}. It is
 * short: the address of a pod that has ended sends no response at all, and a ztunnel may learn of the end late, for
 * example while its istiod is replaced too.
 */
export const connectTimeoutWithOthersMs = 2_000;
/**
 * How long a new pod's connection waits until the control plane has sent the pod. A kubelet reports a pod's address
 * only after its containers have started, which takes 5 to 7 s when twenty pods start together on a busy node.
 */
const ownWorkloadTimeoutMs = 15_000;
/** How long a connection waits for the policies of a workload. */
export const policyTimeoutMs = 5_000;

interface OwnPod {
  readonly environment: Pick<ProxyEnvironment, "state" | "clock">;
  readonly info: WorkloadInfo;
}

/** The workload of the pod itself. Waits for it only if it is not known yet. */
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
 * Whether connections to pods at this port are redirected to the ztunnel, as in upstream. A connection to such a port
 * would come back to this ztunnel.
 */
export function isIllegalPort(ports: ProxyPorts, port: number): boolean {
  return port === ports.outbound || port === ports.inboundPlaintext || port === ports.hbone;
}

/**
 * Whether a client has reset its connection before it was accepted. The kernel then no longer knows its address, which
 * policies need.
 */
export function hasLeft({ address }: SocketAddress): boolean {
  return address === "";
}

/** The reasons of refused connections, for access logs and errors. */
export const tooManyConnections = "the ztunnel is full, and no pod has more connections than this one";
export const notServed = "the pod is no longer served here";
export const selfCall = "attempted recursive call to ourselves";
