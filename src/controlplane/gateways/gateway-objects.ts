import type { OwnerReference } from "../../api/index.ts";
import { gatewayKind, type Gateway } from "../../api/gateway/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { canaryOfLabel, gatewayCanaryAnnotations } from "../../api/serin/index.ts";
import type { Deployment, Service, ServiceAccount } from "../../api/kubernetes/index.ts";
import { ownerReference } from "../../kube/index.ts";
import {
  eastWestClassName,
  eastWestManagedBy,
  gatewayAccountName,
  gatewayServiceName,
  isWaypointClass,
  waypointsManagedBy,
  type GatewayPort,
} from "../model/index.ts";
import { proxyPodTemplate, type ProxySettings } from "./proxy-pod.ts";

export interface GatewayObjects {
  readonly serviceAccount: ServiceAccount;
  readonly service: Service;
  readonly deployment: Deployment;
}

const serviceTypeAnnotation = "networking.istio.io/service-type";

export const managedBy = "istio.io-gateway-controller";
export const statusPort = 15_021;
const serviceTypes = ["ClusterIP", "NodePort", "LoadBalancer"] as const;

/** The objects of the revision that owns the Gateway. `ports` are the ports of its Service. */
export function gatewayObjects(gateway: Gateway, ports: readonly GatewayPort[], proxy: ProxySettings): GatewayObjects {
  const name = serviceName(gateway);
  const labels = commonLabels(gateway);
  const namespace = gateway.metadata.namespace ?? "default";
  const meta = { name, namespace, labels, ...objectAnnotations(gateway), ownerReferences: [ownerOf(gateway)] };
  const address = (gateway.spec.addresses ?? []).find(({ type }) => (type ?? "IPAddress") === "IPAddress")?.value ?? "";
  return {
    serviceAccount: { apiVersion: "v1", kind: "ServiceAccount", metadata: { ...meta, name: accountName(gateway) } },
    service: {
      apiVersion: "v1",
      kind: "Service",
      metadata: meta,
      spec: {
        type: serviceTypeOf(gateway),
        ...(address === "" ? {} : { loadBalancerIP: address }),
        selector: { [istioLabels.gatewayName]: gateway.metadata.name ?? "" },
        ports: [
          { name: "status-port", port: statusPort, targetPort: statusPort, protocol: "TCP", appProtocol: "tcp" },
          ...ports.map(({ port, protocol, name: listener }) => ({
            name: listener,
            port,
            targetPort: port,
            protocol: "TCP" as const,
            appProtocol: protocol.toLowerCase(),
          })),
        ],
      },
    },
    deployment: gatewayDeployment(gateway, proxy, {
      name,
      selector: {},
      labels: {},
      replicas: replicasOf(gateway, gatewayCanaryAnnotations.stableReplicas),
    }),
  };
}

/** The Deployment of a canary revision. The Gateway's Service also selects its pods. */
export function canaryDeployment(gateway: Gateway, proxy: ProxySettings): Deployment {
  return gatewayDeployment(gateway, proxy, {
    name: canaryName(gateway, proxy.revision),
    selector: { [istioLabels.revision]: proxy.revision },
    labels: { [canaryOfLabel]: gateway.metadata.name ?? "" },
    replicas: replicasOf(gateway, gatewayCanaryAnnotations.replicas) ?? 1,
  });
}

function canaryName(gateway: Gateway, revision: string): string {
  return `${serviceName(gateway)}-${revision}`;
}

/**
 * Makes the Gateway the owner of an object. The API version is the one in which the cluster serves Gateways, so that
 * the garbage collector finds the owner.
 */
export function ownerOf(gateway: Gateway): OwnerReference {
  return {
    ...ownerReference(gatewayKind, gateway),
    ...(gateway.apiVersion === undefined ? {} : { apiVersion: gateway.apiVersion }),
  };
}

function serviceName(gateway: Gateway): string {
  return gatewayServiceName(named(gateway));
}

function accountName(gateway: Gateway): string {
  return gatewayAccountName(named(gateway));
}

function named({ metadata, spec }: Gateway): Parameters<typeof gatewayServiceName>[0] {
  return { name: metadata.name ?? "", annotations: metadata.annotations ?? {}, spec };
}

/**
 * The annotations of all objects of the Gateway except its pods. They are the Gateway's own if its infrastructure sets
 * none. Changing them restarts nothing.
 */
function objectAnnotations({ metadata, spec }: Gateway): { annotations?: Record<string, string> } {
  const annotations =
    spec.infrastructure?.annotations ??
    Object.fromEntries(Object.entries(metadata.annotations ?? {}).filter(([name]) => !ownAnnotations.test(name)));
  return Object.keys(annotations).length === 0 ? {} : { annotations };
}

/** Annotations for the Gateway object itself or for the control plane. They are not copied. */
const ownAnnotations = /^(kubectl\.kubernetes\.io|gateway\.istio\.io|([\w-]+\.)?serin\.dev)\//;

interface DeploymentVariant {
  readonly name: string;
  readonly selector: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly replicas: number | undefined;
}

function gatewayDeployment(gateway: Gateway, proxy: ProxySettings, variant: DeploymentVariant): Deployment {
  const { name, replicas } = variant;
  const labels = { ...commonLabels(gateway), ...variant.labels, [istioLabels.revision]: proxy.revision };
  const selector = { [istioLabels.gatewayName]: gateway.metadata.name ?? "", ...variant.selector };
  const template = proxyPodTemplate(proxy, {
    mode: "router",
    namespace: gateway.metadata.namespace ?? "default",
    name,
    serviceAccount: accountName(gateway),
    labels,
    ...infrastructureAnnotations(gateway),
  });
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name,
      namespace: gateway.metadata.namespace ?? "default",
      labels,
      ...objectAnnotations(gateway),
      ownerReferences: [ownerOf(gateway)],
    },
    spec: {
      ...(replicas === undefined ? {} : { replicas }),
      selector: { matchLabels: selector },
      // A new proxy starts before an old one ends, so that requests are always served.
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template,
    },
  };
}

export function commonLabels(gateway: Gateway): Record<string, string> {
  const own = gateway.spec.infrastructure?.labels ?? gateway.metadata.labels ?? {};
  return {
    ...own,
    [istioLabels.gatewayName]: gateway.metadata.name ?? "",
    [istioLabels.gatewayClassName]: gateway.spec.gatewayClassName,
    [istioLabels.gatewayManaged]: managerOf(gateway.spec.gatewayClassName),
  };
}

function managerOf(className: string): string {
  if (className === eastWestClassName) return eastWestManagedBy;
  return isWaypointClass(className) ? waypointsManagedBy : managedBy;
}

export function infrastructureAnnotations(gateway: Gateway): { annotations?: Record<string, string> } {
  const annotations = gateway.spec.infrastructure?.annotations;
  return annotations === undefined ? {} : { annotations };
}

export function serviceTypeOf(
  gateway: Gateway,
  otherwise: (typeof serviceTypes)[number] = "LoadBalancer",
): (typeof serviceTypes)[number] {
  const wanted = gateway.metadata.annotations?.[serviceTypeAnnotation];
  return serviceTypes.find((type) => type === wanted) ?? otherwise;
}

export function uniquePorts(gateway: Gateway): readonly { port: number; protocol: string; name: string }[] {
  const seen = new Set<number>();
  return gateway.spec.listeners.filter((listener) => {
    if (seen.has(listener.port)) return false;
    seen.add(listener.port);
    return true;
  });
}

/**
 * The number of replicas that the annotation asks for. Undefined if it is absent or not a whole number. Then the
 * Deployment's default or an autoscaler decides.
 */
export function replicasOf(gateway: Gateway, annotation: string): number | undefined {
  const text = gateway.metadata.annotations?.[annotation];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}
