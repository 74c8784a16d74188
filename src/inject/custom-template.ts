import * as yaml from "yaml";
import { isTree, messageOf, textMapAt, type Tree, treeAt, userError } from "../base/index.ts";
import { valueForKubernetes } from "../base/kubernetes-yaml/index.ts";
import { proxyImage } from "./proxy-container.ts";
import { renderPodTemplate } from "./render-pod-template.ts";
import { proxyUser, type InjectedPod, type TemplateInput } from "./template-input.ts";

/**
 * Renders a template that users have added to the injection's configuration. Throws a user error with its name if it
 * fails or produces anything but labels, annotations and a pod spec.
 */
export function customTemplate(name: string, text: string, input: TemplateInput): InjectedPod {
  const failed = (fault: string, cause?: unknown): Error =>
    userError(
      "template-failed",
      `the template "${name}" of the injection's configuration ${fault}`,
      cause === undefined ? {} : { cause },
    );
  let value: unknown;
  try {
    value = valueForKubernetes(yaml, renderPodTemplate(text, templateData(input)));
  } catch (error) {
    throw failed(`cannot be used: ${messageOf(error)}`, error);
  }
  if (value === null || value === undefined) return { labels: {}, annotations: {}, spec: {} };
  if (!isTree(value)) throw failed("must produce a pod's metadata and spec");
  const foreign = Object.keys(value).find((key) => key !== "metadata" && key !== "spec");
  if (foreign !== undefined) throw failed(`produces "${foreign}"; only metadata and spec are merged into pods`);
  const ownMetadata = Object.keys(treeAt(value, "metadata") ?? {}).find(
    (key) => key !== "labels" && key !== "annotations",
  );
  if (ownMetadata !== undefined)
    throw failed(`produces metadata.${ownMetadata}; only labels and annotations are merged into pods`);
  const spec = treeAt(value, "spec") ?? {};
  for (const field of namedLists)
    if (!isNamedList(spec[field])) throw failed(`produces a spec.${field} that is not a list of objects with names`);
  return {
    labels: textMapAt(value, "metadata", "labels"),
    annotations: textMapAt(value, "metadata", "annotations"),
    spec,
  };
}

const namedLists = ["containers", "initContainers", "volumes", "imagePullSecrets"] as const;

/** Whether the list can be merged by name: each element has a name or a `$patch` directive. */
function isNamedList(list: unknown): boolean {
  if (list === undefined || list === null) return true;
  return (
    Array.isArray(list) &&
    list.every((element) => isTree(element) && (typeof element["name"] === "string" || element["$patch"] !== undefined))
  );
}

/** The data of a template, under the same names as in upstream. */
function templateData(input: TemplateInput): Tree {
  const { pod, namespace, labels, annotations, owner, values, mesh, proxyConfig } = input;
  return {
    TypeMeta: { apiVersion: owner.apiVersion, kind: owner.kind },
    DeploymentMeta: { Name: owner.name, Namespace: namespace },
    ObjectMeta: { ...pod.metadata, namespace, labels, annotations },
    Spec: pod.spec ?? {},
    ProxyConfig: {
      interceptionMode: proxyConfig.interceptionMode,
      ...(JSON.parse(proxyConfig.json) as Tree),
      statusPort: proxyConfig.statusPort,
      proxyMetadata: proxyConfig.proxyMetadata,
      holdApplicationUntilProxyStarts: proxyConfig.holdApplicationUntilProxyStarts,
    },
    MeshConfig: {
      trustDomain: mesh.trustDomain,
      rootNamespace: mesh.rootNamespace,
      proxyListenPort: mesh.proxyListenPort,
      proxyInboundListenPort: mesh.proxyInboundListenPort,
      defaultConfig: mesh.defaultConfig,
    },
    Values: input.valuesTree,
    Revision: input.revision,
    ProxyImage: proxyImage(input, values.proxy.image),
    ProxyInitImage: proxyImage(input, values.proxyInit.image, ""),
    NativeSidecars: input.nativeSidecar,
    ProxyUID: proxyUser,
    ProxyGID: proxyUser,
    InboundTrafficPolicyMode: mesh.inboundToLocalhost ? "localhost" : "passthrough",
    CompliancePolicy: input.compliance ?? "",
  };
}
