import { matchesLabelSelector, type KindDefinition, type LabelSelector } from "../../api/index.ts";
import { istioAnnotations, istioLabels } from "../../api/istio/index.ts";
import {
  configMapKind,
  daemonSetKind,
  deploymentKind,
  mutatingWebhookConfigurationKind,
  namespaceKind,
  statefulSetKind,
  type DaemonSet,
  type Namespace,
  type PodSpec,
  type StatefulSet,
} from "../../api/kubernetes/index.ts";
import { ownField } from "../../base/index.ts";
import { listed, type Analyzer, type Report } from "../analyzer.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";
import { hasSidecar, namespaceLabels, pods, type Workload } from "../workloads.ts";
import { webhooksOf } from "./webhooks.ts";

const { dataplaneMode, injection, revision } = istioLabels;

interface InjectorValues {
  readonly global?: {
    readonly hub?: string;
    readonly tag?: string | number;
    readonly variant?: string;
    readonly proxy?: { readonly image?: string };
  };
  readonly sidecarInjectorWebhook?: { readonly enableNamespacesByDefault?: boolean };
}

export const injectionAnalyzer: Analyzer = {
  name: "injection.Analyzer",
  description: "namespaces are labelled for the mesh, and their pods have sidecars where the labels ask for them",
  analyze(inventory, report) {
    for (const namespace of inventory.of(namespaceKind)) checkNamespace(namespace, inventory, report);
    for (const pod of pods(inventory)) checkPod(pod, inventory, report);
  },
};

function checkNamespace(
  { resource, object: { metadata } }: Entry<Namespace>,
  inventory: Inventory,
  report: Report,
): void {
  const { name = "", labels = {} } = metadata;
  if (name === inventory.options.istioNamespace || isOfCluster(name)) return;
  const presentKeys = [injection, revision, dataplaneMode].filter(
    (key) =>
      labels[key] !== undefined &&
      (key === injection || labels[injection] === undefined || labels[injection] === "enabled"),
  );
  if (presentKeys.length > 1) {
    const texts = presentKeys.map((key) => `${key}=${labels[key] ?? ""}`);
    const winner =
      labels[injection] === "enabled"
        ? `${injection} wins: its pods get sidecars of the default revision`
        : `${revision} wins: its pods get sidecars`;
    report(
      messageTypes.namespaceMultipleInjectionLabels,
      resource,
      `metadata.labels.${presentKeys[1] ?? ""}`,
      `labels ${listed(texts)} contradict each other; ${winner}. Keep one: kubectl label namespace ${name} ${presentKeys[1] ?? ""}-`,
    );
  }
  if (labels[dataplaneMode] === "ambient" || (labels[injection] ?? "") !== "" || labels[revision] !== undefined) return;
  if (valuesOf(inventory, labels[revision])?.sidecarInjectorWebhook?.enableNamespacesByDefault === true) {
    report(
      messageTypes.namespaceInjectionEnabledByDefault,
      resource,
      "metadata.name",
      `new pods get sidecars, because the control plane is installed with enableNamespacesByDefault and the namespace has no other label; to exclude it: kubectl label namespace ${name} ${injection}=disabled`,
    );
    return;
  }
  if (labels[dataplaneMode] === "none") return;
  report(
    messageTypes.namespaceNotInjected,
    resource,
    "metadata.name",
    `is not part of the mesh. To add it: kubectl label namespace ${name} ${dataplaneMode}=ambient (no restart), or ${injection}=enabled (sidecars, for new pods); to keep it out and silence this message: ${injection}=disabled`,
  );
}

/**
 * Whether the namespace belongs to the cluster or to a tool that installs the mesh, so that its pods need no sidecar.
 */
function isOfCluster(namespace: string): boolean {
  return namespace.startsWith("kube-") || namespace === "local-path-storage" || namespace === "serin-system";
}

function checkPod(pod: Workload, inventory: Inventory, report: Report): void {
  const labels = namespaceLabels(inventory, pod.namespace);
  const wants =
    labels[injection] === "enabled" ||
    (labels[injection] === undefined && labels[revision] !== undefined && labels[dataplaneMode] !== "ambient");
  if (!wants || pod.namespace === inventory.options.istioNamespace) return;
  const injectValue = pod.labels[istioLabels.inject] ?? pod.annotations[istioLabels.inject];
  if (injectValue?.toLowerCase() === "false" || pod.spec.hostNetwork === true || hasSidecar(pod) || isGatewayPod(pod))
    return;
  const by = labels[injection] === "enabled" ? `${injection}=enabled` : `${revision}=${labels[revision] ?? ""}`;
  report(
    messageTypes.podMissingProxy,
    pod.resource,
    "metadata.name",
    `has no sidecar although its namespace has ${by}: it was created before the label was set, or while the injector was down, so its traffic is plain text and no policy protects it; recreate it: ${howToRecreate(pod, inventory)}`,
  );
}

/** Whether the pod is a gateway that a control plane or an installation has deployed. */
function isGatewayPod({ labels }: Workload): boolean {
  return labels[istioLabels.gatewayName] !== undefined || labels[istioLabels.component] !== undefined;
}

export const podRevisionAnalyzer: Analyzer = {
  name: "injection.RevisionAnalyzer",
  description: "revisions that labels name exist, and pods run the proxy of their namespace's revision",
  analyze(inventory, report) {
    const injectors = injectorsOf(inventory);
    if (injectors === undefined) return;
    for (const { resource, object } of inventory.of(namespaceKind)) {
      const named = object.metadata.labels?.[revision];
      if (named === undefined || named === "" || injectors.has(named)) continue;
      const known = [...injectors.keys()].toSorted();
      report(
        messageTypes.unknownRevision,
        resource,
        `metadata.labels.${revision}`,
        `label ${revision}=${named} names no installed revision or tag (installed: ${known.length === 0 ? "none" : listed(known)}), so new pods get no sidecar; correct the label, or create the tag: serin tag set ${named} --revision <revision>`,
      );
    }
    for (const pod of pods(inventory)) checkRevision(pod, injectors, inventory, report);
  },
};

/**
 * The revision of each name that labels may use: a revision or a tag. Undefined if it is unknown which revisions exist.
 */
function injectorsOf(inventory: Inventory): ReadonlyMap<string, string> | undefined {
  if (inventory.options.scope !== "cluster" || !inventory.knowsAll(mutatingWebhookConfigurationKind)) return undefined;
  const found = new Map<string, string>();
  for (const { object } of inventory.of(mutatingWebhookConfigurationKind)) {
    const { [revision]: leadsTo, [istioLabels.tag]: tag } = object.metadata.labels ?? {};
    if (leadsTo === undefined) continue;
    found.set(leadsTo, leadsTo);
    if (tag !== undefined) found.set(tag, leadsTo);
  }
  return found;
}

/**
 * What a user must do to have a pod created again. A restart does not replace the pods of an owner with the update
 * strategy OnDelete.
 */
function howToRecreate({ resource, namespace, name }: Workload, inventory: Inventory): string {
  const owner = resource.object.metadata.ownerReferences?.find(({ controller }) => controller === true);
  const kind = ownField(strategyKinds, owner?.kind ?? "");
  const found = kind === undefined ? undefined : inventory.find(kind, namespace, owner?.name ?? "")?.object;
  return found?.spec?.updateStrategy?.type === "OnDelete"
    ? `run kubectl delete pod ${name}, because its ${owner?.kind ?? "owner"} has the update strategy OnDelete, in namespace ${namespace}`
    : `run kubectl rollout restart on its owner, in namespace ${namespace}`;
}

const strategyKinds: Readonly<Record<string, KindDefinition<DaemonSet | StatefulSet>>> = {
  DaemonSet: daemonSetKind,
  StatefulSet: statefulSetKind,
};

function checkRevision(
  pod: Workload,
  injectors: ReadonlyMap<string, string>,
  inventory: Inventory,
  report: Report,
): void {
  if (!hasSidecar(pod) || isGatewayPod(pod)) return;
  const own = pod.labels[revision] ?? revisionInStatus(pod.annotations[istioAnnotations.sidecarStatus]);
  const labels = namespaceLabels(inventory, pod.namespace);
  const named = labels[injection] === "enabled" ? "default" : labels[revision];
  const wanted = named === undefined ? undefined : injectors.get(named);
  if (own === undefined || wanted === undefined || own === wanted) return;
  report(
    messageTypes.podOfOtherRevision,
    pod.resource,
    "metadata.name",
    `runs the proxy of revision ${own}, while its namespace names ${named === wanted ? wanted : `${named ?? ""}, a tag of ${wanted}`}; it moves when it is recreated: ${howToRecreate(pod, inventory)}`,
  );
}

function revisionInStatus(status: string | undefined): string | undefined {
  try {
    const { revision: own } = JSON.parse(status ?? "{}") as { revision?: unknown };
    return typeof own === "string" ? own : undefined;
  } catch {
    return undefined;
  }
}

export const proxyImageAnalyzer: Analyzer = {
  name: "injection.ImageAnalyzer",
  description: "sidecars run the image that would be injected now",
  analyze(inventory, report) {
    for (const { resource, object } of inventory.of(namespaceKind)) {
      const { name = "", labels = {} } = object.metadata;
      const named = labels[revision] ?? (labels[injection] === "enabled" ? "default" : undefined);
      const image = named === undefined ? undefined : imageOf(valuesOf(inventory, named));
      if (image === undefined) continue;
      const others = pods(inventory).filter(
        (pod) =>
          pod.namespace === name &&
          pod.annotations["sidecar.istio.io/proxyImage"] === undefined &&
          proxyImages(pod.spec).some((own) => own !== image && !own.startsWith(`${image}-`)),
      );
      if (others.length === 0) continue;
      const running = [...new Set(others.flatMap(({ spec }) => proxyImages(spec)))];
      report(
        messageTypes.podsIstioProxyImageMismatchInNamespace,
        resource,
        "metadata.name",
        `${others.length === 1 ? "pod" : "pods"} ${listed(others.map((pod) => pod.name).toSorted())} ${others.length === 1 ? "runs" : "run"} ${listed(running)}, while the injector would now use ${image}, which is usual after an upgrade; move them: kubectl rollout restart deployment -n ${name}`,
      );
    }
  },
};

function proxyImages({ containers, initContainers = [] }: PodSpec): readonly string[] {
  return [...containers, ...initContainers].flatMap(({ name, image }) =>
    name === "istio-proxy" && image !== undefined ? [image] : [],
  );
}

function imageOf(values: InjectorValues | undefined): string | undefined {
  const { hub, tag, variant = "", proxy } = values?.global ?? {};
  const image = proxy?.image ?? "proxyv2";
  if (image.includes("/")) return image;
  if (hub === undefined || tag === undefined || tag === "") return undefined;
  return `${hub}/${image}:${tag}${variant === "" ? "" : `-${variant}`}`;
}

/** The values of a revision's injector, in JSON as Istio and Serin write them. */
function valuesOf(inventory: Inventory, named: string | undefined): InjectorValues | undefined {
  const suffix =
    named === undefined || named === "" || named === "default" ? "" : `-${injectorsOf(inventory)?.get(named) ?? named}`;
  const text = inventory.find(configMapKind, inventory.options.istioNamespace, `istio-sidecar-injector${suffix}`)
    ?.object.data?.["values"];
  try {
    return text === undefined ? undefined : (JSON.parse(text) as InjectorValues);
  } catch {
    return undefined;
  }
}

export const autoImageAnalyzer: Analyzer = {
  name: "injection.ImageAutoAnalyzer",
  description: "pods with `image: auto` are injected",
  analyze(inventory, report) {
    for (const pod of pods(inventory)) {
      if (!proxyImages(pod.spec).includes("auto")) continue;
      report(
        messageTypes.imageAutoWithoutInjectionError,
        pod.resource,
        "spec.containers",
        `has image: auto, which only the injector can replace, and it did not, because the namespace or the pod lacks the label; set ${injection}=enabled on the namespace, or sidecar.istio.io/inject=true on the pod, and recreate the pod`,
      );
    }
    const webhooks = webhooksOf(inventory, mutatingWebhookConfigurationKind).map(({ webhook }) => webhook);
    if (inventory.options.scope === "files" && webhooks.length === 0) return;
    for (const { resource, object } of inventory.of(deploymentKind)) {
      const template = object.spec?.template;
      if (template?.spec === undefined || !proxyImages(template.spec).includes("auto")) continue;
      const labels = namespaceLabels(inventory, object.metadata.namespace ?? "");
      if (
        webhooks.some(
          ({ namespaceSelector, objectSelector }) =>
            matches(namespaceSelector, labels) && matches(objectSelector, template.metadata?.labels ?? {}),
        )
      )
        continue;
      report(
        messageTypes.imageAutoWithoutInjectionWarning,
        resource,
        "spec.template.spec.containers",
        `has image: auto, but no injector selects pods with these labels in namespace ${object.metadata.namespace ?? ""}, so they will not start; add sidecar.istio.io/inject: "true" to the template's labels, or ${injection}=enabled to the namespace`,
      );
    }
  },
};

function matches(selector: LabelSelector | undefined, labels: Readonly<Record<string, string>>): boolean {
  return selector === undefined || matchesLabelSelector(selector, labels);
}
