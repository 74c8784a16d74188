import { isTree, treeAt } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { defaultMultiClusterApi } from "../../api/multicluster/index.ts";
import { renderBase } from "../components/base.ts";
import { cniPlatformChoices, unchainedPlatforms } from "../cni-platform.ts";
import { renderCni } from "../components/cni.ts";
import { renderPilot } from "../components/pilot.ts";
import { renderRolloutEngine } from "../components/rollout-engine.ts";
import { defaultStableChannel, revisionStableChannel } from "../components/stable-channel.ts";
import { revisionTagService } from "../components/revision-tag-service.ts";
import { defaultValidator, revisionTag } from "../components/webhooks.ts";
import { ownReaderAccount } from "../components/reader-account.ts";
import { renderZtunnel } from "../components/ztunnel.ts";
import { defaultValues } from "../default-values.ts";
import { mergeTrees } from "../merge.ts";
import { resolveSettings, type InstallSettings } from "../settings.ts";
import { assembleChart, defaultsKey, valuesHeader, valuesHelper, type Chart } from "./chart.ts";
import { compatibilityFiles, profileFiles } from "./profile-files.ts";
import { TemplateMarks } from "./template-marks.ts";
import { templateOfVariants, type Switch } from "./variants.ts";
import { looseSchema } from "./values-schema.ts";

type Tree = Readonly<Record<string, unknown>>;

export interface ChartOptions {
  readonly hub: string;
  /** The release: the version of the charts, and the default tag of images. */
  readonly version: string;
  readonly customResources: {
    readonly istio: readonly UntypedObject[];
    readonly rollout: readonly UntypedObject[];
    readonly banzai: readonly UntypedObject[];
  };
}

const revisionSwitch: Switch = { condition: '(ne ($v.revision | default "default") "default")' };
const chosenRevision = '$v.revision | default "default"';

function globals({ hub, version }: ChartOptions): Tree {
  return { ...treeAt(defaultValues, "global"), hub, tag: version };
}

/** Settings with marks wherever a chart's values apply. `isRevisioned` is the state of the revision's switch. */
function markedSettings(marks: TemplateMarks, isRevisioned: boolean, values: Tree): InstallSettings {
  const parsed = resolveSettings({ specs: [{ profile: "empty" }] }, { hub: "", tag: "" });
  if (parsed.value === undefined) throw new Error("the default settings cannot be wrong");
  return {
    ...parsed.value,
    hub: marks.text("$v.global.hub"),
    tag: marks.text("$v.global.tag"),
    namespace: marks.text("$.Release.Namespace"),
    revision: isRevisioned ? marks.text("$v.revision") : "",
    revisionLabel: marks.text(chosenRevision),
    multiClusterGroup: marks.text(`$v.env.MCS_API_GROUP | default "${defaultMultiClusterApi.group}"`),
    values: mergeTrees(
      mergeTrees(defaultValues, {
        pilot: { autoscaleEnabled: true },
        ownerName: marks.text('$v.ownerName | default "unknown"'),
      }),
      values,
    ) as InstallSettings["values"],
  };
}

/** The key of an object, without the marks that a revision or namespace adds to its name. */
function keyWithoutMarks({ kind, metadata }: UntypedObject): string {
  return `${kind ?? ""}/${(metadata.name ?? "").replaceAll(/-?⟦\d+⟧/g, "")}`;
}

/** Adds the labels that name the helm release. */
function ofRelease(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  const name = marks.text("$.Release.Name");
  const relabel = (labels: Tree): Tree =>
    Object.fromEntries(
      Object.entries(labels).map(([key, value]) => [
        key,
        key === "release" || key === "app.kubernetes.io/instance" ? name : value,
      ]),
    );
  const { spec } = object as { spec?: { template?: { metadata?: { labels?: Tree } } } };
  const template = spec?.template;
  const pods =
    template?.metadata?.labels === undefined
      ? {}
      : {
          spec: {
            ...spec,
            template: { ...template, metadata: { ...template.metadata, labels: relabel(template.metadata.labels) } },
          },
        };
  return {
    ...object,
    metadata: { ...object.metadata, labels: relabel(object.metadata.labels ?? {}) as Record<string, string> },
    ...pods,
  };
}

/** The injector's name ends with the namespace, unless that is istio-system. */
function injectorName(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  const { name = "" } = object.metadata;
  if (object.kind !== "MutatingWebhookConfiguration" || !name.startsWith("istio-sidecar-injector")) return object;
  const suffix = marks.text('ternary "" (printf "-%s" $.Release.Namespace) (eq $.Release.Namespace "istio-system")');
  return { ...object, metadata: { ...object.metadata, name: name.replace(/-⟦\d+⟧$/, suffix) } };
}

/** Marks for the values that every workload supports. */
function workloadMarks(marks: TemplateMarks, at: string): Tree {
  return {
    resources: marks.map(`${at}.resources`),
    nodeSelector: marks.map(`${at}.nodeSelector`),
    tolerations: marks.list(`${at}.tolerations`),
    affinity: marks.map(`${at}.affinity`),
    podAnnotations: marks.map(`${at}.podAnnotations`),
    podLabels: marks.map(`${at}.podLabels`),
    env: marks.env(`${at}.env`),
    volumes: marks.list(`${at}.volumes`),
    volumeMounts: marks.list(`${at}.volumeMounts`),
  };
}

function globalMarks(marks: TemplateMarks): Tree {
  const proxy = (field: string): string => marks.text(`$v.global.proxy.${field}`);
  return {
    imagePullPolicy: marks.optional("$v.global.imagePullPolicy"),
    priorityClassName: marks.optional("$v.global.priorityClassName"),
    pilotCertProvider: marks.text("$v.global.pilotCertProvider"),
    logging: { level: marks.text("$v.global.logging.level") },
    logAsJson: marks.list('ternary (list "--log_as_json") list (eq (toString $v.global.logAsJson) "true")'),
    multiCluster: { clusterName: marks.text('$v.global.multiCluster.clusterName | default "Kubernetes"') },
    proxy: {
      clusterDomain: proxy("clusterDomain"),
      logLevel: proxy("logLevel"),
      componentLogLevel: proxy("componentLogLevel"),
    },
    istiod: { enableAnalysis: false },
  };
}

/** Whether control planes of other clusters may read this one, and the given account with which they do. */
const hasReader = '(ne (toString $v.global.enableReaderRBAC) "false")';
const readerName = "(($v.global).readerServiceAccount).name";

function readerMarks(marks: TemplateMarks): Tree {
  return {
    name: marks.text(`${readerName} | default "${ownReaderAccount}"`),
    namespace: marks.text(
      `ternary (($v.global.readerServiceAccount).namespace | default $.Release.Namespace) $.Release.Namespace (not (empty ${readerName}))`,
    ),
  };
}

/** Pods on which others of the node depend are evicted last. */
function nodeMarks(marks: TemplateMarks): Tree {
  return {
    ...globalMarks(marks),
    priorityClassName: marks.text('$v.global.priorityClassName | default "system-node-critical"'),
  };
}

/** As in upstream, uses the given value, or `Ignore` at first. An upgrade keeps what the control plane has set. */
function validationMarks(marks: TemplateMarks): Tree {
  return {
    validationFailurePolicy: marks.optional(
      '$v.base.validationFailurePolicy | default (ternary "" "Ignore" $.Release.IsUpgrade)',
    ),
  };
}

/** The profile `stable` refuses what upstream calls experimental. */
function stableChannelConditions(name: string): Readonly<Record<string, string>> {
  const wanted = "$v.experimental.stableValidationPolicy";
  const binding = name.replace(/policy$/, "policy-binding");
  return {
    [`ValidatingAdmissionPolicy/${name}.istio.io`]: wanted,
    [`ValidatingAdmissionPolicyBinding/${binding}.istio.io`]: wanted,
  };
}

export function baseChart(options: ChartOptions): Chart {
  const marks = new TemplateMarks();
  const render = (states: readonly boolean[]): UntypedObject[] => {
    const settings = markedSettings(marks, false, { base: validationMarks(marks) });
    const validated =
      states[0] === true
        ? [
            defaultValidator("⟦default⟧", { ...settings, namespace: marks.text("$v.global.istioNamespace") }),
            ...defaultStableChannel("⟦default⟧", settings),
          ]
        : [];
    return [
      ...renderBase({ ...settings, values: { ...settings.values, base: { enableIstioConfigCRDs: false } } }, []),
      ...validated.map((object) => withDefaultService(object, marks)),
    ].map((object) => ofRelease(object, marks));
  };
  const main = templateOfVariants({
    marks,
    switches: [{ condition: '(ne ($v.defaultRevision | default "") "")' }],
    render,
    keyOf: keyWithoutMarks,
    conditions: {
      [`ServiceAccount/${ownReaderAccount}`]: `and ${hasReader} (not ${readerName})`,
      ...stableChannelConditions("stable-channel-default-policy"),
    },
  });
  const engine = renderRolloutEngine(markedSettings(marks, false, {}), [])
    .map((object) => `---\n${marks.templateOf(object)}`)
    .join("\n");
  return assembleChart({
    name: "base",
    upstream: "base",
    version: options.version,
    appVersion: options.version,
    description: "Definitions of Istio's kinds, and what all revisions of a control plane share",
    values: {
      [defaultsKey]: {
        global: { ...globals(options), istioNamespace: "istio-system" },
        base: { enableIstioConfigCRDs: true, validationFailurePolicy: "" },
        experimental: { stableValidationPolicy: false },
        defaultRevision: "default",
        rollout: { enabled: true },
      },
    },
    templates: {
      "_helpers.tpl": valuesHelper([]),
      crds: `${valuesHeader}\n{{- if $v.base.enableIstioConfigCRDs }}\n{{ .Files.Get "files/crds.yaml" }}\n{{- end }}`,
      base: `${valuesHeader}\n${main}`,
      rollout: `${valuesHeader}\n{{- if $v.rollout.enabled }}\n${engine}\n{{ .Files.Get "files/rollout-crds.yaml" }}\n{{- end }}`,
    },
    files: {
      ...profileFiles(["global", "base", "experimental"]),
      "files/crds.yaml": definitionsText(options.customResources.istio),
      "files/rollout-crds.yaml": definitionsText(options.customResources.rollout),
    },
    notes: "Istio's kinds are defined. Next: helm install istiod istio/istiod -n {{ .Release.Namespace }}\n",
    schema: looseSchema({
      defaultRevision: "string",
      base: "object",
      global: "object",
      profile: "string",
      rollout: "object",
    }),
  });
}

/** The validator leads to `istiod`, or to `istiod-<revision>`, of the chosen default revision. */
function withDefaultService(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  const service = marks.text(
    'ternary "istiod" (printf "istiod-%s" $v.defaultRevision) (eq $v.defaultRevision "default")',
  );
  const revision = marks.text("$v.defaultRevision");
  return JSON.parse(
    JSON.stringify(object).replaceAll("istiod-⟦default⟧", service).replaceAll("⟦default⟧", revision),
  ) as UntypedObject;
}

/** One line of JSON for each definition, with the annotation that makes helm keep it when the chart is removed. */
function definitionsText(definitions: readonly UntypedObject[]): string {
  return definitions
    .map((definition) => ({
      ...definition,
      metadata: {
        ...definition.metadata,
        annotations: { ...definition.metadata.annotations, "helm.sh/resource-policy": "keep" },
      },
    }))
    .map((definition) => `---\n${JSON.stringify(definition)}\n`)
    .join("");
}

export function istiodChart(options: ChartOptions): Chart {
  const marks = new TemplateMarks();
  const { pilot, ...shared } = defaultValues;
  const render = ([
    isRevisioned = false,
    isScaled = false,
    isUntainting = false,
    injectsEverywhere = false,
  ]: readonly boolean[]): UntypedObject[] => {
    const settings = markedSettings(marks, isRevisioned, {
      base: validationMarks(marks),
      global: { ...globalMarks(marks), readerServiceAccount: readerMarks(marks) },
      pilot: pilotMarks(marks, isScaled, isUntainting),
      sidecarInjectorWebhook: {
        enableNamespacesByDefault: injectsEverywhere,
        reinvocationPolicy: marks.text('$v.sidecarInjectorWebhook.reinvocationPolicy | default "Never"'),
      },
    });
    return [...renderPilot(settings), ...revisionStableChannel(settings)]
      .map((object) => (isRevisioned ? object : withKeptSelector(object, marks)))
      .map((object) => ofRelease(injectorName(withConfig(object, marks), marks), marks));
  };
  const main = templateOfVariants({
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
        "and $v.global.defaultPodDisruptionBudget.enabled (gt (int (ternary $v.autoscaleMin $v.replicaCount $v.autoscaleEnabled)) 1)",
      "ConfigMap/istio-sidecar-injector": "not $v.global.omitSidecarInjectorConfigMap",
      "ConfigMap/istio": "$v.configMap",
      "ClusterRole/istio-reader-clusterrole": hasReader,
      "ClusterRoleBinding/istio-reader-clusterrole": hasReader,
      "MutatingWebhookConfiguration/istio-sidecar-injector": "not $v.global.operatorManageWebhooks",
      "ValidatingWebhookConfiguration/istio-validator": "$v.global.configValidation",
      ...stableChannelConditions("stable-channel-policy"),
    },
  });
  return assembleChart({
    name: "istiod",
    upstream: "istiod",
    version: options.version,
    appVersion: options.version,
    description: "The control plane of one revision",
    values: {
      [defaultsKey]: {
        ...(pilot as Tree),
        ...shared,
        base: { validationFailurePolicy: "" },
        experimental: { stableValidationPolicy: false },
        global: globals(options),
        resources: { requests: { cpu: "50m", memory: "128Mi" } },
        configMap: true,
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
      },
    },
    templates: {
      "_helpers.tpl": `${valuesHelper(["pilot"], false, true)}\n${selectorHelper}`,
      istiod: `${valuesHeader}\n${main}`,
      // Apart, because guides render the webhooks alone to move a tag.
      "revision-tags-mwc": `${valuesHeader}\n${tagsTemplate(marks, revisionTag)}`,
      "revision-tags-svc": `${valuesHeader}\n${tagsTemplate(marks, revisionTagService)}`,
    },
    files: {
      ...compatibilityFiles(),
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
    schema: looseSchema({
      revision: "string",
      revisionTags: "array",
      autoscaleEnabled: "boolean",
      env: "object",
      meshConfig: "object",
      global: "object",
      sidecarInjectorWebhook: "object",
      profile: "string",
    }),
  });
}

const pilotSelector = "serin.pilot.selector";

/**
 * A Deployment's selector is immutable. An upgrade from upstream's charts keeps theirs, which selects the same pods
 * with one label less.
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

function pilotMarks(marks: TemplateMarks, isScaled: boolean, isUntainting: boolean): Tree {
  return {
    ...workloadMarks(marks, "$v"),
    autoscaleEnabled: isScaled,
    autoscaleMin: marks.number("$v.autoscaleMin"),
    autoscaleMax: marks.number("$v.autoscaleMax"),
    replicaCount: marks.number("$v.replicaCount"),
    rollingMaxSurge: marks.text("$v.rollingMaxSurge"),
    rollingMaxUnavailable: marks.text("$v.rollingMaxUnavailable"),
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
    taint: {
      enabled: isUntainting,
      name: marks.text("$v.taint.name"),
      namespace: marks.text("$v.taint.namespace | default $.Release.Namespace"),
    },
    cpu: { targetAverageUtilization: marks.number("$v.cpu.targetAverageUtilization") },
  };
}

/** ConfigMaps whose text the chart builds from the values. */
function withConfig(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  const { data } = object as { data?: Readonly<Record<string, string>> };
  if (object.kind !== "ConfigMap" || data === undefined) return object;
  const texts: Record<string, string> = {};
  for (const key of Object.keys(data)) texts[key] = configText(key, data[key] ?? "", marks);
  return { ...object, data: texts };
}

const injectorValues =
  '(dict "gateways" (pick $v.gateways "securityContext" "seccompProfile") "global" $v.global "pilot" (dict "cni" $v.cni "env" $v.env "crlConfigMapName" ($v.crlConfigMapName | default "istio-ca-crl")) "revision" ($v.revision | default "") "sidecarInjectorWebhook" $v.sidecarInjectorWebhook)';
const injectorConfig =
  '(dict "defaultTemplates" ($v.sidecarInjectorWebhook.defaultTemplates | default (list "sidecar")) "policy" $v.global.proxy.autoInject "alwaysInjectSelector" $v.sidecarInjectorWebhook.alwaysInjectSelector "neverInjectSelector" $v.sidecarInjectorWebhook.neverInjectSelector "injectedAnnotations" $v.sidecarInjectorWebhook.injectedAnnotations "template" "{{ Template_Version_And_Istio_Version_Mismatched_Check_Installation }}" "templates" $v.sidecarInjectorWebhook.templates)';

/** Whether a value turns metrics off. */
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
    const defaults = `(dict "defaultConfig" (merge (dict "discoveryAddress" (printf "istiod%s.%s.svc:15012" ${suffix} $.Release.Namespace)) ${own}) "defaultProviders" (ternary (dict) (dict "metrics" (list "prometheus")) ${withoutMetrics}) "enablePrometheusMerge" true "rootNamespace" $.Release.Namespace "trustDomain" "cluster.local")`;
    return marks.block(`mergeOverwrite ${defaults} $v.meshConfig | toYaml`);
  }
  return text;
}

/** `revisionTags`: an object for each tag, which leads to this revision. */
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

/** A path that depends on the cluster's platform unless a value sets it. */
function platformChoice(field: Parameters<typeof cniPlatformChoices>[0]): string {
  const { usual, differing } = cniPlatformChoices(field);
  const byPlatform = differing.reduce(
    (otherwise, [platform, value]) =>
      `(ternary "${value}" ${otherwise} (eq ($v.global.platform | default "") "${platform}"))`,
    `"${usual}"`,
  );
  return `$v.${field} | default ${byPlatform}`;
}

export function cniChart(options: ChartOptions): Chart {
  const marks = new TemplateMarks();
  const own = {
    ...workloadMarks(marks, "$v"),
    env: marks.map("$v.env"),
    logLevel: marks.text("$v.logLevel"),
    logging: { level: marks.text("$v.logging.level") },
    image: marks.text("$v.image"),
    hub: marks.text("$v.hub | default $v.global.hub"),
    tag: marks.text("$v.tag | default $v.global.tag"),
    excludeNamespaces: [marks.text('join "," $v.excludeNamespaces')],
    rollingMaxUnavailable: marks.number("$v.rollingMaxUnavailable"),
    daemonSetLabels: marks.map("$v.daemonSetLabels"),
    pullPolicy: marks.optional("$v.pullPolicy | default $v.global.imagePullPolicy"),
    terminationGracePeriodSeconds: marks.number("int ($v.terminationGracePeriodSeconds | default 30)"),
    ambient: {},
    repair: {},
    cniBinDir: marks.text(platformChoice("cniBinDir")),
    cniConfDir: marks.text(platformChoice("cniConfDir")),
    cniNetnsDir: marks.text(platformChoice("cniNetnsDir")),
    cniConfFileName: marks.text(platformChoice("cniConfFileName")),
  };
  const render = (): UntypedObject[] =>
    renderCni(markedSettings(marks, false, { global: nodeMarks(marks), cni: own })).map((object) =>
      ofRelease(agentConfig(object, marks), marks),
    );
  return assembleChart({
    name: "cni",
    upstream: "cni",
    version: options.version,
    appVersion: options.version,
    description: "The node agent: enrols a node's pods",
    values: {
      [defaultsKey]: {
        global: globals(options),
        hub: "",
        tag: "",
        image: "install-cni",
        revision: "",
        logLevel: "info",
        logging: { level: "info" },
        excludeNamespaces: ["istio-system", "kube-system"],
        ambient: { enabled: true, dnsCapture: true, ipv6: true },
        repair: { enabled: true },
        chained: true,
        cniBinDir: "",
        cniConfDir: "",
        cniNetnsDir: "",
        cniConfFileName: "",
        env: {},
        resources: { requests: { cpu: "20m", memory: "96Mi" } },
        rollingMaxUnavailable: 1,
        nodeSelector: {},
        tolerations: [{ operator: "Exists" }],
        affinity: {},
        podAnnotations: {},
        podLabels: {},
        volumes: [],
        volumeMounts: [],
      },
    },
    templates: {
      "_helpers.tpl": valuesHelper(["cni"]),
      cni: `${valuesHeader}\n${templateOfVariants({ marks, switches: [], render, keyOf: keyWithoutMarks })}`,
    },
    files: profileFiles(["global", "cni"]),
    notes: '"{{ .Release.Name }}" is installed: pods of labelled namespaces are enrolled as they start.\n',
    schema: looseSchema({
      excludeNamespaces: "array",
      ambient: "object",
      global: "object",
      logLevel: "string",
      profile: "string",
      env: "object",
    }),
  });
}

const agentSwitches = {
  AMBIENT_ENABLED: "ambient.enabled",
  AMBIENT_DNS_CAPTURE: "ambient.dnsCapture",
  AMBIENT_IPV6: "ambient.ipv6",
  REPAIR_ENABLED: "repair.enabled",
} as const;

function agentConfig(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  if (object.kind !== "ConfigMap" || !isTree(object["data"])) return object;
  const switched = Object.fromEntries(
    Object.entries(agentSwitches).map(([name, path]) => [name, marks.text(`toString $v.${path}`)]),
  );
  const byName = unchainedPlatforms.map((platform) => `(ne ($v.global.platform | default "") "${platform}")`).join(" ");
  switched["CHAINED_CNI_PLUGIN"] = marks.text(`toString (and $v.chained ${byName})`);
  return { ...object, data: { ...object["data"], ...switched } };
}

export function ztunnelChart(options: ChartOptions): Chart {
  const marks = new TemplateMarks();
  const own = {
    ...workloadMarks(marks, "$v"),
    logLevel: marks.text("$v.logLevel"),
    logAsJson: marks.text('ternary "json" "plain" (eq (toString $v.logAsJson) "true")'),
    network: marks.text("$v.network | default $v.global.network"),
    image: marks.text("$v.image"),
    hub: marks.text("$v.hub | default $v.global.hub"),
    tag: marks.text("$v.tag | default $v.global.tag"),
    labels: marks.map("$v.labels"),
    terminationGracePeriodSeconds: marks.number("int $v.terminationGracePeriodSeconds"),
    annotations: marks.map("$v.annotations"),
    dnsPolicy: marks.optional("$v.dnsPolicy"),
    dnsConfig: marks.map("$v.dnsConfig"),
    imagePullPolicy: marks.optional("$v.imagePullPolicy | default $v.global.imagePullPolicy"),
    multiCluster: {
      clusterName: marks.text(
        '($v.multiCluster).clusterName | default $v.global.multiCluster.clusterName | default "Kubernetes"',
      ),
    },
    seLinuxOptions: marks.map("$v.seLinuxOptions"),
    updateStrategy: {
      type: marks.text('($v.updateStrategy).type | default "RollingUpdate"'),
      rollingUpdate: {
        maxSurge: marks.number("(($v.updateStrategy).rollingUpdate).maxSurge | default 1"),
        maxUnavailable: marks.number("(($v.updateStrategy).rollingUpdate).maxUnavailable | default 0"),
      },
    },
    caAddress: marks.text('$v.caAddress | default (include "serin.discovery" .)'),
    xdsAddress: marks.text('$v.xdsAddress | default (include "serin.discovery" .)'),
  };
  const render = ([isRevisioned = false]: readonly boolean[]): UntypedObject[] =>
    renderZtunnel(markedSettings(marks, isRevisioned, { global: nodeMarks(marks), ztunnel: own })).map((object) =>
      ofRelease(object, marks),
    );
  const discovery = [
    '{{- define "serin.discovery" -}}',
    valuesHeader,
    '{{- $suffix := ternary "" (printf "-%s" $v.revision) (eq ($v.revision | default "default") "default") -}}',
    "https://istiod{{ $suffix }}.{{ $v.istioNamespace }}.svc:15012",
    "{{- end }}",
  ].join("\n");
  return assembleChart({
    name: "ztunnel",
    upstream: "ztunnel",
    version: options.version,
    appVersion: options.version,
    description: "The node proxy of one revision",
    values: {
      [defaultsKey]: {
        global: globals(options),
        hub: "",
        tag: "",
        image: "ztunnel",
        revision: "",
        istioNamespace: "istio-system",
        caAddress: "",
        xdsAddress: "",
        logLevel: "info",
        logAsJson: false,
        network: "",
        terminationGracePeriodSeconds: 3600,
        env: {},
        labels: {},
        resources: { requests: { cpu: "50m", memory: "128Mi" } },
        nodeSelector: {},
        tolerations: [{ operator: "Exists" }],
        affinity: {},
        podAnnotations: {},
        podLabels: {},
        volumes: [],
        volumeMounts: [],
      },
    },
    templates: {
      "_helpers.tpl": `${valuesHelper(["ztunnel"], true)}\n${discovery}`,
      ztunnel: `${valuesHeader}\n${templateOfVariants({ marks, switches: [revisionSwitch], render, keyOf: keyWithoutMarks })}`,
    },
    files: profileFiles(["global", "ztunnel"]),
    notes: '"{{ .Release.Name }}" is installed: label a namespace istio.io/dataplane-mode=ambient to enrol its pods.\n',
    schema: looseSchema({
      revision: "string",
      env: "object",
      logLevel: "string",
      istioNamespace: "string",
      caAddress: "string",
      xdsAddress: "string",
    }),
  });
}
