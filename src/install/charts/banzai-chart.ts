import { stringify } from "yaml";
import type { UntypedObject } from "../../api/index.ts";
import { nonRootUser, restrictedContext } from "../../api/pod-security/index.ts";
import { grant } from "../components/roles.ts";
import { banzaiOperatorRules } from "../operator-rights.ts";
import { fieldEnv, object, proxyUser } from "../render-context.ts";
import { assembleChart, type Chart } from "./chart.ts";
import type { ChartOptions } from "./chart-settings.ts";
import { TemplateMarks } from "./template-marks.ts";
import { valuesSchema } from "./values-schema.ts";

/** The version and the app version of Banzai Cloud's last published chart. */
const chartVersion = "0.0.69";
const appVersion = "0.7.12";

const helpers = [
  '{{- define "operator.name" -}}',
  '{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}',
  '{{- else }}{{- $chart := .Values.nameOverride | default .Chart.Name }}{{ ternary .Release.Name (printf "%s-%s" .Release.Name $chart) (contains $chart .Release.Name) | trunc 63 | trimSuffix "-" }}{{ end }}{{ .Values.operatorComponentSuffix }}',
  "{{- end }}",
].join("\n");

const withProxy = "and $.Values.prometheusMetrics.enabled $.Values.prometheusMetrics.authProxy.enabled";

/**
 * Expressions of the parts of `istioVersion`, and of the leading operator's Lease, such as `banzai-istio-operator-1-7`.
 */
const minorParts = 'splitList "." (toString $.Values.istioVersion)';
const lease = `printf "banzai-istio-operator-%s-%s" (index (${minorParts}) 0) (index (${minorParts}) 1)`;

/**
 * Banzai Cloud's chart of an operator for the minor release `istioVersion`. The CRDs stay when the chart is removed.
 */
export function banzaiOperatorChart(options: ChartOptions): Chart {
  const marks = new TemplateMarks();
  const text = (objects: readonly UntypedObject[]): string =>
    objects.map((object) => `---\n${marks.templateOf(object)}`).join("\n");
  const parts = operatorParts(marks);
  return assembleChart({
    name: "istio-operator",
    version: chartVersion,
    appVersion,
    description: "An operator of Banzai Cloud's Istio and MeshGateway objects, for one minor release of Istio",
    values: {
      operator: {
        image: { repository: "banzaicloud/istio-operator", tag: appVersion, pullPolicy: "IfNotPresent" },
        extraArgs: [],
        resources: { requests: { cpu: "20m", memory: "128Mi" } },
      },
      istioVersion: "1.7",
      prometheusMetrics: {
        enabled: true,
        authProxy: {
          enabled: true,
          image: { repository: "gcr.io/kubebuilder/kube-rbac-proxy", tag: "v0.5.0", pullPolicy: "IfNotPresent" },
        },
      },
      rbac: { enabled: true },
      nameOverride: "",
      fullnameOverride: "",
      operatorComponentSuffix: "",
      leaderElection: { enabled: true, namespace: "", nameOverride: "" },
      nodeSelector: {},
      tolerations: [],
      affinity: {},
    },
    templates: {
      "_helpers.tpl": helpers,
      "operator-rbac": `{{- if .Values.rbac.enabled }}\n${text(parts.access)}\n{{- end }}`,
      "operator-service": text([parts.service]),
      "authproxy-service": `{{- if ${withProxy} }}\n${text([parts.proxyService])}\n{{- end }}`,
      "operator-statefulset": withOptionalProxy(text([parts.statefulSet])),
    },
    files: Object.fromEntries(
      options.customResources.banzai.map((definition) => [
        `crds/${definition.metadata.name ?? ""}.yaml`,
        stringify(definition),
      ]),
    ),
    notes:
      "The operator of Istio {{ .Values.istioVersion }} is installed. Apply an Istio object of that release for a control plane.\n",
    schema: valuesSchema(
      {
        operator: "map",
        prometheusMetrics: { authProxy: { enabled: "boolean" }, enabled: "boolean" },
        rbac: { enabled: "boolean" },
      },
      { istioVersion: "string" },
    ),
  });
}

interface OperatorParts {
  readonly access: readonly UntypedObject[];
  readonly service: UntypedObject;
  readonly proxyService: UntypedObject;
  readonly statefulSet: UntypedObject;
}

function operatorParts(marks: TemplateMarks): OperatorParts {
  const name = marks.text('include "operator.name" $');
  const namespace = marks.text("$.Release.Namespace");
  const selector = {
    "control-plane": "controller-manager",
    "controller-tools.k8s.io": "1.0",
    "app.kubernetes.io/name": "istio-operator",
    "app.kubernetes.io/instance": marks.text("$.Release.Name"),
    "app.kubernetes.io/component": "operator",
  };
  const labels = {
    ...selector,
    "helm.sh/chart": marks.text('printf "%s-%s" $.Chart.Name $.Chart.Version'),
    "app.kubernetes.io/managed-by": marks.text("$.Release.Service"),
    "app.kubernetes.io/version": marks.text("$.Chart.AppVersion"),
  };
  const serviceAccount = { name, namespace };
  return {
    access: [
      object({ apiVersion: "v1", kind: "ServiceAccount", ...serviceAccount, labels }, {}),
      ...grant({ name, labels, serviceAccount, rules: banzaiOperatorRules(marks.text(lease)) }),
    ],
    service: object(
      { apiVersion: "v1", kind: "Service", ...serviceAccount, labels },
      { spec: { selector, ports: [{ name: "https", protocol: "TCP", port: 443, targetPort: 9443 }] } },
    ),
    proxyService: object(
      {
        apiVersion: "v1",
        kind: "Service",
        name: marks.text('printf "%s-authproxy" (include "operator.name" $)'),
        namespace,
        labels: { ...labels, "app.kubernetes.io/component": "authproxy" },
        annotations: { "prometheus.io/port": "8443", "prometheus.io/scheme": "https", "prometheus.io/scrape": "true" },
      },
      { spec: { selector, ports: [{ name: "https", protocol: "TCP", port: 8443, targetPort: "https" }] } },
    ),
    statefulSet: statefulSet(marks, { name, namespace, labels }, selector),
  };
}

function statefulSet(
  marks: TemplateMarks,
  identity: { readonly name: string; readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
  selector: Readonly<Record<string, string>>,
): UntypedObject {
  const image = (at: string): string =>
    `${marks.text(`$.Values.${at}.repository`)}:${marks.text(`$.Values.${at}.tag`)}`;
  return object(
    { apiVersion: "apps/v1", kind: "StatefulSet", ...identity },
    {
      spec: {
        selector: { matchLabels: selector },
        serviceName: identity.name,
        template: {
          metadata: { labels: { ...selector, "sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none" } },
          spec: {
            serviceAccountName: marks.text(
              'ternary (include "operator.name" $) "default" (not (empty $.Values.rbac.enabled))',
            ),
            securityContext: { fsGroup: proxyUser },
            terminationGracePeriodSeconds: 60,
            containers: [
              {
                name: "kube-rbac-proxy",
                image: image("prometheusMetrics.authProxy.image"),
                imagePullPolicy: marks.text("$.Values.prometheusMetrics.authProxy.image.pullPolicy"),
                args: [
                  "--secure-listen-address=0.0.0.0:8443",
                  "--upstream=http://127.0.0.1:8080/",
                  "--logtostderr=true",
                  "--v=10",
                ],
                ports: [{ name: "https", containerPort: 8443 }],
                securityContext: restrictedContext(nonRootUser),
              },
              {
                name: "manager",
                image: image("operator.image"),
                imagePullPolicy: marks.text("$.Values.operator.image.pullPolicy"),
                command: ["/manager"],
                args: [
                  `--metrics-addr=${marks.text(`ternary "127.0.0.1" "0.0.0.0" (not (empty (${withProxy})))`)}:8080`,
                  "--watch-created-resources-events=true",
                  "--leader-election-enabled",
                  `--leader-election-namespace=${marks.text('$.Values.leaderElection.namespace | default "kube-system"')}`,
                  `--istio-version=${marks.text("$.Values.istioVersion")}`,
                  ...marks.list("$.Values.operator.extraArgs"),
                ],
                env: [fieldEnv("POD_NAMESPACE", "metadata.namespace"), fieldEnv("POD_NAME", "metadata.name")],
                ports: [{ name: "webhook-server", containerPort: 443, protocol: "TCP" }],
                resources: marks.map("$.Values.operator.resources"),
                securityContext: restrictedContext(proxyUser),
              },
            ],
            nodeSelector: marks.map("$.Values.nodeSelector"),
            tolerations: marks.list("$.Values.tolerations"),
            affinity: marks.map("$.Values.affinity"),
          },
        },
      },
    },
  );
}

/** Renders the first container only if metrics are enabled and protected. */
function withOptionalProxy(template: string): string {
  const lines = template.split("\n");
  const from = lines.findIndex((line) => line.includes("- name: kube-rbac-proxy"));
  const to = lines.findIndex((line) => line.includes("- name: manager"));
  return [
    ...lines.slice(0, from),
    `{{- if ${withProxy} }}`,
    ...lines.slice(from, to),
    "{{- end }}",
    ...lines.slice(to),
  ].join("\n");
}
