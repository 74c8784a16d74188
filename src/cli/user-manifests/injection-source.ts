import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { nearestName, userError } from "../../base/index.ts";
import { meshTextTree } from "../../api/mesh-config-text/index.ts";
import { formatIssues } from "../../api/index.ts";
import { defaultHub } from "../../api/images/index.ts";
import { configMapKind, nodeKind } from "../../api/kubernetes/index.ts";
import { proxyConfigKind, type ProxyConfigObject } from "../../api/istio/index.ts";
import {
  everyKubeletRunsSidecars,
  readInjectionSettings,
  readMeshForInjection,
  type InjectionContext,
} from "../../inject/index.ts";
import type { CliContext } from "../context.ts";

export interface InjectionTexts {
  /** `config` and `values` of the ConfigMap `istio-sidecar-injector[-<rev>]`. */
  readonly config: string | undefined;
  readonly values: string | undefined;
  /** The mesh config in the ConfigMap `istio[-<rev>]`. */
  readonly mesh: string | undefined;
}

/** What errors call these texts: the names of files, or the keys of ConfigMaps. */
export type InjectionPlaces = Readonly<Record<keyof InjectionTexts, string>>;

export function placesInCluster(revision: string, namespace: string): InjectionPlaces {
  const suffix = revision === "default" ? "" : `-${revision}`;
  const injector = `ConfigMap ${namespace}/${configMapName}${suffix}`;
  return {
    config: `the key config of ${injector}`,
    values: `the key values of ${injector}`,
    mesh: `the key mesh of ConfigMap ${namespace}/istio${suffix}`,
  };
}

const configMapName = "istio-sidecar-injector";

/** Reads the injection settings of the revision from the cluster. Throws a user error if the revision has none. */
export async function readInjectionTexts(
  client: KubeClient,
  revision: string,
  namespace: string,
): Promise<InjectionTexts> {
  const suffix = revision === "default" ? "" : `-${revision}`;
  const [injector, mesh] = await Promise.all([
    client.get(configMapKind, `${configMapName}${suffix}`, namespace),
    client.get(configMapKind, `istio${suffix}`, namespace),
  ]);
  if (injector === undefined) throw await unknownRevision(client, revision, namespace);
  return { config: injector.data?.["config"], values: injector.data?.["values"], mesh: mesh?.data?.["mesh"] };
}

async function unknownRevision(client: KubeClient, revision: string, namespace: string): Promise<Error> {
  const { items } = await client.list(configMapKind, { namespace });
  const known = items
    .map(({ metadata: { name = "" } }) => name)
    .filter((name) => name.startsWith(configMapName))
    .map((name) => name.slice(configMapName.length + 1) || "default");
  const near = nearestName(revision, known);
  return userError(
    "revision-unknown",
    `there is no ConfigMap ${configMapName}${revision === "default" ? "" : `-${revision}`} in namespace ${namespace}${near === undefined ? "" : `; did you mean the revision "${near}"?`}`,
    {
      hint:
        known.length === 0
          ? "no control plane is installed in this namespace; use -i for another one"
          : `revisions: ${known.join(", ")}; choose one with --revision`,
    },
  );
}

/** Builds the settings for injection. A text that is undefined means the defaults. */
export async function injectionContext(
  { texts, places }: { readonly texts: InjectionTexts; readonly places: InjectionPlaces },
  revision: string,
  namespace: string,
  client: KubeClient | undefined,
  context: CliContext,
): Promise<InjectionContext> {
  const defaults = {
    hub: defaultHub,
    tag: context.version,
    istioNamespace: namespace,
    revision,
    clusterName: "Kubernetes",
    network: "",
  };
  const settings = readInjectionSettings({ config: texts.config, values: texts.values, places }, defaults);
  for (const warning of settings.warnings) context.err(`! ${warning}\n`);
  const mesh = readMeshForInjection(meshTextTree(texts.mesh ?? "", places.mesh));
  if (client === undefined) return { settings, mesh, revision, nativeSidecars: true, proxyConfigs: [] };
  const [nodes, proxyConfigs] = await Promise.all([client.list(nodeKind), proxyConfigsOf(client, context)]);
  const versions = nodes.items.map(({ status }) => status?.nodeInfo?.["kubeletVersion"] ?? "");
  return {
    settings,
    mesh,
    revision,
    nativeSidecars: everyKubeletRunsSidecars(versions),
    proxyConfigs,
  };
}

async function proxyConfigsOf(client: KubeClient, context: CliContext): Promise<ProxyConfigObject[]> {
  const { items } = await client.list(proxyConfigKind).catch((error: unknown) => {
    // The cluster does not serve ProxyConfigs.
    if (isKubeCode(error, "not-found")) return { items: [] };
    throw error;
  });
  return items.flatMap((item) => {
    const parsed = proxyConfigKind.parse?.(item);
    if (parsed?.value === undefined)
      context.err(
        `! ProxyConfig ${item.metadata.namespace ?? ""}/${item.metadata.name ?? ""} is not valid and has no effect: ${formatIssues(parsed?.errors ?? [])}\n`,
      );
    return parsed?.value ?? [];
  });
}
