import type { ProxyConfigObject } from "../api/istio/index.ts";
import { workloadOfPod, type Container, type Pod, type PodSpec } from "../api/kubernetes/index.ts";
import type { CompliancePolicy } from "../base/compliance/index.ts";
import { type Tree, userError, withoutNulls } from "../base/index.ts";
import { checkAnnotations } from "./annotation-checks.ts";
import { injectionWarnings, truthOf } from "./annotation-warnings.ts";
import { podAnnotations, podLabels } from "./annotations.ts";
import { customTemplate } from "./custom-template.ts";
import { injectionDecision } from "./decision.ts";
import { gatewayTemplate } from "./gateway-template.ts";
import { grpcAgentTemplate, grpcSimpleTemplate } from "./grpc-template.ts";
import type { InjectionSettings } from "./injection-settings.ts";
import { createJsonPatch, type JsonPatchOperation } from "./json-patch.ts";
import { findAnyContainer, findContainer, mergeStrategically, moveContainer } from "./merge-pod.ts";
import { podProxyConfig, type MeshForInjection, type PodProxyConfig } from "./mesh.ts";
import { proxyConfigLayers } from "./proxy-config-layers.ts";
import { applicationProbers, probersVariable, rewriteProbes } from "./probes.ts";
import { applicationVariable, mergePrometheus, securePortAnnotation } from "./prometheus.ts";
import { sidecarTemplate } from "./sidecar-template.ts";
import { withoutInjection } from "./strip-injection.ts";
import { proxyContainerName, proxyUser, type InjectedPod, type TemplateInput } from "./template-input.ts";

/** The configuration of the revision that injects. */
export interface InjectionContext {
  readonly settings: InjectionSettings;
  readonly mesh: MeshForInjection;
  /** The name of the revision. The unnamed revision is `default`. */
  readonly revision: string;
  /** Whether pods get a native sidecar if their annotation does not decide it. */
  readonly nativeSidecars: boolean;
  /** The ProxyConfig objects of all namespaces. */
  readonly proxyConfigs: readonly ProxyConfigObject[];
  /** The control plane's compliance policy, which also applies to the proxies. */
  readonly compliance?: CompliancePolicy | undefined;
}

export interface InjectionRequest {
  readonly pod: Pod;
  /** The namespace of the admission request, because a pod that is being created may not name it. */
  readonly namespace: string;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  /** The cluster's name in the webhook's URL: `/inject/cluster/<name>/net/<network>`. */
  readonly cluster?: string | undefined;
  readonly network?: string | undefined;
}

export type InjectionOutcome =
  | { readonly kind: "skipped"; readonly reason: string }
  | {
      readonly kind: "injected";
      readonly pod: Pod;
      readonly patch: readonly JsonPatchOperation[];
      readonly warnings: readonly string[];
    };

const templates: Readonly<Record<string, (input: TemplateInput) => InjectedPod>> = {
  sidecar: sidecarTemplate,
  gateway: gatewayTemplate,
  "grpc-agent": grpcAgentTemplate,
  "grpc-simple": grpcSimpleTemplate,
};

/** As a container's image, this means the image of the template's container with the same name. */
const autoImage = "auto";

/**
 * Decides whether to inject a pod, and injects it. If `kube-inject` or another webhook has injected the pod before,
 * this revision's sidecar replaces the former one. Throws a user error for the pod's creator if an annotation is
 * invalid or a template cannot be used.
 */
export function injectPod(given: InjectionRequest, context: InjectionContext): InjectionOutcome {
  const request = { ...given, pod: withoutInjection(withoutNulls(given.pod)) };
  const { pod, namespace, namespaceLabels } = request;
  const decision = injectionDecision(pod, namespace, namespaceLabels, context.settings);
  if (!decision.inject) return { kind: "skipped", reason: decision.reason };
  checkAnnotations(pod.metadata.annotations ?? {});
  const input = templateInput(request, context);
  const rendered = renderTemplates(input, context.settings);
  const template = rendered.reduce((merged, layer) => mergeStrategically(merged, layer), nothing);
  const injected = finish(merge(pod, template, rendered), template, input, context);
  return {
    kind: "injected",
    pod: injected,
    patch: createJsonPatch(given.pod, injected),
    warnings: injectionWarnings(pod),
  };
}

function templateInput(
  request: InjectionRequest,
  { settings, mesh, revision, nativeSidecars, proxyConfigs, compliance }: InjectionContext,
): TemplateInput {
  const { pod, namespace } = request;
  const { labels = {}, annotations = {} } = pod.metadata;
  const native = annotations[podAnnotations.nativeSidecar];
  const scope = {
    namespace,
    rootNamespace: mesh.rootNamespace,
    revision,
    labels,
    annotation: annotations[podAnnotations.proxyConfig],
  };
  return {
    pod,
    namespace,
    labels,
    annotations,
    owner: workloadOfPod(pod),
    values: settings.values,
    mesh,
    proxyConfig: podProxyConfig(mesh, [
      ...proxyConfigLayers(proxyConfigs, scope),
      ...statusPortLayer(annotations[podAnnotations.statusPort]),
    ]),
    revision,
    clusterName: request.cluster ?? settings.values.clusterName,
    network: labels[podLabels.network] ?? request.network ?? settings.values.network,
    nativeSidecar: native === undefined || native === "" ? nativeSidecars : native !== "false",
    valuesTree: settings.tree,
    compliance,
  };
}

const nothing: InjectedPod = { labels: {}, annotations: {}, spec: {} };

/**
 * Sets the proxy's status port to that of the annotation. Port 0 disables the readiness probe and leaves the proxy's
 * port unchanged.
 */
function statusPortLayer(annotation: string | undefined): Tree[] {
  const statusPort = Number(annotation ?? 0);
  return statusPort === 0 ? [] : [{ statusPort }];
}

/** Renders the templates that the pod's annotation names, or else the configured ones, in this order. */
function renderTemplates(input: TemplateInput, settings: InjectionSettings): InjectedPod[] {
  const templateNames =
    input.annotations[podAnnotations.templates]?.split(",").map((name) => name.trim()) ?? settings.defaultTemplates;
  return templateNames
    .flatMap((alias) => (Object.hasOwn(settings.aliases, alias) ? (settings.aliases[alias] ?? []) : [alias]))
    .map((name) => {
      const render = Object.hasOwn(templates, name) ? templates[name] : undefined;
      return render === undefined ? renderOwn(name, input, settings) : render(input);
    });
}

/** Renders a template that users have added to the configuration. */
function renderOwn(name: string, input: TemplateInput, settings: InjectionSettings): InjectedPod {
  const text = Object.hasOwn(settings.templates, name) ? settings.templates[name] : undefined;
  if (text !== undefined) return customTemplate(name, text, input);
  const proxyless = name.startsWith("grpc") ? " (use grpc-agent for gRPC without a proxy)" : "";
  const known = [...Object.keys(templates), ...Object.keys(settings.templates)].join(", ");
  throw userError(
    "template-failed",
    `annotation ${podAnnotations.templates}: template "${name}" does not exist${proxyless}; known: ${known}`,
  );
}

/**
 * Merges the templates into the pod. `template` is the combination of all templates in `rendered`. Each element of
 * `rendered` is also merged into the spec separately, because it may remove fields of the pod.
 */
function merge(pod: Pod, template: InjectedPod, rendered: readonly InjectedPod[]): Pod {
  const own = withMovedProxy(pod, template);
  const merged: Pod = {
    ...own,
    metadata: {
      ...own.metadata,
      labels: { ...own.metadata.labels, ...template.labels },
      annotations: { ...own.metadata.annotations, ...template.annotations },
    },
    spec: rendered.reduce(
      (spec, layer) => mergeStrategically<PodSpec>(spec, layer.spec),
      own.spec ?? { containers: [] },
    ),
  };
  return withOwnContainers(merged, own, template);
}

/**
 * Moves the user's settings of the proxy to the list in which the template has the proxy. Users write them in
 * `containers`, even if the template puts the proxy into `initContainers`.
 */
function withMovedProxy(pod: Pod, template: InjectedPod): Pod {
  if (pod.spec === undefined) return pod;
  const { containers, initContainers = [] } = pod.spec;
  const isNative = findContainer(template.spec.initContainers, proxyContainerName) !== undefined;
  const own = findContainer(isNative ? containers : initContainers, proxyContainerName);
  if (own === undefined || (!isNative && findContainer(template.spec.containers, proxyContainerName) === undefined))
    return pod;
  const { restartPolicy: _nativeOnly, ...plain } = own;
  const others = (list: readonly Container[]): Container[] => list.filter((container) => container !== own);
  const spec = isNative
    ? { ...pod.spec, containers: others(containers), initContainers: [...initContainers, own] }
    : { ...pod.spec, containers: [...containers, plain], initContainers: others(initContainers) };
  return { ...pod, spec };
}

/**
 * Applies the user's settings of containers that a template also defines. The user's settings take precedence over the
 * template, and an annotation records them.
 */
function withOwnContainers(merged: Pod, own: Pod, template: InjectedPod): Pod {
  const overrides: { containers?: Container[]; initContainers?: Container[] } = {};
  const spec: PodSpec = { ...merged.spec, containers: merged.spec?.containers ?? [] };
  for (const field of ["containers", "initContainers"] as const) {
    for (const { name } of template.spec[field] ?? []) {
      const found = findContainer(own.spec?.[field], name);
      if (found === undefined) continue;
      const { image, ...rest } = found;
      const overlay: Container = image === undefined || image === "" || image === autoImage ? rest : found;
      (overrides[field] ??= []).push(overlay);
      spec[field] = mergeStrategically({ [field]: spec[field] }, { [field]: [overlay] })[field] ?? [];
    }
  }
  if (overrides.containers === undefined && overrides.initContainers === undefined) return merged;
  const annotations = { ...merged.metadata.annotations, [podAnnotations.overrides]: JSON.stringify(overrides) };
  return withProxyUser(
    { ...merged, metadata: { ...merged.metadata, annotations }, spec },
    findAnyContainer(own, proxyContainerName),
  );
}

/**
 * Adapts the containers if the user has set another user or group for the proxy. The redirect must exempt the proxy's
 * own traffic, which it recognizes by the user or group.
 */
function withProxyUser(pod: Pod, own: Container | undefined): Pod {
  const { runAsUser, runAsGroup } = own?.securityContext ?? {};
  if (runAsUser === undefined && runAsGroup === undefined) return pod;
  const { containers = [], initContainers = [] } = pod.spec ?? {};
  const adjust = initContainers.some(redirectsTransparently)
    ? asTransparentProxy
    : (container: Container) => exempting(container, runAsUser, runAsGroup);
  return {
    ...pod,
    spec: { ...pod.spec, containers: containers.map(adjust), initContainers: initContainers.map(adjust) },
  };
}

function exempting(container: Container, runAsUser: number | undefined, runAsGroup: number | undefined): Container {
  if (!isRedirect(container)) return container;
  const at = container.args?.indexOf("-u") ?? -1;
  const args =
    runAsUser === undefined || runAsUser === 0 || at < 0
      ? container.args
      : container.args?.with(at + 1, String(runAsUser));
  const identity =
    container.name === "istio-init"
      ? {}
      : { ...(runAsUser === undefined ? {} : { runAsUser }), ...(runAsGroup === undefined ? {} : { runAsGroup }) };
  return {
    ...container,
    ...(args === undefined ? {} : { args }),
    securityContext: { ...container.securityContext, ...identity },
  };
}

/**
 * Returns the container as TPROXY needs it: the proxy runs as root, because only root has capabilities in a container.
 * Its group stays the usual one, because the redirect cannot exempt root and exempts this group instead.
 */
function asTransparentProxy(container: Container): Container {
  if (container.name !== proxyContainerName) return container;
  return {
    ...container,
    securityContext: { ...container.securityContext, runAsUser: 0, runAsGroup: proxyUser },
  };
}

function isRedirect({ name }: Container): boolean {
  return name === "istio-init" || name === "istio-validation";
}

function redirectsTransparently(container: Container): boolean {
  const { args = [] } = container;
  return isRedirect(container) && args[args.indexOf("-m") + 1] === "TPROXY";
}

/** Adds what templates cannot express: metrics, probes, the status annotation and the order of the containers. */
function finish(
  merged: Pod,
  template: InjectedPod,
  input: TemplateInput,
  { settings, revision }: InjectionContext,
): Pod {
  const { statusPort } = input.proxyConfig;
  const answers = Number(input.annotations[podAnnotations.statusPort] ?? statusPort) !== 0;
  let pod = merged;
  const environment: { name: string; value: string }[] = [];
  const metrics = mergePrometheus(pod, input.mesh, statusPort);
  if (metrics !== undefined) {
    pod = withAnnotations(pod, metrics.annotations);
    if (metrics.application !== undefined) environment.push({ name: applicationVariable, value: metrics.application });
  }
  if (answers && findAnyContainer(pod, proxyContainerName) !== undefined && rewritesProbes(merged, settings)) {
    const probers = applicationProbers(pod, statusPort);
    if (probers !== undefined) environment.push({ name: probersVariable, value: probers });
    pod = rewriteProbes(pod, statusPort);
  }
  pod = withProxyEnvironment(pod, environment);
  const labels = { ...pod.metadata.labels, ...(input.network === "" ? {} : { [podLabels.network]: input.network }) };
  const annotations = {
    ...pod.metadata.annotations,
    ...securePortAnnotation(pod, findAnyContainer(pod, proxyContainerName)),
    [podAnnotations.status]: injectionStatus(template, revision),
    ...settings.injectedAnnotations,
  };
  return ordered({ ...pod, metadata: { ...pod.metadata, labels, annotations } }, input.proxyConfig, settings);
}

function rewritesProbes(pod: Pod, settings: InjectionSettings): boolean {
  const own = pod.metadata.annotations?.[podAnnotations.rewriteProbes];
  return truthOf(own ?? "") ?? settings.values.rewriteProbes;
}

function withAnnotations(pod: Pod, annotations: Record<string, string>): Pod {
  return { ...pod, metadata: { ...pod.metadata, annotations } };
}

function withProxyEnvironment(pod: Pod, environment: readonly { name: string; value: string }[]): Pod {
  if (environment.length === 0) return pod;
  const add = (container: Container): Container =>
    container.name === proxyContainerName
      ? { ...container, env: [...(container.env ?? []), ...environment] }
      : container;
  const { containers = [], initContainers } = pod.spec ?? {};
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: containers.map(add),
      ...(initContainers === undefined ? {} : { initContainers: initContainers.map(add) }),
    },
  };
}

/** Records what was added, so that people and tools see it, and a later injection can remove it. */
function injectionStatus({ spec }: InjectedPod, revision: string): string {
  const names = (list: readonly { name: string }[] | undefined): string[] | null =>
    list === undefined || list.length === 0 ? null : list.map(({ name }) => name);
  return JSON.stringify({
    initContainers: names(spec.initContainers),
    containers: names(spec.containers),
    volumes: names(spec.volumes),
    imagePullSecrets: names(spec.imagePullSecrets),
    revision,
  });
}

/**
 * Returns the pod with its containers in order.
 *
 * The proxy comes last, so that `kubectl exec` and similar commands keep their default container. If the application
 * waits for the proxy, the proxy comes first. `istio-init` follows the user's init containers, because these need the
 * network before a proxy runs. A native sidecar also serves the user's init containers, so the sidecar and its redirect
 * come before them.
 */
function ordered(pod: Pod, proxyConfig: PodProxyConfig, settings: InjectionSettings): Pod {
  const { containers = [], initContainers } = pod.spec ?? {};
  const holds = proxyConfig.holdApplicationUntilProxyStarts || settings.values.proxy.holdApplicationUntilProxyStarts;
  let inits = initContainers ?? [];
  if (findContainer(inits, proxyContainerName) === undefined)
    inits = moveContainer(moveContainer(inits, "istio-validation", "first"), "istio-init", "last");
  else
    for (const name of [proxyContainerName, "istio-validation", "istio-init"])
      inits = moveContainer(inits, name, "first");
  const spec: PodSpec = {
    ...pod.spec,
    containers: moveContainer(containers, proxyContainerName, holds ? "first" : "last"),
  };
  return { ...pod, spec: { ...spec, ...(initContainers === undefined ? {} : { initContainers: inits }) } };
}
