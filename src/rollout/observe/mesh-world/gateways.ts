import type { UntypedObject } from "../../../api/index.ts";
import { gatewayKind, type Gateway } from "../../../api/gateway/index.ts";
import { horizontalPodAutoscalerKind, type Deployment } from "../../../api/kubernetes/index.ts";
import { canaryOfLabel, type MeshUpgrade } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import {
  probeNamespace,
  reference,
  revisionLabel,
  type ClassicGatewayInWorld,
  type GatewayInWorld,
  type ScaledDeployment,
} from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import type { PriorValues } from "./prior-values.ts";

const gatewayNameLabel = "gateway.networking.k8s.io/gateway-name";
const componentLabel = "operator.istio.io/component";
const ingressClass = "istio";
const waypointClasses: readonly string[] = ["istio-waypoint", "istio-mesh"];

export interface GatewaySources {
  readonly client: KubeClient;
  readonly view: ClusterView;
  readonly upgrade: MeshUpgrade;
  readonly prior: PriorValues;
  /** Tag -> revision, as it was before the upgrade. */
  readonly tags: ReadonlyMap<string, string>;
}

/** None where the cluster does not serve them. The probes' own go with the probes. */
export async function listGateways(client: KubeClient): Promise<readonly Gateway[]> {
  const { items } = await client.list(gatewayKind).catch(() => ({ items: [] as readonly Gateway[] }));
  return items.filter(
    ({ metadata }) => metadata.namespace !== probeNamespace && metadata.deletionTimestamp === undefined,
  );
}

/** Gateways and waypoints that the old revision owned when the upgrade began: by their label, their namespace's, or the default tag. */
export async function observeGateways(sources: GatewaySources): Promise<GatewayInWorld[]> {
  const { client, view, upgrade, prior, tags } = sources;
  const { scope, from } = upgrade.spec;
  const gateways = (await listGateways(client)).filter(({ spec }) =>
    spec.gatewayClassName === ingressClass
      ? scope.gateways
      : scope.waypoints && waypointClasses.includes(spec.gatewayClassName),
  );
  if (gateways.length === 0) return [];
  const autoscaled = await autoscaledDeployments(client);
  return gateways
    .flatMap(({ metadata, spec }): GatewayInWorld[] => {
      const { name = "", namespace = "" } = metadata;
      const object = reference("gateway.networking.k8s.io/v1", "Gateway", name, namespace);
      const label = prior.label(object, revisionLabel, metadata.labels?.[revisionLabel]);
      const named = view.namespaces.get(namespace);
      const ofNamespace = prior.label(
        reference("v1", "Namespace", namespace),
        revisionLabel,
        named?.metadata.labels?.[revisionLabel],
      );
      const leader = label ?? ofNamespace ?? "default";
      if ((tags.get(leader) ?? leader) !== from.revision) return [];
      const deployments = view.deployments
        .list()
        .filter(
          (deployment) =>
            deployment.metadata.namespace === namespace &&
            deployment.metadata.labels?.[gatewayNameLabel] === name &&
            deployment.metadata.labels[canaryOfLabel] === undefined,
        )
        .map((deployment) => scaled(deployment, prior, autoscaled))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1));
      const waypoint = spec.gatewayClassName !== ingressClass;
      return [
        {
          name,
          namespace,
          waypoint,
          ...(label === undefined ? {} : { label }),
          followsNamespace: label === undefined && ofNamespace !== undefined,
          deployments,
        },
      ];
    })
    .toSorted((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
}

/** Gateways that an installation brings and the new one names as well. */
export async function observeClassicGateways(
  { client, view, upgrade, prior }: GatewaySources,
  installs: readonly (readonly UntypedObject[])[],
): Promise<ClassicGatewayInWorld[]> {
  if (!upgrade.spec.scope.gateways) return [];
  const bodies = installs
    .flat()
    .filter(
      ({ kind, metadata }) =>
        kind === "Deployment" && /^(Ingress|Egress)Gateways$/.test(metadata.labels?.[componentLabel] ?? ""),
    );
  if (bodies.length === 0) return [];
  const autoscaled = await autoscaledDeployments(client);
  return bodies.flatMap((body) => {
    const { name = "", namespace = "" } = body.metadata;
    const found = view.deployments.get(`${namespace}/${name}`);
    const before = prior.label(
      reference("apps/v1", "Deployment", name, namespace),
      revisionLabel,
      found?.metadata.labels?.[revisionLabel],
    );
    return found === undefined || before !== upgrade.spec.from.revision
      ? []
      : [{ namespace, deployment: scaled(found, prior, autoscaled), body }];
  });
}

function scaled({ metadata, spec }: Deployment, prior: PriorValues, autoscaled: ReadonlySet<string>): ScaledDeployment {
  const { name = "", namespace = "" } = metadata;
  return {
    name,
    replicas: prior.value(reference("apps/v1", "Deployment", name, namespace), "/spec/replicas", spec?.replicas ?? 1),
    autoscaled: autoscaled.has(`${namespace}/${name}`),
  };
}

async function autoscaledDeployments(client: KubeClient): Promise<ReadonlySet<string>> {
  const { items } = await client.list(horizontalPodAutoscalerKind);
  return new Set(
    items.flatMap(({ metadata, spec }) =>
      spec?.scaleTargetRef?.kind === "Deployment" ? [`${metadata.namespace ?? ""}/${spec.scaleTargetRef.name}`] : [],
    ),
  );
}
