import { equals, fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { containing, messageOf, userError, type Clock, type Logger } from "../base/index.ts";
import type { XdsClient, XdsSubscription, XdsUpdate } from "../dataplane/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  ListenerSchema,
  RouteConfigurationSchema,
  TypedExtensionConfigSchema,
  type TypedExtensionConfig,
} from "../wire/envoy/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { ActiveClusters } from "./active-clusters.ts";
import { compileCluster } from "./config/clusters/cluster-config.ts";
import { ConfigNotes } from "./config/config-check.ts";
import type { OwnPlace } from "./config/clusters/local-cluster.ts";
import { compileListener } from "./config/listeners/listener-config.ts";
import { compileRouteTable } from "./config/routing/route-config.ts";
import { checkExtensionConfig } from "./config/filters/http-filter-config.ts";
import { standaloneServices, type FilterServices } from "./filters/filter-services.ts";
import { firstFetchLimitMs, type ListenerSet } from "./listener-set.ts";
import { reachableClusters } from "./reachable-clusters.ts";
import { RouteTables } from "./route-tables.ts";
import type { RouteTable } from "./routing/route-table.ts";
import { SecretStore } from "./tls/secret-store.ts";
import type { ServiceSecret } from "./tls/tls-spec.ts";
import type { TlsContexts } from "./tls/tls-contexts.ts";
import { VirtualHosts } from "./virtual-hosts.ts";
import type { Cluster, ClusterRuntime } from "./upstream/cluster.ts";
import type { ResolveName } from "./upstream/dns-refresher.ts";

export interface AppliedConfigOptions {
  readonly runtime: ClusterRuntime;
  readonly resolve: ResolveName;
  readonly secrets?: SecretStore;
  readonly contexts?: Pick<TlsContexts, "awaited">;
  /** Requests exactly these secrets from SDS providers, and drops all others. */
  readonly followSecrets?: (wanted: ReadonlyMap<string, ServiceSecret>) => void;
  readonly services?: FilterServices;
  /**
   * Whether other threads receive the same resources over the same stream. Then the control plane continues to send a
   * resource that only another thread names, and does not send it again when this thread names it again. So this thread
   * must keep it.
   */
  readonly sharesResources?: boolean;
  /** Set if the proxy requests the endpoints of its own workload, to route requests by zone. */
  readonly ownPlace?: OwnPlace | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface AppliedResource<Schema extends DescMessage> {
  readonly version: string;
  readonly updatedMs: number;
  /** The received bytes. The decoded message would take ten times the memory, and few readers need it. */
  readonly body: Uint8Array;
  readonly message: () => MessageShape<Schema>;
}

interface UpdateCounts {
  accepted: number;
  rejected: number;
}

/**
 * The maximum number of filter configurations that are kept. Above it, those that no listener of this thread names are
 * dropped.
 */
const maxKeptExtensions = 1000;

/**
 * The configuration from the control plane that is in force. An update is applied resource by resource, so that valid
 * resources take effect even if others are invalid. The thrown error names the invalid ones and becomes the NACK. Their
 * previous versions stay in force.
 */
export class AppliedConfig {
  readonly #options: AppliedConfigOptions;
  readonly #notes: ConfigNotes;
  readonly #activeClusters: ActiveClusters;
  readonly #tables: RouteTables;
  /** Names of route tables that listeners no longer use, and that are not yet forgotten. */
  #unrequested = new Set<string>();
  // The resources as the control plane sent them, by type and name.
  readonly listeners = new Map<string, AppliedResource<typeof ListenerSchema>>();
  readonly clusters = new Map<string, AppliedResource<typeof ClusterSchema>>();
  readonly endpoints = new Map<string, AppliedResource<typeof ClusterLoadAssignmentSchema>>();
  readonly routes = new Map<string, AppliedResource<typeof RouteConfigurationSchema>>();
  readonly extensions = new Map<string, AppliedResource<typeof TypedExtensionConfigSchema>>();
  /** Names of filter configurations whose latest version cannot be served. */
  readonly #refusedExtensions = new Set<string>();
  readonly #virtualHosts: VirtualHosts;
  readonly #received = new Set<string>();
  #firstClustersMs: number | undefined;
  #namedSecrets: ReadonlySet<string> = new Set();
  #client: Pick<XdsClient, "setNames"> | undefined;
  #listenerSet: ListenerSet | undefined;
  readonly #updates = new Map<string, UpdateCounts>();

  constructor(options: AppliedConfigOptions) {
    this.#options = options;
    const services = options.services ?? standaloneServices();
    const { clock, log } = options;
    const clusters = new ActiveClusters({
      ...options,
      assignmentOf: (serviceName) => this.endpoints.get(serviceName)?.message(),
      onAddresses: () => this.#tables.finishWarming(),
      tell: (note) => this.#notes.tell(note),
    });
    this.#activeClusters = clusters;
    this.#tables = new RouteTables({ awaitsEndpoints: (name) => clusters.awaitsEndpoints(name), clock, log });
    this.#notes = new ConfigNotes((note) => log.warn(note), {
      ...services,
      get callCluster() {
        return clusters.callerOfNow(services.callCluster);
      },
      extensionConfig: (name) => this.extensions.get(name)?.message().typedConfig,
    });
    this.#virtualHosts = new VirtualHosts(this.#notes);
    clusters.addLocal(this.#notes);
  }

  /**
   * Connects the configuration with the listeners and the client. This happens after both exist, because listeners
   * request routes from the configuration, and the configuration starts listeners.
   */
  attach(listenerSet: ListenerSet, client?: Pick<XdsClient, "setNames">): void {
    this.#listenerSet = listenerSet;
    if (client !== undefined) this.#client = client;
  }

  cluster(name: string): Cluster | undefined {
    return this.#activeClusters.get(name);
  }

  allClusters(): Cluster[] {
    return this.#activeClusters.all().map(({ cluster }) => cluster);
  }

  routeTable(name: string): RouteTable | undefined {
    return this.#tables.get(name);
  }

  updatesOf(typeUrl: string): Readonly<UpdateCounts> {
    return this.#updates.get(typeUrl) ?? { accepted: 0, rejected: 0 };
  }

  /** Names what is still missing before the proxy can serve. */
  pending(): string[] {
    const listeners = this.#received.has(typeUrls.listener) ? [] : ["listeners"];
    return [...this.startNeeds(), ...listeners, ...(this.#listenerSet?.pending() ?? [])];
  }

  /** The clusters, endpoints and secrets without which the first requests would wait. */
  startNeeds(): string[] {
    if (this.#firstClustersMs === undefined) return ["clusters"];
    const wanted = this.#activeClusters.current();
    // A control plane that does not know this cluster, which the proxy itself adds, may never send its endpoints. The
    // time limit below ends the wait.
    const wantsEndpoints = wanted.some(
      ({ spec, cluster }) => spec.discovery.kind === "eds" && !this.#activeClusters.isStatic(cluster.name),
    );
    if (wantsEndpoints && !this.#received.has(typeUrls.endpoint)) return ["endpoints"];
    if (this.#options.clock.steadyMs() - this.#firstClustersMs >= firstFetchLimitMs) return [];
    const endpoints = wanted.flatMap(({ spec, cluster }) =>
      spec.discovery.kind === "eds" && !cluster.hasEndpoints ? `endpoints of ${cluster.name}` : [],
    );
    const { contexts } = this.#options;
    const secrets = wanted.flatMap(({ spec }) =>
      contexts === undefined ? [] : spec.transports.tls().flatMap((tls) => contexts.awaited(tls)),
    );
    return [...endpoints, ...new Set(secrets.map((name) => `secret ${name}`))];
  }

  /** The order in which a client should subscribe: a resource comes before those that refer to it. */
  subscriptions(): XdsSubscription[] {
    return [
      {
        typeUrl: typeUrls.cluster,
        mode: "wildcard",
        apply: (update) => this.#take(update, () => this.#applyClusters(update)),
      },
      {
        typeUrl: typeUrls.endpoint,
        mode: "named",
        apply: (update) => this.#take(update, () => this.#applyEndpoints(update)),
      },
      { typeUrl: typeUrls.listener, mode: "wildcard", apply: async (update) => await this.#takeListeners(update) },
      {
        typeUrl: typeUrls.route,
        mode: "named",
        apply: (update) => this.#take(update, () => this.#applyRoutes(update)),
      },
      // Subscribe only when a route configuration announces virtual host discovery, because upstream's control plane
      // does not support it.
      {
        typeUrl: typeUrls.virtualHost,
        mode: "named",
        apply: (update) => this.#take(update, () => this.#applyVirtualHosts(update)),
      },
      // Request only the extension configurations that listeners name.
      {
        typeUrl: typeUrls.extensionConfig,
        mode: "named",
        apply: (update) => this.#take(update, () => this.#applyExtensions(update)),
      },
      ...(this.#options.secrets === undefined ? [] : [this.#options.secrets.subscription()]),
    ];
  }

  /** Sweeps the clusters, and forgets what the configuration no longer uses. Must be called once a second. */
  sweep(nowMs: number): void {
    for (const cluster of this.allClusters()) containing(() => cluster.sweep(nowMs));
    this.#forgetTables();
    this.#forgetClusters();
    this.#options.secrets?.forgetUnnamed(this.#namedSecrets);
  }

  /** Closes connections without a request, because a server that shuts down waits for them. */
  closeUnused(): void {
    for (const cluster of this.allClusters())
      for (const endpoint of cluster.endpoints()) for (const pool of endpoint.pools()) pool.closeUnused();
  }

  close(): void {
    this.#tables.close();
    this.#activeClusters.close();
  }

  #take(update: XdsUpdate, apply: () => string[]): void {
    this.#judge(update, apply());
  }

  /**
   * Applies listeners, then waits until their sockets are open or have failed. A socket that cannot be opened is
   * reported as a fault of its listener.
   */
  async #takeListeners(update: XdsUpdate): Promise<void> {
    const binding: Promise<void>[] = [];
    const troubles = this.#applyListeners(update, binding);
    this.#listenerSet?.proceed();
    for (const outcome of await Promise.allSettled(binding))
      if (outcome.status === "rejected") troubles.push(messageOf(outcome.reason));
    this.#judge(update, troubles);
  }

  #judge(update: XdsUpdate, troubles: readonly string[]): void {
    this.#received.add(update.typeUrl);
    if (update.typeUrl === typeUrls.cluster) this.#firstClustersMs ??= this.#options.clock.steadyMs();
    this.#askForSecrets();
    this.#listenerSet?.proceed();
    const counts = this.#updates.get(update.typeUrl) ?? { accepted: 0, rejected: 0 };
    this.#updates.set(update.typeUrl, counts);
    if (troubles.length === 0) {
      counts.accepted += 1;
      return;
    }
    counts.rejected += 1;
    throw userError("config-rejected", troubles.join("; "));
  }

  /** Applies the resources one by one. Returns the faults of those that could not be applied. */
  #each<Schema extends DescMessage>(
    update: XdsUpdate,
    schema: Schema,
    applied: Map<string, AppliedResource<Schema>>,
    use: (message: MessageShape<Schema>, name: string) => void,
    refused?: (name: string) => void,
  ): string[] {
    const troubles: string[] = [];
    for (const resource of update.resources) {
      this.#options.services?.buckets?.begin(`${update.typeUrl} ${resource.name}`);
      try {
        const before = applied.get(resource.name);
        // Copies the bytes, because a slice would keep the whole response in memory.
        const body = new Uint8Array(resource.body);
        if (before === undefined || !isSame(schema, before, body)) use(fromBinary(schema, body), resource.name);
        applied.set(resource.name, {
          version: resource.version,
          updatedMs: this.#options.clock.nowMs(),
          body,
          message: () => fromBinary(schema, body),
        });
      } catch (error) {
        troubles.push(messageOf(error));
        refused?.(resource.name);
      }
    }
    return troubles;
  }

  #applyClusters({ resources, removed, ...rest }: XdsUpdate): string[] {
    const update = {
      ...rest,
      resources: resources.filter(({ name }) => !this.#activeClusters.isStatic(name)),
      removed: removed.filter((name) => !this.#activeClusters.isStatic(name)),
    };
    const troubles = this.#each(update, ClusterSchema, this.clusters, (message, name) => {
      const spec = compileCluster(message, this.#notes);
      if (spec.unusable !== undefined && spec.discovery.kind !== "original-destination")
        this.#notes.tell(`requests to cluster ${name} would fail: ${spec.unusable}`);
      this.#activeClusters.replace(name, spec);
    });
    for (const name of update.removed) {
      this.clusters.delete(name);
      this.#activeClusters.retire(name);
    }
    this.#forgetClusters();
    const names = this.#activeClusters.serviceNames();
    for (const name of this.endpoints.keys()) if (!names.has(name)) this.endpoints.delete(name);
    this.#client?.setNames(typeUrls.endpoint, names);
    // Let route tables stop waiting for clusters or endpoints that no longer exist.
    this.#tables.finishWarming();
    return troubles;
  }

  /**
   * Forgets removed clusters that nothing needs. Two things may still need a removed cluster: a connection of a
   * listener or chain that was removed with it, and a route or listener whose new version waits or has not arrived.
   * After a reconnect, clusters arrive first.
   */
  #forgetClusters(): void {
    if (this.#activeClusters.hasLeaving && this.#listenerSet?.needsRemoved !== true)
      this.#activeClusters.endLeaving(reachableClusters(this.#tables.all(), this.#listenerSet?.servingChains ?? []));
  }

  #applyEndpoints(update: XdsUpdate): string[] {
    const troubles = this.#each(update, ClusterLoadAssignmentSchema, this.endpoints, (message, name) =>
      this.#activeClusters.assign(name, message),
    );
    // As in Envoy, a removal only ends the wait for the first endpoints. The cluster keeps its endpoints, because the
    // control plane removes endpoints before the clusters and routes that still refer to them. A service without
    // endpoints has an empty assignment instead.
    for (const name of update.removed) if (!this.endpoints.has(name)) this.#activeClusters.assign(name, undefined);
    this.#tables.finishWarming();
    return troubles;
  }

  /**
   * The proxy's own certificate comes from the CA. Other certificates that listeners and clusters name come from the
   * control plane, or from a provider that they name.
   */
  #askForSecrets(): void {
    if (this.#options.secrets === undefined) return;
    const specs = [...(this.#listenerSet?.tlsSpecs() ?? []), ...this.#activeClusters.tlsSpecs()];
    this.#namedSecrets = SecretStore.remoteNames(specs);
    this.#client?.setNames(typeUrls.secret, this.#namedSecrets);
    this.#options.followSecrets?.(SecretStore.ofServices(specs));
  }

  #applyListeners(update: XdsUpdate, binding: Promise<void>[]): string[] {
    // Removals come first, because another listener may need a removed one's address.
    for (const name of update.removed) {
      this.listeners.delete(name);
      this.#listenerSet?.remove(name);
    }
    const troubles = this.#each(update, ListenerSchema, this.listeners, (message) => {
      const applied = this.#listenerSet?.set(compileListener(message, this.#notes));
      if (applied !== undefined) binding.push(applied);
    });
    this.followListeners();
    return troubles;
  }

  /** Requests the routes that listeners name. Must be called when a listener names others. */
  followListeners(): void {
    const names = this.#listenerSet?.routeNames() ?? new Set<string>();
    this.#unrequested = new Set([...this.#tables.names(), ...this.routes.keys()].filter((name) => !names.has(name)));
    for (const name of this.#unrequested) {
      this.routes.delete(name);
      this.#virtualHosts.retract(name);
      this.#tables.stopWarming(name);
    }
    this.#forgetTables();
    this.#client?.setNames(typeUrls.route, names);
    const discoveries = this.#listenerSet?.discoveries() ?? [];
    // Tell the filter now that its configuration was refused: the control plane does not send the configuration again
    // when another listener names it.
    for (const discovery of discoveries) if (this.#refusedExtensions.has(discovery.resource)) discovery.refused();
    const filters = new Set(discoveries.map(({ resource }) => resource));
    for (const name of this.#refusedExtensions) if (!filters.has(name)) this.#refusedExtensions.delete(name);
    if (this.#options.sharesResources !== true || this.extensions.size > maxKeptExtensions)
      for (const name of this.extensions.keys()) if (!filters.has(name)) this.extensions.delete(name);
    this.#client?.setNames(typeUrls.extensionConfig, filters);
  }

  /**
   * Forgets tables that listeners no longer use. A table stays while a connection of a removed listener or chain may
   * need it, so that its requests are served to the end.
   */
  #forgetTables(): void {
    if (this.#unrequested.size === 0) return;
    const leaving = this.#listenerSet?.leavingRouteNames() ?? new Set<string>();
    for (const name of this.#unrequested) {
      if (leaving.has(name)) continue;
      this.#unrequested.delete(name);
      this.#tables.delete(name);
    }
  }

  #applyRoutes(update: XdsUpdate): string[] {
    const troubles = this.#each(update, RouteConfigurationSchema, this.routes, (message, name) => {
      if (message.vhds !== undefined) {
        this.#client?.setNames(typeUrls.virtualHost, ["*"]);
        this.#setAnnounced(name, this.#virtualHosts.announce(message));
      } else {
        this.#tables.set(name, compileRouteTable(message, this.#notes));
        this.#virtualHosts.retract(name);
      }
    });
    for (const { name } of update.resources) {
      // Keep the received table, because the control plane does not send an unchanged table again when a listener needs
      // it again.
      this.#unrequested.delete(name);
      const applied = this.routes.get(name);
      const message = applied?.message();
      if (applied !== undefined && message?.vhds !== undefined)
        this.routes.set(name, { ...applied, message: () => this.#virtualHosts.whole(message) });
    }
    // As in Envoy, a removal has no effect here: the listeners that request the routes are removed later.
    return troubles;
  }

  /** Applies filter configurations. A configuration is put in force for all filters that name it, or for none. */
  #applyExtensions(update: XdsUpdate): string[] {
    const filters = this.#listenerSet?.discoveries() ?? [];
    const use = ({ typedConfig }: TypedExtensionConfig, name: string): void => {
      if (typedConfig === undefined) throw userError("config-rejected", `${name}: typedConfig must be set`);
      const mine = filters.filter(({ resource }) => resource === name);
      if (mine.length === 0) checkExtensionConfig(name, typedConfig, this.#notes);
      for (const begin of mine.map((filter) => filter.prepare(typedConfig)))
        void begin()?.then(() => this.#listenerSet?.proceed());
      this.#refusedExtensions.delete(name);
    };
    const troubles = this.#each(update, TypedExtensionConfigSchema, this.extensions, use, (name) => {
      this.#refusedExtensions.add(name);
      for (const filter of filters) if (filter.resource === name) filter.refused();
    });
    // A filter without a default keeps its last configuration until no listener names it: the control plane is about to
    // change or remove the listener that names it.
    for (const name of update.removed) {
      this.#refusedExtensions.delete(name);
      const staying = filters.filter((filter) => filter.resource === name && !filter.retract());
      if (staying.length === 0) this.extensions.delete(name);
    }
    return troubles;
  }

  #applyVirtualHosts(update: XdsUpdate): string[] {
    const { troubles, tables } = this.#virtualHosts.apply(update);
    for (const [name, table] of tables) this.#setAnnounced(name, table);
    return [...troubles];
  }

  /**
   * Sets a table whose virtual hosts arrive separately. Undefined means that none of its hosts has arrived; the
   * previous table then stays in force.
   */
  #setAnnounced(name: string, table: RouteTable | undefined): void {
    if (table !== undefined) this.#tables.set(name, table);
  }
}

/** Compares the decoded messages if the bytes differ, because protobuf may encode the entries of a map in any order. */
function isSame<Schema extends DescMessage>(
  schema: Schema,
  before: AppliedResource<Schema>,
  body: Uint8Array,
): boolean {
  return Buffer.compare(before.body, body) === 0 || equals(schema, before.message(), fromBinary(schema, body));
}
