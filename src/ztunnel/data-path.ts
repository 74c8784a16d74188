import { ConnectionLimit, type Clock, type Logger, type LogLevel, type Random } from "../base/index.ts";
import { ConnectionTracker, type CertificateSource, type TrackedConnection } from "../dataplane/tunnels/index.ts";
import { addContainmentMetrics, renderPrometheus, type FamilyNames, type MetricsRegistry } from "../telemetry/index.ts";
import { formatAuthority } from "../wire/hbone/index.ts";
import type { ZtunnelConfig } from "./config.ts";
import { DnsMetrics } from "./dns/dns-metrics.ts";
import { DnsResolver } from "./dns/dns-resolver.ts";
import { accessLine2022 } from "./proxy/access-line-2022.ts";
import { ConnectionTelemetry } from "./proxy/connection-record.ts";
import type { ConnectionShare } from "./proxy/connection-share.ts";
import type { IdentityUsers } from "./proxy/identity-users.ts";
import type { LiveConnection, ProxyEnvironment } from "./proxy/pod-context.ts";
import { PodProxy } from "./proxy/pod-proxy.ts";
import { deniedConnections } from "./policy/authorize.ts";
import type { ConnectionEntry, PodEntry, Serving } from "./serving.ts";
import type { MeshChange, PolicyReach } from "./state/mesh-change.ts";
import { MeshState } from "./state/mesh-state.ts";
import { PodManager } from "./zds/pod-manager.ts";
import type { AddedPod, PodDescriptors } from "./proxy/served-pods.ts";

export interface DataPathOptions {
  readonly config: ZtunnelConfig;
  readonly certificates: CertificateSource;
  readonly identities: Pick<IdentityUsers, "use">;
  readonly registry: MetricsRegistry;
  readonly nameservers: readonly string[];
  readonly log: Logger;
  /** Logs each connection that ends. The default is `log`. */
  readonly connectionLog?: Logger;
  /** Logs how many connections are still open while the process drains. */
  readonly drainLog: Logger;
  /** Writes one access log line in the format of 2022 (SERIN_LOG_FORMAT). The line includes its newline. */
  readonly writeLine: (line: string) => void;
  readonly clock: Clock;
  readonly random: Random;
  /** Called when the number of live connections changes. */
  readonly onOpen?: (open: number) => void;
  /** Shares the connections with other threads. It is undefined if only one thread serves. */
  readonly share?: ConnectionShare;
}

/**
 * The maximum time in milliseconds from accepting a connection to tracking it. In this time, the connection waits for
 * its pod's certificate, its peer's handshake and its pod's policies. An untracked connection that is older no longer
 * keeps a draining process alive.
 */
const maxOpeningMs = 45_000;

/** Serves pods in this thread: their listeners, connections, policies and names. */
export class DataPath implements Serving {
  readonly state: MeshState;
  readonly #options: DataPathOptions;
  readonly #tracker: ConnectionTracker<LiveConnection>;
  readonly #pods: PodManager;

  constructor(options: DataPathOptions) {
    const { config, registry, log } = options;
    this.#options = options;
    this.state = new MeshState(config.clusterId);
    addContainmentMetrics(registry);
    const connections = registry.gauge("serin_ztunnel_connections", "Open connections.", ["state"]);
    const active = connections.labels("active");
    const draining = connections.labels("draining");
    this.#tracker = new ConnectionTracker({
      log: options.drainLog,
      onChange: (counts) => {
        active.set(counts.active);
        draining.set(counts.draining);
        options.onOpen?.(counts.active + counts.draining);
      },
    });
    const environment = this.#environment();
    this.#pods = new PodManager({
      create: (pod) => new PodProxy({ environment, ...pod }),
      log,
      terminationGraceMs: config.terminationGraceMs,
    });
    this.state.onPolicyChange((reach) => this.#enforcePolicies(reach));
  }

  get open(): number {
    return this.#tracker.size;
  }

  apply(change: MeshChange): void {
    this.state.apply(change);
  }

  /** Does nothing, because the log's own threshold sets the level. */
  setLogLevel(_level: LogLevel): void {}

  pod(uid: string): PodProxy | undefined {
    return this.#pods.get(uid);
  }

  descriptors(uid: string): PodDescriptors | undefined {
    return this.#pods.descriptors(uid);
  }

  uids(): readonly string[] {
    return this.#pods.uids();
  }

  async add(added: AddedPod): Promise<void> {
    await this.#pods.add(added);
  }

  remove(uid: string, handedOver: boolean): void {
    this.#pods.remove(uid, handedOver);
  }

  async closed(uid: string): Promise<void> {
    await this.#pods.closed(uid);
  }

  connections(): Promise<readonly ConnectionEntry[]> {
    return Promise.resolve(this.#tracker.list().map(entryOf));
  }

  pods(): Promise<readonly PodEntry[]> {
    const live = this.#tracker.list();
    return Promise.resolve(
      this.#pods.list().map((pod) => ({
        uid: pod.uid,
        info: pod.info,
        state: pod.state,
        connections: live.filter(({ details }) => pod.owns(details)).map(entryOf),
      })),
    );
  }

  metrics(names?: FamilyNames): Promise<string> {
    return Promise.resolve(renderPrometheus(this.#options.registry, names));
  }

  drain(): void {
    this.#pods.drainAll();
    this.#tracker.drainAll();
  }

  /** Also waits for accepted connections that are not tracked yet, for example during their handshake. */
  async idle(): Promise<void> {
    await this.#tracker.idle();
    const waiting = new AbortController();
    const limit = this.#options.clock.sleep(maxOpeningMs, waiting.signal).catch(() => undefined);
    await this.#pods.idle(limit);
    waiting.abort();
    await this.#tracker.idle();
  }

  abortAll(reason: Error): void {
    this.#tracker.abortAll(reason);
  }

  end(): Promise<void> {
    this.#pods.closeAll();
    return Promise.resolve();
  }

  #environment(): ProxyEnvironment {
    const { config, registry, certificates, identities, log, clock, random, share } = this.#options;
    return {
      state: this.state,
      certificates,
      identities,
      telemetry: this.#telemetry(),
      tracker: this.#tracker,
      limit: new ConnectionLimit(config.maxConnectionsPerThread),
      log,
      clock,
      random,
      mark: config.mark,
      ...(config.keepalive === undefined ? {} : { keepalive: config.keepalive }),
      ports: config.ports,
      network: config.network,
      dns: new DnsResolver({
        state: this.state,
        network: config.network,
        domain: config.clusterDomain,
        nameservers: this.#options.nameservers,
        log: log.scoped("dns"),
        random,
        metrics: new DnsMetrics(registry),
      }),
      ...(share === undefined ? {} : { share }),
    };
  }

  #telemetry(): ConnectionTelemetry {
    const { config, registry, log, connectionLog = log, clock, random, writeLine } = this.#options;
    if (config.logFormat === "current") return new ConnectionTelemetry(registry, connectionLog, clock);
    return new ConnectionTelemetry(registry, connectionLog, clock, (ended) => writeLine(accessLine2022(ended, random)));
  }

  #enforcePolicies(reach: PolicyReach): void {
    const denied = deniedConnections(this.state, reach, this.#pods.list(), () => this.#tracker.list());
    for (const { abort } of denied) abort(new Error("connection closed due to policy change"));
  }
}

function entryOf({ id, openedAtMs, draining, details }: TrackedConnection<LiveConnection>): ConnectionEntry {
  const { pod, direction, protocol, source, destination, hboneTarget } = details;
  return {
    id,
    openedAtMs,
    draining,
    pod: pod.uid,
    direction,
    protocol,
    source: formatAuthority(source.address, source.port),
    destination: formatAuthority(destination.address, destination.port),
    ...(hboneTarget === undefined ? {} : { hboneTarget }),
  };
}
