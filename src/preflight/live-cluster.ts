import { istioLabels } from "../api/istio/index.ts";
import { userError } from "../base/index.ts";
import type { KindDefinition, KubernetesObject, UntypedObject } from "../api/index.ts";
import { controlPlaneNamespaces, ztunnelNamespaces } from "../api/mesh-namespaces/index.ts";
import { gatewayKind } from "../api/gateway/index.ts";
import {
  configMapKind,
  customResourceDefinitionKind,
  daemonSetKind,
  deploymentKind,
  mutatingWebhookConfigurationKind,
  namespaceKind,
  podDisruptionBudgetKind,
  podKind,
  replicaSetKind,
  secretKind,
  statefulSetKind,
  type ConfigMap,
  type Deployment,
} from "../api/kubernetes/index.ts";
import { installedKinds } from "../install/index.ts";
import { isKubeCode, itemsIfServed, undefinedIfForbidden, type KubeClient } from "../kube/index.ts";
import type { AuthoritySecrets } from "./static-checks/trust.ts";
import type { WorkloadFacts } from "./static-checks/workloads.ts";
import { isMeshGroup } from "./compare/definitions.ts";

export interface LiveCluster extends Omit<WorkloadFacts, "connections"> {
  readonly definitions: readonly UntypedObject[];
  /** The stored objects of the mesh's own kinds, by the name of their CRD. */
  readonly stored: ReadonlyMap<string, readonly UntypedObject[]>;
  /** The roots in the ConfigMap `istio-ca-root-cert`, by namespace. */
  readonly rootCertificates: ReadonlyMap<string, string>;
  readonly controlPlane: ControlPlaneObjects;
  readonly controlPlaneNamespaces: ReadonlySet<string>;
  readonly installed: readonly UntypedObject[];
  /** The kinds of installed objects that the user may not list. */
  readonly unlisted: ReadonlySet<string>;
}

export interface ControlPlaneObjects {
  readonly namespace: string;
  readonly deployment: Deployment;
  readonly mesh: string;
  readonly injector: { readonly config?: string; readonly values?: string } | undefined;
}

const maxLists = 8;
const pilotSelector = "app=istiod";

export async function readLiveCluster(client: KubeClient, revision: string): Promise<LiveCluster> {
  const webhooks = await listed(client, mutatingWebhookConfigurationKind);
  const namespacesOfPlanes = controlPlaneNamespaces(webhooks);
  const controlPlane = await readControlPlane(client, revision, namespacesOfPlanes);
  const [pods, namespaces, deployments, replicaSets, statefulSets, daemonSets, budgets, roots, definitions, gateways] =
    await Promise.all([
      listed(client, podKind),
      listed(client, namespaceKind),
      listed(client, deploymentKind),
      listed(client, replicaSetKind),
      listed(client, statefulSetKind),
      listed(client, daemonSetKind),
      listed(client, podDisruptionBudgetKind),
      client.list(configMapKind, { fieldSelector: "metadata.name=istio-ca-root-cert" }),
      listed(client, customResourceDefinitionKind as unknown as KindDefinition<UntypedObject>),
      itemsIfServed(client.list(gatewayKind)),
    ]);
  return {
    pods,
    namespaces,
    deployments,
    replicaSets,
    statefulSets,
    daemonSets,
    budgets,
    gateways,
    tags: new Map(
      webhooks.flatMap(({ metadata: { labels = {} } }) => {
        const { [istioLabels.tag]: tag, [istioLabels.revision]: revision = "" } = labels;
        return tag === undefined ? [] : [[tag, revision] as const];
      }),
    ),
    definitions: definitions.map((definition) => ({ ...definition, kind: "CustomResourceDefinition" })),
    stored: await readStored(client, definitions),
    rootCertificates: new Map(
      roots.items.map(({ metadata, data }) => [metadata.namespace ?? "", data?.["root-cert.pem"] ?? ""]),
    ),
    controlPlane,
    controlPlaneNamespaces: namespacesOfPlanes,
    ...(await readInstalled(client)),
  };
}

async function listed<Value extends KubernetesObject>(
  client: KubeClient,
  kind: KindDefinition<Value>,
): Promise<readonly Value[]> {
  return (await client.list(kind)).items;
}

async function readControlPlane(
  client: KubeClient,
  revision: string,
  namespaces: ReadonlySet<string>,
): Promise<ControlPlaneObjects> {
  const { items: labelled } = await client.list(deploymentKind, { labelSelector: pilotSelector });
  const items = labelled.filter(({ metadata }) => namespaces.has(metadata.namespace ?? ""));
  const deployment = items.find(({ metadata }) => (metadata.labels?.[istioLabels.revision] ?? "default") === revision);
  if (deployment === undefined) {
    const known = items.map(({ metadata }) => metadata.labels?.[istioLabels.revision] ?? "default").toSorted();
    throw userError("revision-unknown", `spec.from.revision: no control plane of revision "${revision}" is installed`, {
      hint: known.length === 0 ? "no control plane is installed: serin install" : `installed: ${known.join(", ")}`,
    });
  }
  const { namespace = "", name = "" } = deployment.metadata;
  const suffix = name.replace(/^istiod/, "");
  const [mesh, injector] = await Promise.all([
    client.get(configMapKind, `istio${suffix}`, namespace),
    client.get(configMapKind, `istio-sidecar-injector${suffix}`, namespace),
  ]);
  return {
    namespace,
    deployment,
    mesh: mesh?.data?.["mesh"] ?? "",
    injector: injector === undefined ? undefined : textsOf(injector),
  };
}

function textsOf({ data = {} }: ConfigMap): { readonly config?: string; readonly values?: string } {
  const { config, values } = data;
  return { ...(config === undefined ? {} : { config }), ...(values === undefined ? {} : { values }) };
}

/** The objects of all of the mesh's own kinds, by CRD. Leaves out kinds that the user may not list. */
async function readStored(
  client: KubeClient,
  definitions: readonly UntypedObject[],
): Promise<ReadonlyMap<string, readonly UntypedObject[]>> {
  const waiting = definitions.map(kindOfDefinition).filter(({ group }) => isMeshGroup(group));
  const found = new Map<string, readonly UntypedObject[]>();
  const work = async (): Promise<void> => {
    for (let kind = waiting.shift(); kind !== undefined; kind = waiting.shift()) {
      const own = kind;
      const items = await listed(client, own).catch((error: unknown) => {
        if (isKubeCode(error, "not-found") || isKubeCode(error, "forbidden")) return [];
        throw error;
      });
      found.set(
        `${own.plural}.${own.group}`,
        items.map((item) => ({ ...item, apiVersion: `${own.group}/${own.versions[0]}`, kind: own.kind })),
      );
    }
  };
  await Promise.all(Array.from({ length: maxLists }, work));
  return found;
}

/** The kind that a CRD defines, in its storage version. */
function kindOfDefinition(definition: UntypedObject): KindDefinition<UntypedObject> {
  const spec = definition["spec"] as {
    readonly group: string;
    readonly scope: string;
    readonly names: { readonly kind: string; readonly plural: string };
    readonly versions: readonly { readonly name: string; readonly storage: boolean; readonly served: boolean }[];
  };
  const version =
    spec.versions.find(({ storage, served }) => storage && served) ?? spec.versions.find(({ served }) => served);
  return {
    group: spec.group,
    versions: [version?.name ?? "v1"],
    kind: spec.names.kind,
    plural: spec.names.plural,
    namespaced: spec.scope === "Namespaced",
  };
}

/**
 * The kinds of policies that an installation may contain. Earlier releases installed none, so a user's role may still
 * lack the right to list them.
 */
const policyKinds: ReadonlySet<string> = new Set(["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]);

/** Finds installed objects by the labels that the installers of Serin and Istio write. */
async function readInstalled(client: KubeClient): Promise<Pick<LiveCluster, "installed" | "unlisted">> {
  const kinds = installedKinds.filter(
    ({ kind }) => kind !== "CustomResourceDefinition" && kind !== "Namespace" && kind !== "EndpointSlice",
  );
  const unlisted = new Set<string>();
  const lists = await Promise.all(
    kinds.flatMap((kind) =>
      [istioLabels.component, istioLabels.revision].map(async (labelSelector) => {
        const listing = client.list(kind, { labelSelector });
        const found = policyKinds.has(kind.kind) ? await undefinedIfForbidden(listing) : await listing;
        if (found === undefined) unlisted.add(kind.kind);
        return (found?.items ?? []).map((item) => ({
          ...item,
          apiVersion: kind.group === "" ? kind.versions[0] : `${kind.group}/${kind.versions[0]}`,
          kind: kind.kind,
        }));
      }),
    ),
  );
  const unique = new Map(
    lists
      .flat()
      .map((object) => [`${object.kind} ${object.metadata.namespace ?? ""}/${object.metadata.name ?? ""}`, object]),
  );
  return { installed: [...unique.values()], unlisted };
}

const authorityNames = { pluggedIn: "cacerts", selfSigned: "istio-ca-secret" } as const;

/**
 * The roots in the Secrets with which the control planes of these namespaces sign. Undefined if the user may not read
 * the Secrets. The private keys are not kept.
 */
export async function readAuthorities(
  client: KubeClient,
  namespaces: readonly string[],
): Promise<ReadonlyMap<string, AuthoritySecrets> | undefined> {
  const found = new Map<string, AuthoritySecrets>();
  try {
    for (const namespace of new Set(namespaces)) {
      const [pluggedIn, selfSigned] = await Promise.all([
        rootOf(client, authorityNames.pluggedIn, namespace),
        rootOf(client, authorityNames.selfSigned, namespace),
      ]);
      found.set(namespace, {
        ...(pluggedIn === undefined ? {} : { pluggedIn }),
        ...(selfSigned === undefined ? {} : { selfSigned }),
      });
    }
  } catch (error) {
    if (isKubeCode(error, "forbidden")) return undefined;
    throw error;
  }
  return found;
}

/**
 * The root in a Secret of the form of `cacerts`. Empty if the Secret contains none, and undefined if it does not exist.
 */
export async function rootOf(client: KubeClient, name: string, namespace: string): Promise<string | undefined> {
  const secret = await client.get(secretKind, name, namespace);
  if (secret === undefined) return undefined;
  const read = (key: string): string => Buffer.from(secret.data?.[key] ?? "", "base64").toString();
  const root = read("root-cert.pem");
  return root === "" ? read("ca-cert.pem") : root;
}

const metricsPort = 15_020;

/** The number of open connections of each ztunnel pod, by `namespace/name`. Leaves out pods that do not answer. */
export async function readConnections(
  client: KubeClient,
  live: Pick<LiveCluster, "pods" | "controlPlaneNamespaces">,
): Promise<ReadonlyMap<string, number>> {
  const namespaces = ztunnelNamespaces(live.controlPlaneNamespaces);
  const ztunnels = live.pods.filter(
    ({ metadata, status }) =>
      metadata.labels?.["app"] === "ztunnel" &&
      namespaces.has(metadata.namespace ?? "") &&
      status?.phase === "Running" &&
      metadata.deletionTimestamp === undefined,
  );
  const pages = await Promise.all(
    ztunnels.map(async ({ metadata: { name = "", namespace = "" } }): Promise<readonly [string, number][]> => {
      const answer = await client
        .raw("GET", `/api/v1/namespaces/${namespace}/pods/${name}:${metricsPort}/proxy/metrics`, { accept: "*/*" })
        .catch(() => undefined);
      const counts = [...(answer?.text ?? "").matchAll(/^serin_ztunnel_connections\{[^}]*\}\s+(\d+)/gm)];
      return answer?.status !== 200 || counts.length === 0
        ? []
        : [[`${namespace}/${name}`, counts.reduce((sum, [, count = "0"]) => sum + Number(count), 0)]];
    }),
  );
  return new Map(pages.flat());
}
