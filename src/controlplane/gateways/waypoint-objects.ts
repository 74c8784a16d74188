import type { Gateway } from "../../api/gateway/index.ts";
import { istioAnnotations, istioLabels } from "../../api/istio/index.ts";
import { canaryOfLabel, gatewayCanaryAnnotations } from "../../api/serin/index.ts";
import type { Deployment, Service, ServiceAccount } from "../../api/kubernetes/index.ts";
import { eastWestClassName, meshClassName, type WaypointDeployment } from "../model/index.ts";
import {
  commonLabels,
  infrastructureAnnotations,
  ownerOf,
  replicasOf,
  serviceTypeOf,
  statusPort,
  uniquePorts,
} from "./gateway-objects.ts";
import { proxyPodTemplate, type ProxySettings } from "./proxy-pod.ts";

/**
 * The objects that deploy a waypoint or an east-west gateway. A waypoint of the class `istio-mesh` is only a
 * Deployment, which runs as the account that it serves.
 */
export interface WaypointObjects {
  readonly serviceAccount: ServiceAccount | undefined;
  readonly service: Service | undefined;
  readonly deployment: Deployment;
}

/** The labels of waypoints of the first ambient releases (2022). */
const meshLabels = { type: "ambient-type", gateway: "istio.io/gateway-name" } as const;
const maxLabelLength = 63;

export function waypointObjects(gateway: Gateway, waypoint: WaypointDeployment, proxy: ProxySettings): WaypointObjects {
  const labels = waypointLabels(gateway, waypoint);
  const selector = waypointSelector(gateway, waypoint);
  const deployment = waypointDeployment(gateway, waypoint, proxy, {
    name: waypoint.name,
    labels,
    selector,
    replicas: replicasOf(gateway, gatewayCanaryAnnotations.stableReplicas),
  });
  if (isOfAccount(gateway)) return { serviceAccount: undefined, service: undefined, deployment };
  const metadata = {
    name: waypoint.name,
    namespace: namespaceOf(gateway),
    labels,
    ...infrastructureAnnotations(gateway),
    ownerReferences: [ownerOf(gateway)],
  };
  return {
    serviceAccount: { apiVersion: "v1", kind: "ServiceAccount", metadata: { ...metadata, name: waypoint.account } },
    service: waypointService(gateway, metadata, selector),
    deployment,
  };
}

/** The Deployment of a canary revision, with the same Service and service account. */
export function waypointCanary(gateway: Gateway, waypoint: WaypointDeployment, proxy: ProxySettings): Deployment {
  return waypointDeployment(gateway, waypoint, proxy, {
    name: `${waypoint.name}-${proxy.revision}`,
    labels: { ...waypointLabels(gateway, waypoint), [canaryOfLabel]: gateway.metadata.name ?? "" },
    selector: {
      ...waypointSelector(gateway, waypoint),
      [istioLabels.revision]: proxy.revision,
      [canaryOfLabel]: gateway.metadata.name ?? "",
    },
    replicas: replicasOf(gateway, gatewayCanaryAnnotations.replicas) ?? 1,
  });
}

interface WaypointVariant {
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly selector: Record<string, string>;
  readonly replicas: number | undefined;
}

function waypointDeployment(
  gateway: Gateway,
  { account }: WaypointDeployment,
  proxy: ProxySettings,
  { name, labels, selector, replicas }: WaypointVariant,
): Deployment {
  const namespace = namespaceOf(gateway);
  const annotations = infrastructureAnnotations(gateway);
  const podLabels = { ...labels, [istioLabels.revision]: proxy.revision };
  const network = labels[istioLabels.network] ?? proxy.network;
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace, labels: podLabels, ...annotations, ownerReferences: [ownerOf(gateway)] },
    spec: {
      ...(replicas === undefined ? {} : { replicas }),
      selector: { matchLabels: selector },
      // A new proxy starts before an old one ends, so that requests are always served.
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: proxyPodTemplate(
        { ...proxy, network },
        { mode: "waypoint", namespace, name, serviceAccount: account, labels: podLabels, ...annotations },
      ),
    },
  };
}

function isOfAccount(gateway: Gateway): boolean {
  return gateway.spec.gatewayClassName === meshClassName;
}

function isEastWest(gateway: Gateway): boolean {
  return gateway.spec.gatewayClassName === eastWestClassName;
}

function namespaceOf(gateway: Gateway): string {
  return gateway.metadata.namespace ?? "default";
}

function waypointLabels(gateway: Gateway, { account }: WaypointDeployment): Record<string, string> {
  const ofAccount = {
    [meshLabels.type]: "waypoint",
    [meshLabels.gateway]: gateway.metadata.name ?? "",
    [istioAnnotations.serviceAccountName]: account.slice(0, maxLabelLength),
  };
  const network = isEastWest(gateway) ? gateway.metadata.labels?.[istioLabels.network] : undefined;
  return {
    ...commonLabels(gateway),
    ...(network === undefined ? {} : { [istioLabels.network]: network }),
    ...(isOfAccount(gateway) ? ofAccount : {}),
  };
}

function waypointSelector(gateway: Gateway, { account }: WaypointDeployment): Record<string, string> {
  return {
    [istioLabels.gatewayName]: gateway.metadata.name ?? "",
    ...(isOfAccount(gateway) ? { [istioAnnotations.serviceAccountName]: account.slice(0, maxLabelLength) } : {}),
  };
}

function waypointService(gateway: Gateway, metadata: Service["metadata"], selector: Record<string, string>): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    // If there are several pods, clients may choose a near one.
    metadata: {
      ...metadata,
      annotations: { [istioAnnotations.trafficDistribution]: "PreferClose", ...metadata.annotations },
    },
    spec: {
      type: serviceTypeOf(gateway, isEastWest(gateway) ? "LoadBalancer" : "ClusterIP"),
      selector,
      ports: [
        { name: "status-port", port: statusPort, targetPort: statusPort, protocol: "TCP", appProtocol: "tcp" },
        ...uniquePorts(gateway).map(({ port, name, protocol }) => ({
          name,
          port,
          targetPort: port,
          protocol: "TCP" as const,
          appProtocol: isEastWest(gateway) ? protocol.toLowerCase() : "hbone",
        })),
      ],
    },
  };
}
