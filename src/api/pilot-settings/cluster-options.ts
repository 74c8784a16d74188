import { unreadVariables } from "../pilot-variables/index.ts";
import { envBoolean, envList, envString, userError, type Environment } from "../../base/index.ts";
import { envDuration } from "./authority-options.ts";
import { readMultiClusterServiceSettings, type MultiClusterServiceSettings } from "./multi-cluster-options.ts";

export interface ClusterSettings {
  /** A folder with the kubeconfigs of remote clusters. If it is set, Secrets with kubeconfigs are not read. */
  readonly kubeconfigFolder: string | undefined;
  /** How long a start waits for a remote cluster that does not answer. 0 means that it waits forever. */
  readonly remoteTimeoutMs: number;
  /** The fields of remote clusters' kubeconfigs that may name files on this machine. */
  readonly insecureKubeConfigOptions: ReadonlySet<InsecureKubeConfigOption>;
  /** Whether to resolve the names of network gateways. Otherwise gateways with a name are ignored. */
  readonly resolveGatewayNames: boolean;
  /** Which objects are gateways into networks, besides the gateways that `meshNetworks` names. */
  readonly networkGateways: NetworkGatewayPolicy;
  /** Whether ambient mode reaches services that are global in all clusters and networks. */
  readonly ambient: AmbientMultiNetwork;
  readonly services: MultiClusterServiceSettings;
  /** Variables that are set but have no effect, for the log. */
  readonly withoutEffect: readonly string[];
}

export interface NetworkGatewayPolicy {
  /**
   * Whether a Gateway (Gateway API) with a network's label is a network gateway for sidecars and gateways. A Service
   * with the label is one in any case.
   */
  readonly discoversResources: boolean;
  /** The namespaces whose Services and Gateways may be network gateways. Undefined means all, as in upstream Istio. */
  readonly namespaces: readonly string[] | undefined;
}

export interface AmbientMultiNetwork {
  readonly enabled: boolean;
  /** The kinds of proxies, besides ztunnels, that reach other networks. */
  readonly crossing: { readonly waypoints: boolean; readonly ingress: boolean };
}

export type InsecureKubeConfigOption = "clientKey" | "clientCertificate" | "tokenFile" | "certificateAuthority";

const defaultTimeoutMs = 30_000;
const fileOptions: readonly string[] = ["clientKey", "clientCertificate", "tokenFile", "certificateAuthority"];

export function readClusterSettings(env: Environment): ClusterSettings {
  const enabled = envBoolean(env, "AMBIENT_ENABLE_MULTI_NETWORK", false);
  const services = readMultiClusterServiceSettings(env);
  const kubeconfigFolder = envString(env, "PILOT_MULTICLUSTER_KUBECONFIG_PATH", "");
  return {
    kubeconfigFolder: kubeconfigFolder === "" ? undefined : kubeconfigFolder,
    remoteTimeoutMs: envDuration(env, "PILOT_REMOTE_CLUSTER_TIMEOUT", defaultTimeoutMs),
    insecureKubeConfigOptions: insecureOptions(envList(env, "PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS", "")),
    resolveGatewayNames: envBoolean(env, "RESOLVE_HOSTNAME_GATEWAYS", true),
    networkGateways: readNetworkGateways(env),
    ambient: {
      enabled,
      crossing: {
        waypoints: envBoolean(env, "AMBIENT_ENABLE_MULTI_NETWORK_WAYPOINT", true),
        ingress: envBoolean(env, "AMBIENT_ENABLE_MULTI_NETWORK_INGRESS", false),
      },
    },
    services: services.settings,
    withoutEffect: [...services.withoutEffect, ...unreadVariables(env)],
  };
}

function readNetworkGateways(env: Environment): NetworkGatewayPolicy {
  const namespaces = envList(env, "PILOT_NETWORK_GATEWAY_NAMESPACES", "");
  return {
    discoversResources: envBoolean(env, "PILOT_MULTI_NETWORK_DISCOVER_GATEWAY_API", true),
    namespaces: namespaces.length === 0 ? undefined : namespaces,
  };
}

function insecureOptions(names: readonly string[]): ReadonlySet<InsecureKubeConfigOption> {
  const unknown = names.find((name) => !fileOptions.includes(name));
  if (unknown !== undefined) {
    throw userError(
      "env-invalid",
      `PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS allows "${unknown}", which this control plane does not support`,
      { hint: `allowed values: ${fileOptions.join(", ")}; use a token instead of exec or an auth provider` },
    );
  }
  return new Set(names as InsecureKubeConfigOption[]);
}
