import { meansNoEffect, type FieldIssue, type Parsed, type UntypedObject } from "../../api/index.ts";
import { meshTextTree } from "../../api/mesh-config-text/index.ts";
import { parseMeshConfig, parseMeshNetworks } from "../../api/istio/index.ts";
import { deploymentKind, secretKind } from "../../api/kubernetes/index.ts";
import { SerinError } from "../../base/index.ts";
import type { Analyzer } from "../analyzer.ts";
import type { Inventory } from "../inventory.ts";
import { messageTypes, type MessageType } from "../message-types.ts";
import type { Resource } from "../resource.ts";

const configMap = { group: "", kind: "ConfigMap" };
const namePattern = /^istio(-[a-z0-9-]+)?$/;

const parsers: Readonly<Record<string, (raw: unknown) => Parsed<unknown>>> = {
  mesh: parseMeshConfig,
  meshNetworks: parseMeshNetworks,
};

/** Reports about the mesh config and the mesh networks what a control plane reports when it loads them. */
export const meshConfigAnalyzer: Analyzer = {
  name: "serin.meshconfig.FieldAnalyzer",
  description: "fields of the mesh config and of the mesh networks have valid values, and an effect",
  analyze(inventory, report) {
    for (const [key, parse] of Object.entries(parsers)) {
      for (const { resource, text } of textsOf(inventory, key)) {
        const { errors, warnings } = parsed(text, parse);
        const tell = (type: MessageType, { path, message }: FieldIssue): void =>
          report(type, resource, `data.${key}`, `${key}: ${path === "" ? "" : `${path} `}${message}`);
        for (const error of errors) tell(messageTypes.schemaValidationError, error);
        for (const warning of warnings)
          tell(meansNoEffect(warning) ? messageTypes.fieldWithoutEffect : messageTypes.schemaWarning, warning);
      }
    }
  },
};

/** Names of registries that upstream accepts in the place of a cluster's name. */
const builtInRegistries = ["Kubernetes", "External", "Mock"];

export const meshNetworksAnalyzer: Analyzer = {
  name: "meshnetworks.MeshNetworksAnalyzer",
  description: "clusters in the mesh networks are known to the control plane",
  analyze(inventory, report) {
    const known = knownClusters(inventory);
    if (known === undefined) return;
    for (const { resource, text } of textsOf(inventory, "meshNetworks")) {
      for (const [network, { registries }] of Object.entries(parsed(text, parseMeshNetworks).value ?? {})) {
        for (const registry of registries) {
          if (known.has(registry)) continue;
          report(
            messageTypes.unknownMeshNetworksServiceRegistry,
            resource,
            "data.meshNetworks",
            `network ${network} has the endpoints of cluster "${registry}" (fromRegistry), but the control plane reads no such cluster, so the network gets none of them; correct the name, or add the cluster: serin create-remote-secret --name ${registry}`,
          );
        }
      }
    }
  },
};

/**
 * The clusters whose endpoints the control planes read: their own, and those with a kubeconfig in a Secret. Undefined
 * if there may be others, because a control plane runs outside the cluster or has kubeconfigs as files in its pod.
 */
function knownClusters(inventory: Inventory): ReadonlySet<string> | undefined {
  if (!inventory.knowsAll(secretKind, deploymentKind)) return undefined;
  const pilots = inventory.of(deploymentKind).filter(({ object }) => object.metadata.labels?.["app"] === "istiod");
  const variables = pilots
    .flatMap(({ object }) => object.spec?.template.spec?.containers ?? [])
    .flatMap(({ env = [] }) => env);
  const readsFiles = variables.some(
    ({ name, value = "" }) => name === "PILOT_MULTICLUSTER_KUBECONFIG_PATH" && value !== "",
  );
  if (pilots.length === 0 || readsFiles) return undefined;
  const own = variables.flatMap(({ name, value }) => (name === "CLUSTER_ID" ? (value ?? []) : []));
  const remote = inventory
    .of(secretKind)
    .filter(
      ({ object: { metadata } }) =>
        metadata.namespace === inventory.options.istioNamespace && metadata.labels?.["istio/multiCluster"] === "true",
    )
    .flatMap(({ object: { data, stringData } }) => Object.keys({ ...data, ...stringData }));
  return new Set([...builtInRegistries, ...own, ...remote]);
}

/** The values of a key in the ConfigMaps of all revisions. */
function textsOf(inventory: Inventory, key: string): readonly { readonly resource: Resource; readonly text: string }[] {
  return inventory.raw(configMap).flatMap((resource) => {
    const { metadata, data } = resource.object as UntypedObject & { readonly data?: Readonly<Record<string, unknown>> };
    const text = data?.[key];
    return metadata.namespace === inventory.options.istioNamespace &&
      namePattern.test(metadata.name ?? "") &&
      typeof text === "string"
      ? [{ resource, text }]
      : [];
  });
}

function parsed<Config>(text: string, parse: (raw: unknown) => Parsed<Config>): Parsed<Config> {
  try {
    return parse(meshTextTree(text, "the text"));
  } catch (error) {
    if (!(error instanceof SerinError)) throw error;
    return { value: undefined, errors: [{ path: "", message: error.message }], warnings: [] };
  }
}
