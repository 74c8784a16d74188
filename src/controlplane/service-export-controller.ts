import { apiVersionOf, keyOf, type KubernetesObject } from "../api/index.ts";
import { serviceKind } from "../api/kubernetes/index.ts";
import { serviceExportKind, type MultiClusterApi } from "../api/multicluster/index.ts";
import { describeError, SerinError } from "../base/index.ts";
import { isKubeCode, Reconciler, type CollectionChange, type KubeClient, type QueueMetrics } from "../kube/index.ts";
import { leadAlone, type LeadershipOptions } from "./leadership/index.ts";
import { hostnameOf, meshKey, type ServiceExportFacts, type ServiceFacts } from "./model/facts.ts";
import type { MeshInputs } from "./model/index.ts";
import { isClusterLocal } from "./model/service/cluster-local.ts";

export interface ServiceExportControllerOptions extends LeadershipOptions {
  readonly clusterId: string;
  readonly api: MultiClusterApi;
  readonly inputs: MeshInputs;
  readonly remoteClientOf: (clusterId: string) => KubeClient | undefined;
  /** A Service, as last seen. Without a cluster's id, it is one of the control plane's own cluster. */
  readonly serviceOf: (clusterId: string | undefined, key: string) => KubernetesObject | undefined;
  readonly queues?: QueueMetrics | undefined;
}

/** Upstream's name. All revisions share the lease, because they would make the same objects. */
const lease = "istio-serviceexport-controller-election";
const maxAttempts = 5;
/** The time after which a cluster is tried again that lacks the CRD or forbids creating exports. */
const blockedMs = 60_000;

/**
 * Creates a ServiceExport for each Service of every cluster, except those that are local to their cluster. A Service
 * owns its export, so Kubernetes deletes both together. If a user deletes an export while its Service stays and this
 * control plane leads, the controller does not recreate it.
 */
export async function runServiceExportController(
  options: ServiceExportControllerOptions,
  signal: AbortSignal,
): Promise<void> {
  await leadAlone(
    options,
    lease,
    signal,
    async (leading, client) => await exportServices({ ...options, client }, leading),
  );
}

export async function exportServices(options: ServiceExportControllerOptions, signal: AbortSignal): Promise<void> {
  const { inputs, queues, clock, log } = options;
  const exporter = new ServiceExporter(options);
  const reconciler = new Reconciler({
    name: "service-exports",
    queues,
    log,
    clock,
    maxAttempts,
    reconcile: async (key) => await exporter.reconcile(key),
  });
  const addNew = (changes: readonly CollectionChange<ServiceFacts>[]): void => {
    for (const change of changes)
      if (change.type === "set" && change.previous?.uid !== change.item.uid) reconciler.add(change.key);
  };
  using _own = inputs.services.subscribe(addNew);
  using _remote = inputs.remote.services.subscribe(addNew);
  // If a Service was deleted and created again, Kubernetes deletes the export of the earlier one. So check the Service
  // again when an export is deleted.
  using _exports = inputs.serviceExports.subscribe((changes) => {
    for (const change of changes)
      if (change.type === "delete" && isOfEarlierService(change.previous, exporter.serviceFactsOf(change.key)))
        reconciler.add(change.key);
  });
  await reconciler.run(signal);
}

/** Whether the export belongs to an earlier Service of the same name, which was deleted before this one was created. */
function isOfEarlierService({ ownerUid }: ServiceExportFacts, service: ServiceFacts | undefined): boolean {
  return ownerUid !== "" && service !== undefined && ownerUid !== service.uid;
}

/** Whether the namespace is being deleted. The Service is deleted then, too. */
function isTerminating(error: unknown): boolean {
  return error instanceof SerinError && error.reason === "NamespaceTerminating";
}

class ServiceExporter {
  readonly #options: ServiceExportControllerOptions;
  /** The time until which a cluster that cannot have exports is not tried again, by cluster. */
  readonly #blockedUntilMs = new Map<string, number>();

  constructor(options: ServiceExportControllerOptions) {
    this.#options = options;
  }

  serviceFactsOf(key: string): ServiceFacts | undefined {
    const { inputs } = this.#options;
    return inputs.services.get(key) ?? inputs.remote.services.get(key);
  }

  /** Returns after how many milliseconds to try again, if the cluster cannot have exports now. */
  async reconcile(key: string): Promise<number | void> {
    const { inputs, clusterId: home, client, remoteClientOf, serviceOf, api, clock } = this.#options;
    const mesh = inputs.mesh.get(meshKey);
    const facts = this.serviceFactsOf(key);
    if (mesh === undefined || facts === undefined || inputs.serviceExports.get(key) !== undefined) return;
    if (isClusterLocal(hostnameOf(facts, mesh.domain).toLowerCase(), mesh)) return;
    const { clusterId, namespace, name } = facts;
    const service = serviceOf(clusterId, `${namespace}/${name}`);
    const writer = clusterId === undefined ? client : remoteClientOf(clusterId);
    if (writer === undefined || service?.metadata.uid === undefined || service.metadata.deletionTimestamp !== undefined)
      return;
    const cluster = clusterId ?? home;
    const waitMs = (this.#blockedUntilMs.get(cluster) ?? 0) - clock.steadyMs();
    if (waitMs > 0) return waitMs;
    const kind = serviceExportKind(api);
    try {
      await writer.create(kind, {
        apiVersion: apiVersionOf(kind),
        kind: kind.kind,
        metadata: {
          namespace,
          name,
          ownerReferences: [
            { apiVersion: apiVersionOf(serviceKind), kind: serviceKind.kind, name, uid: service.metadata.uid },
          ],
        },
      });
      this.#blockedUntilMs.delete(cluster);
    } catch (error) {
      if (isKubeCode(error, "already-exists") || isTerminating(error)) return;
      if (!isKubeCode(error, "not-found") && !isKubeCode(error, "forbidden")) throw error;
      return this.#block(cluster, keyOf(service), error);
    }
  }

  #block(cluster: string, service: string, error: unknown): number {
    const { clock, log, api } = this.#options;
    if (!this.#blockedUntilMs.has(cluster))
      log.warn(
        "no ServiceExports are created in a cluster: install their definition, and allow this account to create them",
        {
          cluster,
          api: `${api.group}/${api.version}`,
          service,
          retryMs: blockedMs,
          error: describeError(error),
        },
      );
    this.#blockedUntilMs.set(cluster, clock.steadyMs() + blockedMs);
    return blockedMs;
  }
}
