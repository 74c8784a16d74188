import { defaultMultiClusterApi, type MultiClusterApi } from "../multicluster/index.ts";
import { envBoolean, envString, userError, type Environment } from "../../base/index.ts";

export interface MultiClusterServiceSettings {
  readonly api: MultiClusterApi;
  /** Whether other clusters discover only Services that a ServiceExport offers. */
  readonly discovery: boolean;
  /** Whether imported services have the host `<service>.<namespace>.svc.clusterset.local`. */
  readonly host: boolean;
  /** Whether the host of a Service in a cluster's own domain has endpoints of that cluster only. */
  readonly clusterLocal: boolean;
  /** Whether the leader creates a ServiceExport for each Service that is not local to its cluster. */
  readonly autoExport: boolean;
}

const discoveryName = "ENABLE_MCS_SERVICE_DISCOVERY";
const hostName = "ENABLE_MCS_HOST";
const clusterLocalName = "ENABLE_MCS_CLUSTER_LOCAL";

/** Reads the settings. `withoutEffect` says for each setting that has no effect which other setting turns it off. */
export function readMultiClusterServiceSettings(env: Environment): {
  readonly settings: MultiClusterServiceSettings;
  readonly withoutEffect: readonly string[];
} {
  const isOn = (name: string): boolean => envBoolean(env, name, false);
  const discovery = isOn(discoveryName);
  const host = isOn(hostName) && discovery;
  const clusterLocal = isOn(clusterLocalName) && host;
  const needs = (name: string, needed: string, isMet: boolean): readonly string[] =>
    isOn(name) && !isMet ? [`${name} (needs ${needed}=true)`] : [];
  return {
    settings: { api: readApi(env), discovery, host, clusterLocal, autoExport: isOn("ENABLE_MCS_AUTO_EXPORT") },
    withoutEffect: [...needs(hostName, discoveryName, discovery), ...needs(clusterLocalName, hostName, host)],
  };
}

function readApi(env: Environment): MultiClusterApi {
  const group = envString(env, "MCS_API_GROUP", defaultMultiClusterApi.group);
  const version = envString(env, "MCS_API_VERSION", defaultMultiClusterApi.version);
  if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$/.test(group))
    throw userError("env-invalid", `MCS_API_GROUP must be an API group, got "${group}"`, {
      hint: `for example ${defaultMultiClusterApi.group}`,
    });
  if (!/^v[0-9]+((alpha|beta)[0-9]+)?$/.test(version))
    throw userError("env-invalid", `MCS_API_VERSION must be an API version, got "${version}"`, {
      hint: `for example ${defaultMultiClusterApi.version}`,
    });
  return { group, version };
}
