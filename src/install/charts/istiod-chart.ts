import type { Tree } from "../../base/index.ts";
import { booleanVariables } from "../../api/pilot-variables/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { trustBundleRules } from "../components/pilot-access.ts";
import { renderPilot } from "../components/pilot.ts";
import { revisionStableChannel } from "../components/stable-channel.ts";
import { revisionTagService } from "../components/revision-tag-service.ts";
import { revisionTag } from "../components/webhooks.ts";
import { defaultValues } from "../default-values.ts";
import type { InstallSettings } from "../settings.ts";
import {
  globalMarks,
  hasReader,
  globals,
  keyWithoutMarks,
  markedSettings,
  ofRelease,
  revisionSwitch,
  readerMarks,
  selectorAt,
  stableChannelConditions,
  tolerationsAt,
  usesTrustBundle,
  validationMarks,
  wantsNetworkPolicy,
  workloadMarks,
  type ChartOptions,
} from "./chart-settings.ts";
import { assembleChart, defaultsKey, dict, valuesHeader, valuesHelper, type Chart } from "./chart.ts";
import { compatibilityFiles, platformFiles, profileFiles } from "./profile-files.ts";
import { TemplateMarks } from "./template-marks.ts";
import { typesBelow, valuesSchema } from "./values-schema.ts";
import { valueTypes, type ValueTypes } from "../value-types.ts";
import { templateOfVariants } from "./variants.ts";

/** Ends the injector's name with the namespace, unless that is istio-system. */
function injectorName(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  const { name = "" } = object.metadata;
  if (object.kind !== "MutatingWebhookConfiguration" || !name.startsWith("istio-sidecar-injector")) return object;
  const suffix = marks.text('ternary "" (printf "-%s" $.Release.Namespace) (eq $.Release.Namespace "istio-system")');
  return { ...object, metadata: { ...object.metadata, name: name.replace(/-⟦\d+⟧$/, suffix) } };
}

export function istiodChart(options: ChartOptions): Chart {
  const marks = new TemplateMarks();
  const main = pilotTemplate(marks);
  return assembleChart({
    name: "istiod",
    upstream: "istiod",
    version: options.version,
    appVersion: options.version,
    description: "The control plane of one revision",
    values: { [defaultsKey]: pilotDefaults(options) },
    templates: {
      "_helpers.tpl": `${valuesHelper(["pilot"], { hasVersions: true })}\n${selectorHelper}\n${tracingHelper}`,
      istiod: `${valuesHeader}\n${main}`,
      // These webhooks have a file of their own, because guides render only this file to move a tag.
      "revision-tags-mwc": `${valuesHeader}\n${tagsTemplate(marks, revisionTag)}`,
      "revision-tags-svc": `${valuesHeader}\n${tagsTemplate(marks, revisionTagService)}`,
    },
    files: {
      ...compatibilityFiles(),
      ...platformFiles(["pilot"]),
      ...profileFiles([
        "global",
        "pilot",
        "meshConfig",
        "telemetry",
        "experimental",
        "istiodRemote",
        "sidecarInjectorWebhook",
      ]),
    },
    notes:
      '"{{ .Release.Name }}" is installed. To inject sidecars: kubectl label namespace <namespace> istio-injection=enabled\n',
    schema: valuesSchema(
      { ...valueTypes, pilot: startTypes(), ...startTypes(), meshConfig: "map" },
      { revision: "string", profile: "string" },
    ),
  });
}

/** The types of the control plane's values, including those that the control plane checks when it starts. */
function startTypes(): ValueTypes {
  const env: ValueTypes = Object.fromEntries(booleanVariables.map((name) => [name, "switch" as const]));
  return { ...typesBelow("pilot"), traceSampling: "percent", env };
}

/** The template of the control plane's objects, rendered in every state of the chart's switches. */
function pilotTemplate(marks: TemplateMarks): string {
  const render = ([
    isRevisioned = false,
    isScaled = false,
    isUntainting = false,
    injectsEverywhere = false,
  ]: readonly boolean[]): UntypedObject[] => {
    const settings = markedSettings(marks, isRevisioned, {
      base: validationMarks(marks),
      global: {
        ...globalMarks(marks),
        readerServiceAccount: readerMarks(marks),
        trustBundleName: marks.text('$v.global.trustBundleName | default "istio-ca-root-cert"'),
        istiod: { enableAnalysis: marks.text('eq (toString $v.global.istiod.enableAnalysis) "true"') },
      },
      pilot: pilotMarks(marks, isScaled, isUntainting),
      sidecarInjectorWebhook: {
        enableNamespacesByDefault: injectsEverywhere,
        reinvocationPolicy: marks.text('$v.sidecarInjectorWebhook.reinvocationPolicy | default "Never"'),
      },
    });
    return [...renderPilot(settings), ...revisionStableChannel(settings)]
      .map((object) => (isRevisioned ? object : withKeptSelector(object, marks)))
      .map((object) => withBudget(object, marks))
      .map((object) => withTrustBundles(object, marks))
      .map((object) => ofRelease(injectorName(withConfig(object, marks), marks), marks));
  };
  return templateOfVariants({
    marks,
    switches: [
      revisionSwitch,
      { condition: "$v.autoscaleEnabled" },
      { condition: "$v.taint.enabled" },
      { condition: "$v.sidecarInjectorWebhook.enableNamespacesByDefault" },
    ],
    render,
    keyOf: keyWithoutMarks,
    conditions: {
      "PodDisruptionBudget/istiod":
        "and $v.global.defaultPodDisruptionBudget.enabled (gt (int (ternary $v.autoscaleMin $v.replicaCount (not (empty $v.autoscaleEnabled)))) 1)",
      "NetworkPolicy/istiod": wantsNetworkPolicy,
      "ConfigMap/istio-sidecar-injector": "not $v.global.omitSidecarInjectorConfigMap",
      "ConfigMap/istio": "$v.configMap",
      "ClusterRole/istio-reader-clusterrole": hasReader,
      "ClusterRoleBinding/istio-reader-clusterrole": hasReader,
      "MutatingWebhookConfiguration/istio-sidecar-injector": "not $v.global.operatorManageWebhooks",
      "ValidatingWebhookConfiguration/istio-validator": "$v.global.configValidation",
      ...stableChannelConditions("stable-channel-policy"),
    },
  });
}

function pilotDefaults(options: ChartOptions): Tree {
  const { pilot, ...shared } = defaultValues;
  return {
    ...(pilot as Tree),
    ...shared,
    base: { validationFailurePolicy: "" },
    experimental: { stableValidationPolicy: false },
    global: globals(options),
    resources: { requests: { cpu: "50m", memory: "512Mi" } },
    configMap: true,
    pdb: { minAvailable: 1, unhealthyPodEvictionPolicy: "" },
    autoscaleBehavior: {},
    extraContainerArgs: [],
    hub: "",
    tag: "",
    image: "pilot",
    nodeSelector: {},
    tolerations: [],
    affinity: {},
    podAnnotations: {},
    podLabels: {},
    serviceAnnotations: {},
    volumes: [],
    volumeMounts: [],
    revision: "",
    revisionTags: [],
    meshConfig: { enablePrometheusMerge: true },
    telemetry: { enabled: true, v2: { enabled: true } },
  };
}

const pilotSelector = "serin.pilot.selector";

/**
 * An upgrade from Istio's chart keeps that chart's selector, because a Deployment's selector is immutable. It selects
 * the same pods.
 */
const selectorHelper = [
  `{{- define "${pilotSelector}" -}}`,
  '{{- $present := lookup "apps/v1" "Deployment" $.Release.Namespace "istiod" }}',
  "{{- if $present }}{{ toYaml $present.spec.selector.matchLabels }}",
  '{{- else }}{{ toYaml (dict "app" "istiod" "istio" "pilot") }}',
  "{{- end }}",
  "{{- end }}",
].join("\n");

function withKeptSelector(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  const { kind, spec } = object as { kind?: string; spec?: Tree };
  if (kind !== "Deployment") return object;
  return {
    ...object,
    spec: { ...spec, selector: { matchLabels: marks.map(`include "${pilotSelector}" $ | fromYaml`) } },
  };
}

const grantedTrustBundles = `ternary (index ${dict({ rules: trustBundleRules })} "rules") list (${usesTrustBundle})`;

/** Adds the rights for a ClusterTrustBundle, if the control plane's environment enables it. */
function withTrustBundles(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  const { kind, metadata, rules } = object as UntypedObject & { readonly rules?: readonly unknown[] };
  if (kind !== "ClusterRole" || metadata.name?.startsWith("istiod-clusterrole") !== true) return object;
  return { ...object, rules: [...(rules ?? []), ...marks.list(grantedTrustBundles)] };
}

const budget =
  '(ternary (dict "minAvailable" $v.pdb.minAvailable) (dict "maxUnavailable" $v.pdb.maxUnavailable) (empty $v.pdb.maxUnavailable))';
const evictionPolicy =
  '(ternary (dict) (dict "unhealthyPodEvictionPolicy" $v.pdb.unhealthyPodEvictionPolicy) (empty $v.pdb.unhealthyPodEvictionPolicy))';

/** Sets the budget from the values `pdb`. `maxUnavailable` takes precedence over `minAvailable`. */
function withBudget(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  const { kind, spec } = object as { kind?: string; spec?: Tree };
  if (kind !== "PodDisruptionBudget") return object;
  return { ...object, spec: { ...marks.map(`merge ${budget} ${evictionPolicy}`), selector: spec?.["selector"] } };
}

function pilotMarks(marks: TemplateMarks, isScaled: boolean, isUntainting: boolean): Tree {
  return {
    ...workloadMarks(marks),
    nodeSelector: marks.map(selectorAt("$v.nodeSelector")),
    tolerations: marks.list(tolerationsAt("$v.tolerations")),
    autoscaleEnabled: isScaled,
    autoscaleMin: marks.number("$v.autoscaleMin"),
    autoscaleMax: marks.number("$v.autoscaleMax"),
    replicaCount: marks.number("$v.replicaCount"),
    // These values are numbers or percentages. The API server refuses a quoted number.
    rollingMaxSurge: marks.number("toPrettyJson $v.rollingMaxSurge"),
    rollingMaxUnavailable: marks.number("toPrettyJson $v.rollingMaxUnavailable"),
    traceSampling: marks.text("toString $v.traceSampling"),
    keepaliveMaxServerConnectionAge: marks.text("$v.keepaliveMaxServerConnectionAge"),
    serviceAnnotations: marks.map("$v.serviceAnnotations"),
    image: marks.text("$v.image"),
    hub: marks.text("$v.hub | default $v.global.hub"),
    tag: marks.text("$v.tag | default $v.global.tag"),
    deploymentLabels: marks.map("$v.deploymentLabels"),
    deploymentAnnotations: marks.map("$v.deploymentAnnotations"),
    serviceAccountAnnotations: marks.map("$v.serviceAccountAnnotations"),
    sidecarInjectorWebhookAnnotations: marks.map("$v.sidecarInjectorWebhookAnnotations"),
    trustedZtunnelNamespace: marks.text("$v.trustedZtunnelNamespace | default $.Release.Namespace"),
    extraContainerArgs: marks.list("$v.extraContainerArgs"),
    envVarFrom: marks.list("$v.envVarFrom"),
    initContainers: marks.list("$v.initContainers"),
    ipFamilies: marks.list("$v.ipFamilies"),
    ipFamilyPolicy: marks.optional("$v.ipFamilyPolicy"),
    seccompProfile: marks.map('$v.seccompProfile | default (dict "type" "RuntimeDefault")'),
    terminationMessagePolicy: marks.optional("$v.terminationMessagePolicy"),
    topologySpreadConstraints: marks.list("$v.topologySpreadConstraints"),
    trafficDistribution: marks.optional("$v.trafficDistribution"),
    autoscaleBehavior: marks.map("$v.autoscaleBehavior"),
    trustedZtunnelName: marks.text('$v.trustedZtunnelName | default "ztunnel"'),
    crlConfigMapName: marks.text(revocationLists),
    taint: {
      enabled: isUntainting,
      name: marks.text("$v.taint.name"),
      namespace: marks.text("$v.taint.namespace | default $.Release.Namespace"),
    },
    cpu: { targetAverageUtilization: marks.number("$v.cpu.targetAverageUtilization") },
  };
}

const tracing = "serin.mesh.tracing";

const tracingHelper = [
  `{{- define "${tracing}" -}}`,
  valuesHeader,
  "{{- $tracer := toString $v.global.proxy.tracer }}",
  "{{- $given := index ($v.global.tracer | default dict) $tracer | default dict }}",
  '{{- if eq $tracer "zipkin" }}',
  "tracing:",
  "  zipkin:",
  '    address: {{ $given.address | default (printf "zipkin.%s:9411" $v.global.istioNamespace) | quote }}',
  '{{- else if eq $tracer "datadog" }}',
  "tracing:",
  "  datadog:",
  '    address: {{ $given.address | default "$(HOST_IP):8126" | quote }}',
  '{{- else if eq $tracer "lightstep" }}',
  "tracing:",
  "  lightstep:",
  '    address: {{ $given.address | default "" | quote }}',
  '    accessToken: {{ $given.accessToken | default "" | quote }}',
  "{{- end }}",
  "{{- end }}",
].join("\n");

/** Replaces the texts of a ConfigMap by expressions that build them from the values. */
function withConfig(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  const { data } = object as { data?: Readonly<Record<string, string>> };
  if (object.kind !== "ConfigMap" || data === undefined) return object;
  const texts: Record<string, string> = {};
  for (const key of Object.keys(data)) texts[key] = configText(key, data[key] ?? "", marks);
  return { ...object, data: texts };
}

const revocationLists = '$v.crlConfigMapName | default "istio-ca-crl"';

const injectorValues = `(dict "gateways" (pick $v.gateways "securityContext" "seccompProfile") "global" $v.global "pilot" (dict "cni" $v.cni "env" $v.env "crlConfigMapName" (${revocationLists})) "revision" ($v.revision | default "") "sidecarInjectorWebhook" $v.sidecarInjectorWebhook)`;

const injectorConfig =
  '(dict "defaultTemplates" ($v.sidecarInjectorWebhook.defaultTemplates | default (list "sidecar")) "policy" $v.global.proxy.autoInject "alwaysInjectSelector" $v.sidecarInjectorWebhook.alwaysInjectSelector "neverInjectSelector" $v.sidecarInjectorWebhook.neverInjectSelector "injectedAnnotations" $v.sidecarInjectorWebhook.injectedAnnotations "template" "{{ Template_Version_And_Istio_Version_Mismatched_Check_Installation }}" "templates" $v.sidecarInjectorWebhook.templates)';

const withoutMetrics =
  '(or (not $v.telemetry.enabled) (not $v.telemetry.v2.enabled) (eq (toString ($v.telemetry.v2.prometheus).enabled) "false"))';

function configText(key: string, text: string, marks: TemplateMarks): string {
  if (key === "values") return marks.block(`${injectorValues} | toPrettyJson`);
  if (key === "config") return marks.block(`${injectorConfig} | toYaml`);
  if (key === "merged-values" || key === "original-values") return marks.block("$v | toPrettyJson");
  if (key === "meshNetworks") return marks.block('(dict "networks" $v.global.meshNetworks) | toYaml');
  if (key === "mesh") {
    const suffix = '(ternary "" (printf "-%s" $v.revision) (eq ($v.revision | default "default") "default"))';
    const own = '(ternary (dict "meshId" $v.global.meshID) (dict) (ne ($v.global.meshID | default "") ""))';
    const type = "($v.global.proxy.variant | default $v.global.variant)";
    const image = `(ternary (dict) (dict "image" (dict "imageType" ${type})) (empty ${type}))`;
    const traced = `(include "${tracing}" $ | fromYaml)`;
    const defaults = `(dict "defaultConfig" (merge (dict "discoveryAddress" (printf "istiod%s.%s.svc:15012" ${suffix} $.Release.Namespace)) ${own} ${image} ${traced}) "defaultProviders" (ternary (dict) (dict "metrics" (list "prometheus")) ${withoutMetrics}) "enablePrometheusMerge" true "rootNamespace" $.Release.Namespace "trustDomain" "cluster.local")`;
    return marks.block(`mergeOverwrite ${defaults} $v.meshConfig | toYaml`);
  }
  return text;
}

/** The template that renders one object for each tag in `revisionTags`. */
function tagsTemplate(marks: TemplateMarks, tagged: (tag: string, settings: InstallSettings) => UntypedObject): string {
  const tag = marks.text("$tag");
  const body = (isDefault: boolean): string =>
    templateOfVariants({
      marks,
      switches: [revisionSwitch],
      keyOf: keyWithoutMarks,
      render: ([isRevisioned = false]) => {
        const settings = markedSettings(marks, isRevisioned, {});
        const object = withTag(tagged(isDefault ? "default" : "⟦tag⟧", settings), tag);
        return [ofRelease(object.kind === "Service" ? object : renamedTag(object, marks), marks)];
      },
    });
  return [
    "{{- range $tag := $v.revisionTags }}",
    '{{- if eq $tag "default" }}',
    body(true),
    "{{- else }}",
    body(false),
    "{{- end }}",
    "{{- end }}",
  ].join("\n");
}

function withTag(object: UntypedObject, tag: string): UntypedObject {
  return JSON.parse(JSON.stringify(object).replaceAll("⟦tag⟧", tag)) as UntypedObject;
}

function renamedTag(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  const name = marks.text(
    'ternary (printf "istio-revision-tag-%s" $tag) (printf "istio-revision-tag-%s-%s" $tag $.Release.Namespace) (eq $.Release.Namespace "istio-system")',
  );
  return { ...object, metadata: { ...object.metadata, name } };
}
