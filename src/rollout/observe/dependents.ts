import { matchesLabelSelector } from "../../api/index.ts";
import {
  mutatingWebhookConfigurationKind,
  validatingWebhookConfigurationKind,
  type Deployment,
  type Pod,
  type WebhookConfiguration,
} from "../../api/kubernetes/index.ts";
import { gatewayKind } from "../../api/gateway/index.ts";
import { workloadEntryKind, istioLabels } from "../../api/istio/index.ts";
import { itemsIfServed, type KubeClient } from "../../kube/index.ts";
import { podOfProxyId, ztunnelOwnerAnnotation } from "../../api/serin/index.ts";
import { injectionLabel, probeNamespace, revisionLabel, tagLabel, type Dependent } from "../plan/index.ts";
import { choosesInjector } from "../act/undo-order.ts";
import type { ClusterView } from "./cluster-view.ts";
import { ledElsewhere } from "./injectors.ts";
import { readOperators, type OperatorObjectOf } from "./operator-objects.ts";
import { podOfProxy } from "./pilot-answers.ts";
import { dependentProxies } from "./served-proxies.ts";
import { isLive, restartObstacle, sidecarRevision, workloadOf } from "./sidecar-workloads.ts";

const controllerAnnotation = "istio.io/workloadController";

/**
 * Everything that still needs a revision: pods that its ztunnel owns, sidecars, gateways and waypoints, all clients of
 * its control plane (including machines), and the objects that would give it new clients: webhooks, namespaces,
 * Gateways.
 */
export async function dependentsOf(client: KubeClient, view: ClusterView, revision: string): Promise<Dependent[]> {
  const operatorOf = await gatewayOperators(client, view);
  const stored = await storedIn(client, view, revision, operatorOf);
  const named = new Set(stored.map(({ proxy }) => proxy));
  const connected = (await dependentProxies(view, revision))
    .filter((id) => !named.has(id))
    .map((id) => connectedProxy(view, id, operatorOf));
  return [...stored, ...connected];
}

async function gatewayOperators(client: KubeClient, view: ClusterView): Promise<OperatorObjectOf> {
  return await readOperators(client, view.deployments.list().filter(isInstalledGateway));
}

/**
 * The dependents that are visible in objects of the cluster. Unlike {@link dependentsOf}, this asks no control plane.
 */
export async function storedDependents(client: KubeClient, view: ClusterView, revision: string): Promise<Dependent[]> {
  return await storedIn(client, view, revision, await gatewayOperators(client, view));
}

async function storedIn(
  client: KubeClient,
  view: ClusterView,
  revision: string,
  operatorOf: OperatorObjectOf,
): Promise<Dependent[]> {
  return [
    ...podsOf(view, revision, operatorOf),
    ...(await webhooksOf(client, revision)),
    ...(await machinesOf(client, revision)),
    ...namespacesOf(view, revision),
    ...(await gatewaysOf(client, revision)),
  ];
}

function connectedProxy(view: ClusterView, id: string, operatorOf: OperatorObjectOf): Dependent {
  const { name, namespace } = podOfProxyId(id);
  const pod = podOfProxy(view, id);
  const endsBy = pod?.metadata.deletionTimestamp;
  if (endsBy !== undefined) return { type: "proxy", name, namespace, text: `proxy ${id}`, endsBy };
  return (
    (pod === undefined ? undefined : gatewayOf(view, pod, `proxy ${id}`, operatorOf)) ?? {
      type: "proxy",
      name,
      namespace,
      text: `proxy ${id}`,
    }
  );
}

function isInstalledGateway({ metadata: { labels = {} } }: Pod | Deployment): boolean {
  return /^(Ingress|Egress)Gateways$/.test(labels[istioLabels.component] ?? "");
}

/** The gateway to which this pod belongs. Undefined if neither an installation nor an operator made one. */
function gatewayOf(view: ClusterView, pod: Pod, text: string, operatorOf: OperatorObjectOf): Dependent | undefined {
  const { name = "", namespace = "" } = pod.metadata;
  const workload = workloadOf(pod);
  const own = { namespace, workload, proxy: `${name}.${namespace}`, text };
  const deployment = workload.kind === "Deployment" ? view.deployments.get(`${namespace}/${workload.name}`) : undefined;
  const owner = deployment === undefined ? undefined : operatorOf(deployment);
  if (owner !== undefined && (owner.kind === "MeshGateway" || isInstalledGateway(pod)))
    return { type: "ownedGateway", name, owner, ...own };
  return isInstalledGateway(pod) ? { type: "installedGateway", name, ...own } : undefined;
}

function podsOf(view: ClusterView, revision: string, operatorOf: OperatorObjectOf): Dependent[] {
  return view.pods.list().flatMap((pod): Dependent[] => {
    const { name = "", namespace = "", labels = {}, annotations = {} } = pod.metadata;
    if (namespace === probeNamespace || !isLive(pod)) return [];
    const text = `pod ${namespace}/${name}`;
    const own = { namespace, workload: workloadOf(pod), proxy: `${name}.${namespace}` };
    if (annotations[ztunnelOwnerAnnotation] === revision)
      return [{ type: "ztunnel", name, ...own, text: `${text} (its ztunnel)` }];
    if (sidecarRevision(pod) === revision) {
      const obstacle = restartObstacle(view, own.workload, name);
      const kept = obstacle === undefined ? {} : { restartObstacle: obstacle };
      const led = ledElsewhere(view, namespace, revision);
      const elsewhere = led === undefined ? {} : { ledElsewhere: led };
      const outside = isOutside(view, pod) ? { isOutside: true } : {};
      return [{ type: "sidecar", name, ...own, ...kept, ...elsewhere, ...outside, text: `${text} (its sidecar)` }];
    }
    if ((labels[revisionLabel] ?? "default") !== revision) return [];
    const gateway = labels[istioLabels.gatewayName];
    if (gateway !== undefined)
      return labels[revisionLabel] === undefined
        ? []
        : [{ type: "gateway", name: gateway, ...own, text: `${text} (a gateway)` }];
    const found = gatewayOf(view, pod, `${text} (a gateway)`, operatorOf);
    return found === undefined ? [] : [found];
  });
}

/** Whether the pod's namespace has left the mesh: no injector would handle the pod's successor. */
function isOutside(view: ClusterView, { metadata: { namespace = "", labels = {} } }: Pod): boolean {
  const found = view.namespaces.get(namespace);
  if (found === undefined || choosesInjector(found.metadata.labels)) return false;
  return !view.injectors
    .list()
    .some(({ webhooks = [] }) =>
      webhooks.some(
        ({ namespaceSelector = {}, objectSelector = {} }) =>
          matchesLabelSelector(namespaceSelector, found.metadata.labels) &&
          matchesLabelSelector(objectSelector, labels),
      ),
    );
}

/**
 * Tags and validators that point to the revision. The revision's own webhooks do not count, because they are removed
 * with it.
 */
async function webhooksOf(client: KubeClient, revision: string): Promise<Dependent[]> {
  const [injectors, validators] = await Promise.all([
    client.list(mutatingWebhookConfigurationKind),
    client.list(validatingWebhookConfigurationKind),
  ]);
  const leads = ({ metadata: { labels = {} } }: WebhookConfiguration): boolean =>
    labels[tagLabel] !== undefined && labels[revisionLabel] === revision;
  return [
    ...injectors.items.filter(leads).map(({ metadata }): Dependent => {
      const tag = metadata.labels?.[tagLabel] ?? "";
      return { type: "tag", name: tag, text: `tag ${tag}` };
    }),
    ...validators.items.filter(leads).map(({ metadata: { name = "" } }): Dependent => ({
      type: "validator",
      name,
      text: `ValidatingWebhookConfiguration ${name}`,
    })),
  ];
}

async function machinesOf(client: KubeClient, revision: string): Promise<Dependent[]> {
  const entries = await itemsIfServed(client.list(workloadEntryKind));
  const pilot =
    revision === "default"
      ? /^istiod-[0-9a-z]+-[0-9a-z]{5}$/
      : new RegExp(`^istiod-${revision.replaceAll(".", "[.-]")}-[0-9a-z]+-[0-9a-z]{5}$`);
  return entries
    .filter(({ metadata }) => pilot.test((metadata.annotations?.[controllerAnnotation] ?? "").split(".")[0] ?? ""))
    .map(({ metadata: { name = "", namespace = "" } }) => ({
      type: "machine",
      name,
      namespace,
      text: `WorkloadEntry ${namespace}/${name}`,
    }));
}

function namespacesOf(view: ClusterView, revision: string): Dependent[] {
  return view.namespaces
    .list()
    .filter(
      // A namespace that is being deleted gets no more pods.
      ({ metadata: { labels = {}, deletionTimestamp } }) =>
        deletionTimestamp === undefined && labels[injectionLabel] === undefined && labels[revisionLabel] === revision,
    )
    .map(({ metadata: { name = "" } }) => ({ type: "namespace", name, text: `namespace ${name} (its label)` }));
}

async function gatewaysOf(client: KubeClient, revision: string): Promise<Dependent[]> {
  const gateways = await itemsIfServed(client.list(gatewayKind));
  return gateways
    .filter(({ metadata }) => metadata.namespace !== probeNamespace && metadata.labels?.[revisionLabel] === revision)
    .map(({ metadata: { name = "", namespace = "" } }) => ({
      type: "gatewayLabel",
      name,
      namespace,
      text: `Gateway ${namespace}/${name} (its label)`,
    }));
}
