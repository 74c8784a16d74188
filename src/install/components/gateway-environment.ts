import { textAt, treeAt, valueAt } from "../../base/index.ts";
import { mergeTrees } from "../merge.ts";
import { clusterName, envEntries, fieldEnv, mergeEnv } from "../render-context.ts";
import { type InstallSettings } from "../settings.ts";
import { discoveryHost } from "./pilot-config.ts";

export interface GatewayIdentity {
  readonly name: string;
  readonly namespace: string;
  /** The gateway's values. Only `env` is read here. */
  readonly own: Readonly<Record<string, unknown>>;
}

/** The environment variables of a gateway's proxy, including the mesh's `proxyMetadata`. */
export function gatewayEnvironment(
  { name, namespace, own }: GatewayIdentity,
  settings: InstallSettings,
): Readonly<Record<string, unknown>>[] {
  const { values, meshConfig } = settings;
  const discovery = `${discoveryHost(settings)}:15012`;
  const trustDomain = textAt(meshConfig, "trustDomain") ?? "cluster.local";
  const network = textAt(values, "global", "network");
  return mergeEnv<Readonly<Record<string, unknown>>>(
    [
      { name: "PILOT_CERT_PROVIDER", value: textAt(values, "global", "pilotCertProvider") ?? "istiod" },
      { name: "CA_ADDR", value: textAt(values, "global", "caAddress") ?? discovery },
      fieldEnv("NODE_NAME", "spec.nodeName"),
      fieldEnv("POD_NAME", "metadata.name"),
      fieldEnv("POD_NAMESPACE", "metadata.namespace"),
      fieldEnv("INSTANCE_IP", "status.podIP"),
      fieldEnv("HOST_IP", "status.hostIP"),
      { name: "ISTIO_CPU_LIMIT", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "1" } } },
      fieldEnv("SERVICE_ACCOUNT", "spec.serviceAccountName"),
      {
        name: "PROXY_CONFIG",
        value: JSON.stringify(mergeTrees({ discoveryAddress: discovery }, valueAt(meshConfig, "defaultConfig"))),
      },
      { name: "ISTIO_META_WORKLOAD_NAME", value: name },
      { name: "ISTIO_META_OWNER", value: `kubernetes://apis/apps/v1/namespaces/${namespace}/deployments/${name}` },
      { name: "ISTIO_META_MESH_ID", value: textAt(values, "global", "meshID") ?? trustDomain },
      { name: "TRUST_DOMAIN", value: trustDomain },
      { name: "ISTIO_META_UNPRIVILEGED_POD", value: "true" },
      ...(network === undefined ? [] : [{ name: "ISTIO_META_NETWORK", value: network }]),
      { name: "ISTIO_META_CLUSTER_ID", value: clusterName(settings) },
      fieldEnv("ISTIO_META_NODE_NAME", "spec.nodeName"),
    ],
    envEntries(treeAt(own, "env")),
    envEntries(treeAt(meshConfig, "defaultConfig", "proxyMetadata")),
  );
}
