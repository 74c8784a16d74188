import type { WebhookConfiguration } from "../kubernetes/index.ts";

const usual = "istio-system";
/** Some platforms let only pods of this namespace be critical to a node. */
const ofTheCluster = "kube-system";

/**
 * Where control planes are: in `istio-system`, and in the namespaces of the Services that injectors call. Everybody may
 * label pods of an own namespace as istiod. Who may write into a namespace that an injector leads to already controls
 * every pod.
 */
export function controlPlaneNamespaces(injectors: readonly WebhookConfiguration[]): ReadonlySet<string> {
  const services = injectors.flatMap(({ webhooks = [] }) => webhooks.map(({ clientConfig }) => clientConfig.service));
  const led = services.flatMap((service) => (service?.name.startsWith("istiod") === true ? service.namespace : []));
  return new Set([usual, ...led]);
}

/** Where ztunnels may be: with a control plane, or among the cluster's own pods. */
export function ztunnelNamespaces(controlPlanes: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...controlPlanes, ofTheCluster]);
}
