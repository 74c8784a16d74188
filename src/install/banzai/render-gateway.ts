import { isTree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { revisionLabelOf, type BanzaiIstio, type BanzaiMeshGateway } from "../../api/banzai/index.ts";
import { gatewayEnvironment } from "../components/gateway-environment.ts";
import { renderGateway } from "../components/gateway.ts";
import { mergeEnv } from "../render-context.ts";
import { mergeTrees } from "../merge.ts";
import type { InstallSettings } from "../settings.ts";
import { banzaiSettings, type ReleaseImages } from "./banzai-settings.ts";

/**
 * The objects of a gateway: ServiceAccount, Service, Deployment and autoscaler. The Service selects the gateway's pods
 * of every revision, so it can stay when the gateway moves to another revision. The Deployment's selector contains the
 * revision, so a move needs a new Deployment.
 */
export function renderBanzaiGateway(
  gateway: BanzaiMeshGateway,
  istio: BanzaiIstio,
  release: ReleaseImages,
): UntypedObject[] {
  const { metadata, spec } = gateway;
  const name = metadata.name ?? "";
  const namespace = metadata.namespace ?? "";
  const settings = settingsFor(gateway, banzaiSettings(istio, release));
  const rendered = renderGateway({ name, namespace, label: {} }, spec.type, settings);
  const selector = gatewaySelector(gateway);
  const labels = {
    ...spec.labels,
    app: spec.labels["app"] ?? name,
    istio: spec.labels["istio"] ?? `${spec.type}gateway`,
    ...selector,
  };
  const revision = {
    "istio.io/rev": revisionLabelOf({ name: istio.metadata.name ?? "", namespace: istio.metadata.namespace ?? "" }),
  };
  return rendered.map((object) => {
    const gatewaySettings = {
      ...object,
      metadata: {
        ...object.metadata,
        labels: { ...labels, ...revision, "app.kubernetes.io/managed-by": "banzai-istio-operator" },
      },
    };
    if (object.kind === "Service")
      return withLabels({ ...gatewaySettings, spec: { ...(object["spec"] as object), selector } }, spec.serviceLabels);
    if (object.kind === "HorizontalPodAutoscaler")
      return { ...gatewaySettings, metadata: { ...gatewaySettings.metadata, name: `${name}-autoscaler` } };
    if (object.kind === "Deployment")
      return withPods(gatewaySettings, { labels: { ...labels, ...revision }, gateway, settings });
    return gatewaySettings;
  });
}

/** The labels that a gateway's pods have, whatever their control plane is. */
export function gatewaySelector({ metadata, spec }: BanzaiMeshGateway): Record<string, string> {
  return { "gateway-name": metadata.name ?? "", "gateway-type": spec.type };
}

function settingsFor({ metadata, spec }: BanzaiMeshGateway, settings: InstallSettings): InstallSettings {
  const statusPort = { name: "status-port", port: 15_021, targetPort: 15_021, protocol: "TCP" };
  const ports = spec.ports.some(({ port }) => port === statusPort.port) ? spec.ports : [statusPort, ...spec.ports];
  const minimum = spec.minReplicas ?? 1;
  const maximum = spec.maxReplicas ?? 1;
  const own = {
    ports: ports.map((port) =>
      Object.fromEntries(
        Object.entries(port).filter(([field, value]) => value !== undefined && !(field === "nodePort" && value === 0)),
      ),
    ),
    type: spec.serviceType ?? (spec.type === "ingress" ? "LoadBalancer" : "ClusterIP"),
    loadBalancerIP: spec.loadBalancerIP ?? "",
    externalTrafficPolicy: spec.serviceExternalTrafficPolicy ?? "",
    serviceAnnotations: spec.serviceAnnotations,
    podAnnotations: spec.podAnnotations,
    replicaCount: spec.replicaCount ?? 1,
    autoscaleEnabled: maximum > minimum,
    autoscaleMin: minimum,
    autoscaleMax: maximum,
    tolerations: spec.tolerations,
    ...(spec.resources === undefined ? {} : { resources: spec.resources }),
    ...(spec.nodeSelector === undefined ? {} : { nodeSelector: spec.nodeSelector }),
    ...(spec.affinity === undefined ? {} : { affinity: spec.affinity }),
    ...(spec.requestedNetworkView === undefined
      ? {}
      : { env: { ISTIO_META_REQUESTED_NETWORK_VIEW: spec.requestedNetworkView } }),
  };
  return {
    ...settings,
    values: mergeTrees(settings.values, {
      gateways: { [`istio-${spec.type}gateway`]: own, [metadata.name ?? ""]: own },
    }) as InstallSettings["values"],
  };
}

function withLabels(object: UntypedObject, labels: Readonly<Record<string, string>>): UntypedObject {
  return { ...object, metadata: { ...object.metadata, labels: { ...labels, ...object.metadata.labels } } };
}

interface PodChanges {
  readonly labels: Readonly<Record<string, string>>;
  readonly gateway: BanzaiMeshGateway;
  readonly settings: InstallSettings;
}

function withPods(deployment: UntypedObject, { labels, gateway, settings }: PodChanges): UntypedObject {
  const { spec } = deployment as unknown as {
    spec: {
      template: {
        metadata: { annotations: object; labels: Record<string, string> };
        spec: { containers: readonly Record<string, unknown>[] };
      };
    };
  };
  const { metadata } = gateway;
  const canonical = {
    "service.istio.io/canonical-name": metadata.name ?? "",
    "service.istio.io/canonical-revision": "latest",
  };
  const env = mergeEnv<Readonly<Record<string, unknown>>>(
    gatewayEnvironment({ name: metadata.name ?? "", namespace: metadata.namespace ?? "", own: {} }, settings),
    (spec.template.spec.containers[0]?.["env"] ?? []) as Readonly<Record<string, unknown>>[],
    gateway.spec.additionalEnvVars,
  );
  const containers = spec.template.spec.containers.map((container) =>
    isTree(container) ? { ...container, env } : container,
  );
  return {
    ...deployment,
    spec: {
      ...spec,
      selector: { matchLabels: labels },
      template: {
        ...spec.template,
        metadata: {
          ...spec.template.metadata,
          labels: { ...labels, ...canonical, "sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none" },
        },
        spec: { ...spec.template.spec, containers },
      },
    },
  };
}
