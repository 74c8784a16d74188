import type { WebhookConfiguration } from "../kubernetes/index.ts";

const usual = "istio-system";
/** The cluster's own namespace. Some platforms allow node-critical pods only in it, so ztunnels may be there. */
const ofTheCluster = "kube-system";

/**
 * The namespaces of control planes: `istio-system`, and those of the Services that injection webhooks call. A pod's
 * label proves nothing, because users may label a pod of their own as istiod. A user who can write to a namespace that
 * a webhook calls already controls every injected pod.
 */
export function controlPlaneNamespaces(injectors: readonly WebhookConfiguration[]): ReadonlySet<string> {
  const services = injectors.flatMap(({ webhooks = [] }) => webhooks.map(({ clientConfig }) => clientConfig.service));
  const led = services.flatMap((service) => (service?.name.startsWith("istiod") === true ? service.namespace : []));
  return new Set([usual, ...led]);
}

export function ztunnelNamespaces(controlPlanes: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...controlPlanes, ofTheCluster]);
}
