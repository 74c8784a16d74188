import type { Logger } from "../../base/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import { envoyTypes } from "../envoy-types-file.ts";
import { ExtensionPrograms } from "./extension-programs.ts";
import { ExtensionReports } from "./extension-reports.ts";
import { ExtensionViews } from "./extension-views.ts";
import { ExtensionSelection, meshKey, pullSecretName, remoteKey, serviceKey, type MeshInputs } from "../model/index.ts";
import { servedKey, type WaypointResources } from "../translate/index.ts";

/** EnvoyFilters, WasmPlugins and TrafficExtensions, from the facts of a mesh to their changes of proxies' views. */
export function servedExtensions(
  inputs: MeshInputs,
  { served }: Pick<WaypointResources, "served">,
  metrics: MetricsRegistry,
  log: Logger,
): ExtensionViews {
  const reports = new ExtensionReports(metrics, log, inputs.extensions);
  const selection = new ExtensionSelection({
    inputs: inputs.extensions,
    serviceEntries: inputs.serviceEntries,
    rootNamespace: () => inputs.mesh.get(meshKey)?.rootNamespace ?? "istio-system",
    domain: () => inputs.mesh.get(meshKey)?.domain ?? "cluster.local",
    servedHost: (waypoint, service) => served[service.kind].get(servedKey(waypoint, serviceKey(service)))?.vipHost,
  });
  const programs = new ExtensionPrograms({
    selection,
    types: envoyTypes,
    podLabels: ({ namespace, name, clusterId }) => {
      const key = `${namespace}/${name}`;
      const pod =
        inputs.remote.clusters.get(clusterId) === undefined
          ? inputs.pods.get(key)
          : inputs.remote.pods.get(remoteKey(clusterId, key));
      return pod?.labels ?? {};
    },
    pullSecret: ({ verified }, namespace, name) =>
      verified ? (inputs.extensions.pullSecrets.get(`${namespace}/${pullSecretName(name)}`)?.config ?? "") : "",
    failed: (fault) => reports.failed(fault),
  });
  return new ExtensionViews(programs, inputs, Object.values(served));
}
