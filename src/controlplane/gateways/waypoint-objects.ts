import type { Gateway } from "../../api/gateway/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import type { Deployment, Service, ServiceAccount } from "../../api/kubernetes/index.ts";
import { meshClassName, type WaypointDeployment } from "../model/index.ts";
import { commonLabels, gatewayAnnotations, infrastructureAnnotations, ownerOf, replicasOf, serviceTypeOf, statusPort, uniquePorts } from "./gateway-objects.ts";
import { proxyPodTemplate, type ProxySettings } from "./proxy-pod.ts";

/** What one waypoint becomes. Of class `istio-mesh` it is a Deployment alone, which runs as the account that it serves. */
export interface WaypointObjects {
  readonly serviceAccount: ServiceAccount | undefined;
  readonly service: Service | undefined;
  readonly deployment: Deployment;
}

/** How the waypoints of 2022 are labelled. */
const meshLabels = { type: "ambient-type", gateway: "istio.io/gateway-name" } as const;
const accountLabel = "gateway.istio.io/service-account";
const maxLabelLength = 63;

export function waypointObjects(gateway: Gateway, { name, account }: WaypointDeployment, proxy: ProxySettings): WaypointObjects {
  const ofAccount = gateway.spec.gatewayClassName === meshClassName;
  const gatewayName = gateway.metadata.name ?? "";
  const namespace = gateway.metadata.namespace ?? "default";
  const owner = { ownerReferences: [ownerOf(gateway)] };
  const labels = { ...commonLabels(gateway), ...(ofAccount ? { [meshLabels.type]: "waypoint", [meshLabels.gateway]: gatewayName, [accountLabel]: account.slice(0, maxLabelLength) } : {}) };
  const annotations = infrastructureAnnotations(gateway);
  const selector = { [istioLabels.gatewayName]: gatewayName, ...(ofAccount ? { [accountLabel]: account.slice(0, maxLabelLength) } : {}) };
  const replicas = replicasOf(gateway, gatewayAnnotations.stableReplicas);
  const podLabels = { ...labels, [istioLabels.revision]: proxy.revision };
  const deployment: Deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace, labels: podLabels, ...annotations, ...owner },
    spec: {
      ...(replicas === undefined ? {} : { replicas }),
      selector: { matchLabels: selector },
      // A new proxy is ready before an old one goes.
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: proxyPodTemplate(proxy, { mode: "waypoint", namespace, name, serviceAccount: account, labels: podLabels, ...annotations }),
    },
  };
  if (ofAccount) return { serviceAccount: undefined, service: undefined, deployment };
  const metadata = { name, namespace, labels, ...annotations, ...owner };
  return { serviceAccount: { apiVersion: "v1", kind: "ServiceAccount", metadata }, service: waypointService(gateway, metadata, selector), deployment };
}

function waypointService(gateway: Gateway, metadata: Service["metadata"], selector: Record<string, string>): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    // Of several pods a near one is taken.
    metadata: { ...metadata, annotations: { "networking.istio.io/traffic-distribution": "PreferClose", ...metadata.annotations } },
    spec: {
      type: serviceTypeOf(gateway, "ClusterIP"),
      selector,
      ports: [
        { name: "status-port", port: statusPort, targetPort: statusPort, protocol: "TCP", appProtocol: "tcp" },
        ...uniquePorts(gateway).map(({ port, name }) => ({ name, port, targetPort: port, protocol: "TCP" as const, appProtocol: "hbone" })),
      ],
    },
  };
}
