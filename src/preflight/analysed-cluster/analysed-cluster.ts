import { SerinError, transientError, userError, type ErrorCode } from "../../base/index.ts";
import { validMeshConfig } from "../../api/mesh-config-text/index.ts";
import type { KindDefinition, KubernetesObject, UntypedObject } from "../../api/index.ts";
import { rolloutKinds } from "../../api/serin/index.ts";
import { gatewayApiKinds } from "../../api/gateway/index.ts";
import { istioKinds, istioLabels, type MeshConfig } from "../../api/istio/index.ts";
import {
  configMapKind,
  customResourceDefinitionKind,
  deploymentKind,
  mutatingWebhookConfigurationKind,
  namespaceKind,
  podKind,
  secretKind,
  serviceKind,
  validatingWebhookConfigurationKind,
} from "../../api/kubernetes/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";

export interface AnalysedCluster {
  readonly objects: readonly UntypedObject[];
  /** The error for each `group/Kind` that the server did not list. */
  readonly unread: ReadonlyMap<string, SerinError>;
  /** Each `group/Kind` that the cluster does not serve, because it has no CRD for it. */
  readonly notServed: ReadonlySet<string>;
  /** The selected revision. For a tag, the revision that it points to. */
  readonly revision: string;
}

const kubernetesKinds: readonly KindDefinition[] = [
  namespaceKind,
  serviceKind,
  podKind,
  deploymentKind,
  secretKind,
  configMapKind,
  mutatingWebhookConfigurationKind,
  validatingWebhookConfigurationKind,
  customResourceDefinitionKind,
];
/** Errors that do not depend on the kind, so that no list can succeed. */
const generalErrors: ReadonlySet<ErrorCode> = new Set([
  "cancelled",
  "file-unreadable",
  "kubeconfig-invalid",
  "unauthorized",
  "unreachable",
]);
const maxLists = 8;

interface ClusterSelection {
  readonly istioNamespace: string;
  /** A revision or a tag. Leaves out Istio's objects that name another revision. */
  readonly revision: string;
  /** The kinds to read. By default, all that an analysis uses. */
  readonly kinds?: readonly KindDefinition[];
}

/** The time limit for all lists together, and what the user can do if it is too short. */
interface ReadLimit {
  readonly timeoutMs: number;
  readonly hint?: string;
}

const analysedKinds = [...kubernetesKinds, ...istioKinds, ...gatewayApiKinds, ...rolloutKinds];

/**
 * Reads objects. `unread` names the kinds that the server does not list, because the user lacks the right or because a
 * conversion webhook is down. Throws if the cluster does not answer.
 */
export async function readAnalysedCluster(
  client: KubeClient,
  { istioNamespace, revision, kinds = analysedKinds }: ClusterSelection,
  { timeoutMs, hint }: ReadLimit,
): Promise<AnalysedCluster> {
  const objects: UntypedObject[] = [];
  const unread = new Map<string, SerinError>();
  const notServed = new Set<string>();
  const waiting = [...kinds];
  const deadline = AbortSignal.timeout(timeoutMs);
  const work = async (): Promise<void> => {
    for (let kind = waiting.shift(); kind !== undefined; kind = waiting.shift()) {
      if (deadline.aborted)
        throw transientError(
          "release-failed",
          `the cluster's objects could not be read within ${timeoutMs / 1000} s`,
          hint === undefined ? {} : { hint },
        );
      try {
        objects.push(...(await readKind(client, kind, istioNamespace)));
      } catch (error) {
        if (isKubeCode(error, "not-found")) notServed.add(`${kind.group}/${kind.kind}`);
        else if (error instanceof SerinError && !generalErrors.has(error.code))
          unread.set(`${kind.group}/${kind.kind}`, error);
        else throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: maxLists }, work));
  const resolved = revisionOfTag(objects, revision) ?? revision;
  const names = new Set([revision, resolved]);
  return { objects: objects.filter((object) => isOfRevision(object, names)), unread, notServed, revision: resolved };
}

/** The revision that a tag points to. Undefined if no injector has the tag, or if the injectors could not be read. */
function revisionOfTag(objects: readonly UntypedObject[], tag: string): string | undefined {
  const injector = objects.find(
    ({ kind, metadata }) =>
      kind === mutatingWebhookConfigurationKind.kind && metadata.labels?.[istioLabels.tag] === tag,
  );
  return injector?.metadata.labels?.[istioLabels.revision];
}

/**
 * Lists a kind in a version that the cluster serves, because older CRDs lack the newest version: most kinds of Istio
 * have `v1` only since 1.22.
 */
async function readKind(
  client: KubeClient,
  kind: KindDefinition,
  istioNamespace: string,
): Promise<readonly UntypedObject[]> {
  const options = kind === configMapKind ? { namespace: istioNamespace } : {};
  const [version, ...olderVersions] = kind.versions;
  let items: readonly KubernetesObject[];
  try {
    ({ items } = await client.list<KubernetesObject>(kind, options));
  } catch (error) {
    const [next, ...others] = olderVersions;
    if (next === undefined || !isKubeCode(error, "not-found")) throw error;
    return await readKind(client, { ...kind, versions: [next, ...others] }, istioNamespace);
  }
  const apiVersion = kind.group === "" ? version : `${kind.group}/${version}`;
  return items.map((item) => ({ ...item, apiVersion: item.apiVersion ?? apiVersion, kind: item.kind ?? kind.kind }));
}

/** An object that names a revision belongs to that revision only. Every other object belongs to all revisions. */
function isOfRevision({ apiVersion = "", metadata }: UntypedObject, names: ReadonlySet<string>): boolean {
  const own = metadata.labels?.[istioLabels.revision];
  return own === undefined || !apiVersion.includes("istio.io/") || names.has(own);
}

/** Throws if no control plane of the cluster has this revision. */
export function checkRevision({ objects, unread }: AnalysedCluster, revision: string): void {
  if (revision === "default" || unread.size > 0) return;
  const known = new Set(
    objects.flatMap(({ kind, metadata: { labels = {} } }) => {
      const isControlPlane =
        kind === "MutatingWebhookConfiguration" || (kind === "Deployment" && labels["app"] === "istiod");
      return isControlPlane ? [labels[istioLabels.revision] ?? [], labels[istioLabels.tag] ?? []].flat() : [];
    }),
  );
  if (known.has(revision)) return;
  const names = [...known].toSorted();
  throw userError("revision-unknown", `there is no revision or tag "${revision}" in the cluster`, {
    hint: names.length === 0 ? "no control plane is installed: serin install" : `installed: ${names.join(", ")}`,
  });
}

/**
 * The mesh config of a revision, with its defaults. Undefined if the cluster has none, or an invalid one, which an
 * analyzer reports.
 */
export function meshConfigOf(
  { objects, revision }: AnalysedCluster,
  { istioNamespace }: { readonly istioNamespace: string },
): MeshConfig | undefined {
  const name = revision === "default" ? "istio" : `istio-${revision}`;
  const found = objects.find(
    ({ kind, metadata }) => kind === "ConfigMap" && metadata.namespace === istioNamespace && metadata.name === name,
  );
  return validMeshConfig((found?.["data"] as Record<string, string> | undefined)?.["mesh"]);
}
