import type { Tree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { renderZtunnel } from "../components/ztunnel.ts";
import { affinityOfDaemons } from "../daemonless-nodes.ts";
import {
  constrainedPlatform,
  constraintConditions,
  globalMarks,
  globals,
  keyWithoutMarks,
  markedSettings,
  ofRelease,
  revisionSwitch,
  quotaDefaults,
  quotaMarks,
  usesTrustBundle,
  wantsNetworkPolicy,
  wantsQuota,
  workloadMarks,
  writesUnlessTaken,
  type ChartOptions,
} from "./chart-settings.ts";
import { assembleChart, defaultsKey, valuesHeader, valuesHelper, type Chart } from "./chart.ts";
import { platformFiles, profileFiles } from "./profile-files.ts";
import { TemplateMarks } from "./template-marks.ts";
import { typesBelow, valuesSchema } from "./values-schema.ts";
import { templateOfVariants } from "./variants.ts";

function ztunnelMarks(marks: TemplateMarks): Tree {
  return {
    ...workloadMarks(marks),
    resourceQuotas: quotaMarks(marks),
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
    imagePullSecrets: marks.names("$v.imagePullSecrets"),
    imagePullPolicy: marks.optional("$v.imagePullPolicy | default $v.global.imagePullPolicy"),
    multiCluster: {
      clusterName: marks.text(
        '($v.multiCluster).clusterName | default $v.global.multiCluster.clusterName | default "Kubernetes"',
      ),
    },
    seLinuxOptions: marks.map("$v.seLinuxOptions"),
    updateStrategy: {
      type: marks.text("$v.updateStrategy.type"),
      rollingUpdate: {
        maxSurge: marks.number("toPrettyJson $v.updateStrategy.rollingUpdate.maxSurge"),
        maxUnavailable: marks.number("toPrettyJson $v.updateStrategy.rollingUpdate.maxUnavailable"),
      },
    },
    caAddress: marks.text('$v.caAddress | default (include "serin.discovery" .)'),
    xdsAddress: marks.text('$v.xdsAddress | default (include "serin.discovery" .)'),
  };
}

const usualRoot = '(dict "configMap" (dict "name" ($v.trustBundleName | default "istio-ca-root-cert")))';
const bundleName = '(printf "istio.io:istiod-ca:%s" ($v.trustBundleName | default "root-cert"))';
const bundledRoot = `(dict "projected" (dict "sources" (list (dict "clusterTrustBundle" (dict "name" ${bundleName} "path" "root-cert.pem")))))`;
const rootSource = `ternary ${bundledRoot} ${usualRoot} (${usesTrustBundle})`;

function ztunnelDefaults(options: ChartOptions): Tree {
  return {
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
    affinity: affinityOfDaemons,
    podAnnotations: {},
    podLabels: {},
    volumes: [],
    volumeMounts: [],
    // Defaults are here and not in the template, because a template cannot distinguish a user's 0 from an absent value.
    updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    resourceQuotas: quotaDefaults,
    peerCaCrl: { enabled: false },
  };
}

const ofOneRevision: ReadonlySet<string> = new Set(["DaemonSet", "NetworkPolicy"]);

const writesShared = "serin.ztunnel.shared";
const sharedHelper = writesUnlessTaken(writesShared, '"v1" "ServiceAccount" .Release.Namespace "ztunnel"');

/**
 * Makes Helm keep an object when the release is removed. The ztunnels of all revisions share such objects: without the
 * account, ztunnels of other revisions would get no certificates.
 */
function kept(object: UntypedObject): UntypedObject {
  return { ...object, metadata: { ...object.metadata, annotations: { "helm.sh/resource-policy": "keep" } } };
}

/**
 * The conditions of the objects. Shared objects are left out if another Helm release owns them, because Helm would
 * refuse to install over them.
 */
function sharedConditions(): Readonly<Record<string, string>> {
  const conditions = { "ResourceQuota/ztunnel": wantsQuota, ...constraintConditions("ztunnel") };
  const isWritten = `include "${writesShared}" .`;
  return {
    "ServiceAccount/ztunnel": isWritten,
    "NetworkPolicy/ztunnel": wantsNetworkPolicy,
    ...Object.fromEntries(
      Object.entries(conditions).map(([key, condition]) => [key, `and (${isWritten}) (${condition})`]),
    ),
  };
}

export function ztunnelChart(options: ChartOptions): Chart {
  const marks = new TemplateMarks();
  const own = ztunnelMarks(marks);
  const render = ([isRevisioned = false, looksAtRevocations = false]: readonly boolean[]): UntypedObject[] =>
    renderZtunnel({
      ...markedSettings(marks, isRevisioned, {
        global: { ...globalMarks(marks), platform: constrainedPlatform },
        ztunnel: { ...own, peerCaCrl: { enabled: looksAtRevocations } },
      }),
      rootSource: marks.map(rootSource),
    }).map((object) => ofRelease(ofOneRevision.has(object.kind ?? "") ? object : kept(object), marks));
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
    values: { [defaultsKey]: ztunnelDefaults(options) },
    templates: {
      "_helpers.tpl": `${valuesHelper(["ztunnel"], { flattensGlobals: true })}\n${discovery}\n${sharedHelper}`,
      ztunnel: `${valuesHeader}\n${templateOfVariants({
        marks,
        switches: [revisionSwitch, { condition: "$v.peerCaCrl.enabled" }],
        render,
        keyOf: keyWithoutMarks,
        conditions: sharedConditions(),
      })}`,
    },
    files: { ...profileFiles(["global", "ztunnel"]), ...platformFiles(["ztunnel"]) },
    notes: '"{{ .Release.Name }}" is installed: label a namespace istio.io/dataplane-mode=ambient to enrol its pods.\n',
    schema: valuesSchema(
      { ...typesBelow("ztunnel"), global: typesBelow("global") },
      { revision: "string", logLevel: "string", istioNamespace: "string", caAddress: "string", xdsAddress: "string" },
    ),
  });
}
