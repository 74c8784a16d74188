import type { MeshConfig } from "../api/istio/index.ts";
import type { Clock, Logger } from "../base/index.ts";
import type { KubeClient, QueueMetrics } from "../kube/index.ts";
import type { ControlPlaneSettings } from "../api/pilot-settings/index.ts";
import { runEntryControllers } from "./entries/index.ts";
import { runFieldStatusController } from "./field-status/field-status-writer.ts";
import { readGatewayPodValues, runGatewayControllers, type ProxySettings } from "./gateways/index.ts";
import type { MeshIngest } from "./ingest/index.ts";
import type { LeadingControllerOptions } from "./leadership/index.ts";
import type { MeshClusters } from "./mesh-clusters.ts";
import { ambientSubjects, meshKey } from "./model/index.ts";
import { runOptionalControllers } from "./optional-controllers.ts";
import { runRefusedStatusWriter } from "./refused-status.ts";
import type { ServedMesh } from "./served-mesh.ts";
import { runServiceExportController } from "./service-export-controller.ts";
import type { InjectionSource } from "./webhooks/index.ts";

export interface ControllerParts {
  readonly client: KubeClient;
  readonly settings: ControlPlaneSettings;
  readonly mesh: ServedMesh;
  readonly ingest: MeshIngest;
  readonly clusters: MeshClusters;
  readonly queues: QueueMetrics;
  readonly meshConfig: () => MeshConfig | undefined;
  readonly trustDomain: () => string;
  readonly injection: InjectionSource;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The port of the control plane's Service, which may differ from the port of this process. */
const discoveryPort = 15_012;

/**
 * Runs the controllers that write objects: gateways with their statuses, statuses of fields and of refused objects,
 * entries, exports, and those that are off by default. For each controller, one replica of the revision leads.
 */
export async function runControllers(parts: ControllerParts, signal: AbortSignal): Promise<void> {
  const { settings, mesh, ingest, clusters, meshConfig, log } = parts;
  const { inputs } = mesh;
  const { services, ambient } = settings.clusters;
  const { ambientStatuses, ...wanted } = mesh.wanted;
  const leading = leadingOf(parts, log);
  await Promise.all([
    runGatewayControllers(
      {
        ...leading,
        ...wanted,
        includes: (namespace) => ingest.includesNamespace(namespace),
        proxy: () => proxySettings(parts),
        onProxyChange: (changed) => parts.injection.onChange(changed),
        severalNetworks: ambient.enabled,
        proxyConfigs: inputs.extensions.proxyConfigs,
        rootNamespace: () => inputs.mesh.get(meshKey)?.rootNamespace ?? settings.namespace,
      },
      signal,
    ),
    runFieldStatusController({ ...leading, objectsOf: (kind) => ingest.informerOf(kind) }, signal),
    runEntryControllers(
      {
        ...leading,
        statuses: ambientStatuses,
        objectsOf: (kind) => ingest.informer(kind),
        isRead: (kind, key) => ambientSubjects(inputs, kind).get(key) !== undefined,
        addressRanges: settings.addressRanges,
      },
      signal,
    ),
    services.autoExport
      ? runServiceExportController(
          {
            ...leadingOf(parts, log.scoped("exports")),
            clusterId: settings.clusterId,
            api: services.api,
            inputs,
            remoteClientOf: (id) => clusters.clientOf(id),
            serviceOf: (id, key) => (id === undefined ? ingest.get("Service", key) : clusters.serviceOf(id, key)),
          },
          signal,
        )
      : undefined,
    runOptionalControllers(
      {
        leading: (scope) => leadingOf(parts, log.scoped(scope)),
        settings,
        ingest,
        meshConfig,
        onMeshChange: (changed) => inputs.mesh.onChange(changed),
      },
      signal,
    ),
    runRefusedStatusWriter(
      {
        ...leading,
        refused: ingest.refused,
        objectsOf: (kind) => ingest.informerOf(kind),
      },
      signal,
    ),
  ]);
}

function proxySettings(parts: ControllerParts): ProxySettings {
  const { settings, mesh, trustDomain } = parts;
  const { namespace, revision, serviceName, clusterId, network, proxyImage, compliance } = settings;
  const ownMesh = mesh.inputs.mesh.get(meshKey);
  return {
    revision,
    image: proxyImage,
    discoveryAddress: `${serviceName}.${namespace}.svc:${discoveryPort}`,
    clusterId,
    clusterDomain: settings.domain,
    network,
    trustDomain: trustDomain(),
    proxyMetadata: ownMesh?.proxyMetadata ?? {},
    concurrency: ownMesh?.proxyConcurrency,
    statsMatcher: ownMesh?.proxyStatsMatcher,
    compliance,
    podValues: readGatewayPodValues(parts.injection.values),
  };
}

function leadingOf({ client, settings, queues, clock }: ControllerParts, log: Logger): LeadingControllerOptions {
  const { namespace, revision, podName } = settings;
  return { client, namespace, revision, podName, queues, clock, log };
}
