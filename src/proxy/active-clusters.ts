import { isDeepStrictEqual } from "node:util";
import type { Clock, Logger } from "../base/index.ts";
import type { ClusterLoadAssignment } from "../wire/envoy/index.ts";
import { localClusterName } from "../wire/xds/index.ts";
import type { ClusterSpec } from "./config/clusters/cluster-config.ts";
import type { ConfigNotes } from "./config/config-check.ts";
import { compileEndpoints, resolvedEndpoints } from "./config/clusters/endpoint-config.ts";
import { localClusterSpec, localZones, type OwnPlace } from "./config/clusters/local-cluster.ts";
import type { CallCluster } from "./terms/call-cluster.ts";
import type { TlsSpec } from "./tls/tls-spec.ts";
import type { ReachableClusters } from "./reachable-clusters.ts";
import { noCluster } from "./upstream/cluster-call.ts";
import { Cluster, type ClusterRuntime } from "./upstream/cluster.ts";
import { DnsRefresher, type ResolveName } from "./upstream/dns-refresher.ts";
import type { EndpointConfig } from "./upstream/endpoint.ts";
import { ForwardNames } from "./upstream/forward-names.ts";
import type { LocalZones } from "./upstream/zone-aware.ts";

export interface ActiveCluster {
  readonly spec: ClusterSpec;
  readonly cluster: Cluster;
  readonly dns: DnsRefresher | undefined;
}

interface LeavingCluster extends ActiveCluster {
  /** When the cluster was removed, on the steady clock. */
  readonly sinceMs: number;
}

/**
 * How long a removed cluster stays while routes or listeners still name it. New versions of them, which no longer name
 * the cluster, may still wait for other resources.
 */
const namedLimitMs = 15_000;

export interface ActiveClustersOptions {
  readonly runtime: ClusterRuntime;
  readonly resolve: ResolveName;
  /** Set if the proxy requests the endpoints of its own workload, to route requests by zone. */
  readonly ownPlace?: OwnPlace | undefined;
  /** The endpoints that endpoint discovery has delivered under this name. */
  readonly assignmentOf: (serviceName: string) => ClusterLoadAssignment | undefined;
  readonly onAddresses: () => void;
  /** Reports a configured setting that has no effect. */
  readonly tell: (note: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class ActiveClusters {
  readonly #options: ActiveClustersOptions;
  readonly #runtime: ClusterRuntime;
  readonly #clusters = new Map<string, ActiveCluster>();
  /**
   * Removed clusters that are still in use: by routes or listeners in force, or by connections of removed listeners or
   * filter chains. Their endpoints no longer change.
   */
  readonly #leaving = new Map<string, LeavingCluster>();
  #localZones: LocalZones | undefined;

  constructor(options: ActiveClustersOptions) {
    this.#options = options;
    this.#runtime =
      options.ownPlace === undefined ? options.runtime : { ...options.runtime, localZones: () => this.#localZones };
  }

  /** Adds the cluster with the endpoints of the proxy's own workload, if the proxy requests them. */
  addLocal(notes: ConfigNotes): void {
    if (this.#options.ownPlace === undefined) return;
    const spec = localClusterSpec(notes);
    this.#clusters.set(localClusterName, { spec, cluster: new Cluster(spec.config, this.#runtime), dns: undefined });
  }

  /** Whether the cluster is static. As in Envoy, the control plane can neither change nor remove it. */
  isStatic(name: string): boolean {
    return name === localClusterName && this.#options.ownPlace !== undefined;
  }

  get(name: string): Cluster | undefined {
    return (this.#clusters.get(name) ?? this.#leaving.get(name))?.cluster;
  }

  current(): ActiveCluster[] {
    return [...this.#clusters.values()];
  }

  all(): ActiveCluster[] {
    return [...this.#clusters.values(), ...this.#leaving.values()];
  }

  tlsSpecs(): TlsSpec[] {
    return this.all().flatMap(({ spec }) => spec.transports.tls());
  }

  /** The names under which the clusters in force request endpoints. */
  serviceNames(): Set<string> {
    const names = new Set<string>();
    for (const { spec } of this.#clusters.values())
      if (spec.discovery.kind === "eds") names.add(spec.discovery.serviceName);
    return names;
  }

  /** Whether a cluster in force waits for its first endpoints. False for an unknown cluster. */
  awaitsEndpoints(name: string): boolean {
    return this.#clusters.get(name)?.cluster.hasEndpoints === false;
  }

  replace(name: string, spec: ClusterSpec): void {
    const cluster = new Cluster(spec.config, this.#runtimeOf(spec));
    const endpoints = this.#firstEndpoints(name, spec);
    if (endpoints !== undefined) cluster.setEndpoints(endpoints);
    const dns = this.#followNames(name, spec, cluster);
    const previous = this.get(name);
    if (previous !== undefined) cluster.countOnFrom(previous);
    this.#drop(name);
    this.#clusters.set(name, { spec, cluster, dns });
  }

  #runtimeOf({ discovery }: ClusterSpec): ClusterRuntime {
    const { resolve, clock } = this.#options;
    if (discovery.kind !== "forward") return this.#runtime;
    return { ...this.#runtime, names: new ForwardNames(discovery.rules, resolve, clock) };
  }

  /** The endpoints of a new cluster. Undefined if endpoint discovery or DNS will deliver the first ones. */
  #firstEndpoints(
    name: string,
    { discovery, transports, unusable }: ClusterSpec,
  ): readonly EndpointConfig[] | undefined {
    const { assignmentOf, tell } = this.#options;
    if (unusable !== undefined) return [];
    switch (discovery.kind) {
      case "eds": {
        const assignment = assignmentOf(discovery.serviceName);
        if (assignment === undefined) return undefined;
        return compileEndpoints(assignment, transports, `cluster ${name}`, tell, "discovered");
      }
      case "static":
        return compileEndpoints(discovery.endpoints, transports, `cluster ${name}`, tell);
      case "dns":
        return undefined;
      default:
        return [];
    }
  }

  /** Resolves the cluster's DNS names from now on and applies changes of their addresses, if it has such names. */
  #followNames(
    name: string,
    { discovery, transports, unusable }: ClusterSpec,
    cluster: Cluster,
  ): DnsRefresher | undefined {
    if (discovery.kind !== "dns" || unusable !== undefined) return undefined;
    const { log, onAddresses, resolve, clock } = this.#options;
    const known = this.#clusters.get(name)?.dns?.addresses;
    const dns = new DnsRefresher({
      names: discovery.hosts.map((host) => host.name),
      refreshMs: discovery.refreshMs,
      respectsTtl: discovery.respectsTtl,
      family: discovery.family,
      // Start with the addresses that the cluster has now. Otherwise any change of the cluster would make requests fail
      // until DNS has answered again.
      ...(known === undefined ? {} : { known }),
      resolve,
      clock,
      log,
      onChange: (addresses) => {
        cluster.setEndpoints(resolvedEndpoints(discovery.hosts, addresses, transports, discovery.oneForEachName));
        onAddresses();
      },
    });
    dns.start();
    return dns;
  }

  #drop(name: string): void {
    for (const clusters of [this.#clusters, this.#leaving]) {
      const known = clusters.get(name);
      if (known !== undefined) end(known);
      clusters.delete(name);
    }
  }

  /** Removes a cluster, and keeps it until {@link endLeaving}. */
  retire(name: string): void {
    const known = this.#clusters.get(name);
    if (known === undefined) return;
    this.#clusters.delete(name);
    this.#leaving.set(name, { ...known, sinceMs: this.#options.clock.steadyMs() });
  }

  get hasLeaving(): boolean {
    return this.#leaving.size > 0;
  }

  /**
   * Forgets removed clusters that nothing needs any more. A cluster that routes or listeners in force still name stays
   * for {@link namedLimitMs}.
   */
  endLeaving(reachable: ReachableClusters): void {
    const nowMs = this.#options.clock.steadyMs();
    for (const [name, active] of this.#leaving) {
      if (reachable.has(name) && nowMs - active.sinceMs < namedLimitMs) continue;
      end(active);
      this.#leaving.delete(name);
    }
  }

  /**
   * Limits the clusters that filters compiled from now on may call. Such a filter cannot call a cluster that is already
   * removed, although connections of removed listeners or chains may still use that cluster.
   */
  callerOfNow(callCluster: CallCluster): CallCluster {
    if (this.#leaving.size === 0) return callCluster;
    const gone = new WeakSet<ActiveCluster>(this.#leaving.values());
    return async (request, signal) => {
      const leaving = this.#clusters.has(request.cluster) ? undefined : this.#leaving.get(request.cluster);
      if (leaving !== undefined && gone.has(leaving)) throw noCluster(request.cluster);
      return await callCluster(request, signal);
    };
  }

  /** Sets the endpoints of the clusters that request them under this name. Undefined means no endpoints. */
  assign(serviceName: string, assignment: ClusterLoadAssignment | undefined): void {
    for (const { spec, cluster } of this.#clusters.values()) {
      if (spec.discovery.kind !== "eds" || spec.discovery.serviceName !== serviceName || spec.unusable !== undefined)
        continue;
      const where = `endpoints of ${cluster.name}`;
      const endpoints = compileEndpoints(assignment, spec.transports, where, this.#options.tell, "discovered");
      cluster.discoverEndpoints(endpoints);
      if (this.isStatic(cluster.name)) this.#followZones(endpoints);
    }
  }

  #followZones(local: readonly EndpointConfig[]): void {
    const { ownPlace } = this.#options;
    const zones = ownPlace === undefined ? undefined : localZones(local, ownPlace);
    if (isDeepStrictEqual(zones, this.#localZones)) return;
    this.#localZones = zones;
    for (const { cluster } of this.all()) cluster.followZones();
  }

  close(): void {
    for (const active of this.all()) end(active);
  }
}

function end({ dns, cluster }: ActiveCluster): void {
  dns?.stop();
  cluster.drain();
}
