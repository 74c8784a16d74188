import { isTree } from "../base/index.ts";
import { istioTokenVolume, rootSource } from "../api/istio/index.ts";
import type { Container, EnvVar, SecurityContext, Volume } from "../api/kubernetes/index.ts";
import { podAnnotations, podLabels } from "./annotations.ts";
import type { Resources } from "./injection-settings.ts";
import { applicationContainersOf, proxyContainerName, type TemplateInput } from "./template-input.ts";

const maxLabelCharacters = 63;
const envoyMetricsPort = 15_090;
const readinessPort = 15_021;
const probeTimeoutSeconds = 3;

export function annotationOr(input: TemplateInput, name: string, fallback: string): string {
  return input.annotations[name] ?? fallback;
}

/**
 * The reference of an image, usually `<hub>/<image>:<tag>[-<type>]`. A name with a slash is already a complete
 * reference. The annotation for the image type takes precedence over `configType`, the type in the proxy config.
 */
export function proxyImage(input: TemplateInput, image: string, configType = input.proxyConfig.imageType): string {
  const { values, annotations } = input;
  const wanted = annotations[podAnnotations.proxyImage] ?? image;
  if (wanted.includes("/")) return wanted;
  const type = annotations[podAnnotations.proxyImageType] ?? (configType === "" ? values.variant : configType);
  return `${values.hub}/${image}:${imageTagOfType(values.tag, type)}`;
}

/**
 * The tag for an image type, such as `1.31.0-distroless`. The type `default` removes a suffix. A tag with a digest
 * stays unchanged, because the digest identifies one image.
 */
export function imageTagOfType(tag: string, type: string): string {
  if (type === "" || tag.includes("@")) return tag;
  const plain = tag.replace(/-(distroless|debug)$/, "");
  return type === "default" ? plain : `${plain}-${type}`;
}

/**
 * The proxy's compute resources. As in upstream's template, any annotation about them disables all of the mesh's
 * defaults.
 */
export function proxyResources(input: TemplateInput): Resources {
  const { annotations } = input;
  const pick = (cpuName: string, memoryName: string): Record<string, string> => {
    const [cpu, memory] = [annotations[cpuName], annotations[memoryName]];
    return { ...(cpu === undefined ? {} : { cpu }), ...(memory === undefined ? {} : { memory }) };
  };
  const requests = pick(podAnnotations.proxyCpu, podAnnotations.proxyMemory);
  const limits = pick(podAnnotations.proxyCpuLimit, podAnnotations.proxyMemoryLimit);
  const [hasRequests, hasLimits] = [Object.keys(requests).length > 0, Object.keys(limits).length > 0];
  if (!hasRequests && !hasLimits) return input.values.proxy.resources;
  return { ...(hasRequests ? { requests } : {}), ...(hasLimits ? { limits } : {}) };
}

/** The first non-empty value of these labels. */
export function labelOf({ labels }: TemplateInput, ...names: readonly string[]): string | undefined {
  return names.map((name) => labels[name]).find((value) => value !== undefined && value !== "");
}

export function canonicalLabels(input: TemplateInput): Record<string, string> {
  const { owner } = input;
  const name = labelOf(input, podLabels.canonicalName, "app.kubernetes.io/name", "app") ?? owner.name;
  const revision = labelOf(input, podLabels.canonicalRevision, "app.kubernetes.io/version", "version") ?? "latest";
  return {
    [podLabels.canonicalName]: name.slice(0, maxLabelCharacters).replaceAll(/^[-_.]+|(?<![-_.])[-_.]+$/g, ""),
    [podLabels.canonicalRevision]: revision,
  };
}

export function commonAnnotations(input: TemplateInput): Record<string, string> {
  const { pod, annotations, revision } = input;
  const [first] = applicationContainersOf(pod);
  const found: Record<string, string> = { [podAnnotations.revision]: revision };
  if (first === undefined) return found;
  for (const name of [podAnnotations.defaultLogsContainer, podAnnotations.defaultContainer])
    if (annotations[name] === undefined) found[name] = first.name;
  return found;
}

export interface ProxyContainerOptions {
  readonly type: "sidecar" | "router";
  readonly securityContext: SecurityContext;
}

/**
 * The fields of the proxy's container that all templates share. Each template adds probes, the lifecycle and other
 * fields.
 */
export function proxyContainer(input: TemplateInput, { type, securityContext }: ProxyContainerOptions): Container {
  const { values, annotations } = input;
  const { proxy } = values;
  return {
    name: proxyContainerName,
    image: proxyImage(input, proxy.image),
    ...imagePullPolicy(input),
    ports: [{ containerPort: envoyMetricsPort, protocol: "TCP", name: "http-envoy-prom" }],
    args: [
      "proxy",
      type,
      "--domain",
      `$(POD_NAMESPACE).svc.${values.clusterDomain}`,
      `--proxyLogLevel=${annotationOr(input, podAnnotations.logLevel, proxy.logLevel)}`,
      `--proxyComponentLogLevel=${annotationOr(input, podAnnotations.componentLogLevel, proxy.componentLogLevel)}`,
      `--log_output_level=${annotationOr(input, podAnnotations.agentLogLevel, values.logLevel)}`,
      ...(values.stsPort === 0 ? [] : [`--stsPort=${values.stsPort}`]),
      ...(values.logAsJson ? ["--log_as_json"] : []),
      ...(type === "sidecar" && proxy.outlierLogPath !== "" ? [`--outlierLogPath=${proxy.outlierLogPath}`] : []),
    ],
    env: proxyEnvironment(input, type),
    securityContext: {
      ...securityContext,
      ...(type === "router" ? {} : { seccompProfile: proxy.seccompProfile }),
    },
    volumeMounts: [
      { name: "workload-socket", mountPath: "/var/run/secrets/workload-spiffe-uds" },
      { name: "credential-socket", mountPath: "/var/run/secrets/credential-uds" },
      { name: "workload-certs", mountPath: "/var/run/secrets/workload-spiffe-credentials" },
      ...(values.pilotCertProvider === "istiod"
        ? [{ name: "istiod-ca-cert", mountPath: "/var/run/secrets/istio" }]
        : []),
      ...(values.pilotCertProvider === "istiod" && type === "sidecar"
        ? [{ name: "istio-ca-crl", mountPath: "/var/run/secrets/istio/crl" }]
        : []),
      { name: "istio-data", mountPath: "/var/lib/istio/data" },
      ...(annotations[podAnnotations.bootstrapOverride] === undefined
        ? []
        : [{ name: "custom-bootstrap-volume", mountPath: "/etc/istio/custom-bootstrap" }]),
      { name: "istio-envoy", mountPath: "/etc/istio/proxy" },
      { name: "istio-token", mountPath: "/var/run/secrets/tokens" },
      ...(values.mountMtlsCerts ? [{ name: "istio-certs", mountPath: "/etc/certs/", readOnly: true }] : []),
      { name: "istio-podinfo", mountPath: "/etc/istio/pod" },
      // A gateway mounts no user volumes, because only the sidecar template adds those volumes.
      ...(type === "sidecar" ? userVolumeMounts(annotations) : []),
    ],
  };
}

export function readinessProbe(values: {
  readonly initialDelaySeconds: number;
  readonly periodSeconds: number;
  readonly failureThreshold: number;
}): NonNullable<Container["readinessProbe"]> {
  return { httpGet: { path: "/healthz/ready", port: readinessPort }, ...values, timeoutSeconds: probeTimeoutSeconds };
}

export function startupProbe(failureThreshold: number): NonNullable<Container["startupProbe"]> {
  return {
    httpGet: { path: "/healthz/ready", port: readinessPort },
    initialDelaySeconds: 0,
    periodSeconds: 1,
    failureThreshold,
    timeoutSeconds: probeTimeoutSeconds,
  };
}

export function imagePullPolicy(input: TemplateInput): Pick<Container, "imagePullPolicy"> {
  const policy = input.values.imagePullPolicy;
  return policy === "" ? {} : { imagePullPolicy: policy as "Always" };
}

function proxyEnvironment(input: TemplateInput, type: "sidecar" | "router"): EnvVar[] {
  const { values, proxyConfig, mesh, owner, namespace, annotations } = input;
  const trustDomain = mesh.trustDomain === "" ? values.trustDomain : mesh.trustDomain;
  const workload = type === "sidecar" ? (labelOf(input, podLabels.workloadName) ?? owner.name) : owner.name;
  const mode =
    type === "sidecar"
      ? annotationOr(input, podAnnotations.interceptionMode, proxyConfig.interceptionMode)
      : proxyConfig.interceptionMode;
  return [
    ...(mesh.inboundToLocalhost && type === "sidecar"
      ? [{ name: "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", value: "true" }]
      : []),
    { name: "PILOT_CERT_PROVIDER", value: values.pilotCertProvider },
    { name: "CA_ADDR", value: values.caAddress },
    field("POD_NAME", "metadata.name"),
    field("POD_NAMESPACE", "metadata.namespace"),
    field("INSTANCE_IP", "status.podIP"),
    field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    field("HOST_IP", "status.hostIP"),
    limit("ISTIO_CPU_LIMIT", "limits.cpu"),
    { name: "PROXY_CONFIG", value: `${proxyConfig.json}\n` },
    { name: "ISTIO_META_POD_PORTS", value: podPorts(input) },
    {
      name: "ISTIO_META_APP_CONTAINERS",
      value: applicationContainersOf(input.pod)
        .map((container) => container.name)
        .join(","),
    },
    limit("GOMEMLIMIT", "limits.memory"),
    ...complianceVariables(input.compliance),
    { name: "ISTIO_META_CLUSTER_ID", value: input.clusterName },
    field("ISTIO_META_NODE_NAME", "spec.nodeName"),
    { name: "ISTIO_META_INTERCEPTION_MODE", value: mode },
    ...(input.network === "" ? [] : [{ name: "ISTIO_META_NETWORK", value: input.network }]),
    ...(workload === "" ? [] : [{ name: "ISTIO_META_WORKLOAD_NAME", value: workload }]),
    ...(owner.name === ""
      ? []
      : [
          {
            name: "ISTIO_META_OWNER",
            value: `kubernetes://apis/${owner.apiVersion}/namespaces/${namespace}/${owner.kind.toLowerCase()}s/${owner.name}`,
          },
        ]),
    ...(annotations[podAnnotations.bootstrapOverride] === undefined
      ? []
      : [{ name: "ISTIO_BOOTSTRAP_OVERRIDE", value: "/etc/istio/custom-bootstrap/custom_bootstrap.json" }]),
    { name: "ISTIO_META_MESH_ID", value: values.meshId === "" ? trustDomain : values.meshId },
    { name: "TRUST_DOMAIN", value: trustDomain },
    ...(mesh.describesServices && type === "sidecar"
      ? [{ name: "OTEL_RESOURCE_ATTRIBUTES", value: serviceAttributes(input) }]
      : []),
    ...metadataVariables(proxyConfig.proxyMetadata),
  ];
}

/** Variables that pass on the compliance policy. `GODEBUG` is for upstream's agents, which are Go programs. */
function complianceVariables(policy: TemplateInput["compliance"]): EnvVar[] {
  if (policy === undefined) return [];
  return [
    { name: "COMPLIANCE_POLICY", value: policy },
    ...(policy === "fips-140-3" ? [{ name: "GODEBUG", value: "fips140=only" }] : []),
  ];
}

export function metadataVariables(metadata: Readonly<Record<string, string>>): EnvVar[] {
  return Object.entries(metadata)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({ name, value }));
}

/**
 * The value of OTEL_RESOURCE_ATTRIBUTES by OpenTelemetry's conventions for Kubernetes. An annotation
 * `resource.opentelemetry.io/service.*` takes precedence over the pod's own fields. The kubelet fills in `$(POD_NAME)`.
 */
function serviceAttributes(input: TemplateInput): string {
  const { annotations, namespace, pod } = input;
  const own = (name: string): string | undefined =>
    annotations[`resource.opentelemetry.io/service.${name}`] || undefined;
  const containers = applicationContainersOf(pod);
  const [first] = containers;
  const version =
    own("version") ??
    labelOf(input, "app.kubernetes.io/version") ??
    (containers.length === 1 ? imageVersion(first?.image ?? "") : "");
  const instance = own("instance.id") ?? (first === undefined ? "" : `${namespace}.$(POD_NAME).${first.name}`);
  const attributes = { namespace: own("namespace") ?? namespace, version, "instance.id": instance };
  return Object.entries(attributes)
    .flatMap(([name, value]) => (value === "" ? [] : [`service.${name}=${value}`]))
    .join(",");
}

/** The version in an image reference: `<tag>@<digest>`, or the one of them that the reference has. */
function imageVersion(image: string): string {
  const [name = "", digest = ""] = image.split("@");
  const colon = name.lastIndexOf(":");
  const tag = colon > name.lastIndexOf("/") ? name.slice(colon + 1) : "";
  return [tag, digest].filter((part) => part !== "").join("@");
}

function field(name: string, fieldPath: string): EnvVar {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

function limit(name: string, resource: string): EnvVar {
  return { name, valueFrom: { resourceFieldRef: { resource, divisor: "1" } } };
}

function podPorts({ pod }: TemplateInput): string {
  const ports = (pod.spec?.containers ?? []).flatMap((container) => container.ports ?? []);
  return `[${ports.map((port, index) => `\n    ${index === 0 ? "" : ","}${JSON.stringify(port)}`).join("")}\n]`;
}

/** The mounts in the user's annotation, of the form `{ "<volume>": { "mountPath": … } }` or a list of named mounts. */
function userVolumeMounts(annotations: Readonly<Record<string, string>>): NonNullable<Container["volumeMounts"]> {
  return namedEntries(annotations[podAnnotations.userVolumeMount]) as unknown as NonNullable<Container["volumeMounts"]>;
}

function namedEntries(json: string | undefined): Record<string, unknown>[] {
  if (json === undefined) return [];
  const parsed: unknown = JSON.parse(json);
  // An entry's own name takes precedence, because the keys of a list are only its indices.
  const entries = Array.isArray(parsed) || isTree(parsed) ? Object.entries(parsed) : [];
  return entries.map(([name, value]) => ({ name, ...(isTree(value) ? value : {}) }));
}

/**
 * The volumes that {@link proxyContainer} mounts. For a sidecar, volumes in the user's annotation replace volumes of
 * the same name, so that users can mount their own certificates.
 */
export function proxyVolumes(input: TemplateInput, type: "sidecar" | "router"): Volume[] {
  const users =
    type === "sidecar" ? (namedEntries(input.annotations[podAnnotations.userVolume]) as unknown as Volume[]) : [];
  const replaced = new Set(users.map(({ name }) => name));
  return [...ownVolumes(input, type).filter(({ name }) => !replaced.has(name)), ...users];
}

function ownVolumes(input: TemplateInput, type: "sidecar" | "router"): Volume[] {
  const { values, annotations, pod } = input;
  const override = annotations[podAnnotations.bootstrapOverride];
  const account = pod.spec?.serviceAccountName ?? "";
  return [
    { name: "workload-socket", emptyDir: {} },
    { name: "credential-socket", emptyDir: {} },
    { name: "workload-certs", emptyDir: {} },
    ...(override === undefined ? [] : [{ name: "custom-bootstrap-volume", configMap: { name: override } }]),
    { name: "istio-envoy", emptyDir: { medium: "Memory" } },
    { name: "istio-data", emptyDir: {} },
    {
      name: "istio-podinfo",
      downwardAPI: {
        items: [
          { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
          { path: "annotations", fieldRef: { fieldPath: "metadata.annotations" } },
        ],
      },
    },
    istioTokenVolume(values.tokenAudience),
    ...(values.pilotCertProvider === "istiod" ? [{ name: "istiod-ca-cert", ...rootSource(values) }] : []),
    ...(type === "sidecar"
      ? [{ name: "istio-ca-crl", configMap: { name: values.crlConfigMapName, optional: true } }]
      : []),
    ...(values.mountMtlsCerts
      ? [
          {
            name: "istio-certs",
            secret: { secretName: `istio.${account === "" ? "default" : account}`, optional: true },
          },
        ]
      : []),
  ];
}
