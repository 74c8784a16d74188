import type { UntypedObject } from "../../api/index.ts";
import { ownGatewayPorts } from "../components/gateway.ts";
import { policyFor } from "../components/network-policy.ts";
import { grant } from "../components/roles.ts";
import { object } from "../render-context.ts";
import { assembleChart, defaultsKey, dict, resourcesAt, valuesHeader, valuesHelper, type Chart } from "./chart.ts";
import { wantsNetworkPolicy, type ChartOptions } from "./chart-settings.ts";
import { platformFiles, profileFiles } from "./profile-files.ts";
import { TemplateMarks } from "./template-marks.ts";
import { valuesSchema } from "./values-schema.ts";
import type { ValueTypes } from "../value-types.ts";
import { templateOfVariants } from "./variants.ts";

/** Fields of a Service that the chart sets from values of the same names. */
const serviceFields = [
  "clusterIP",
  "externalIPs",
  "healthCheckNodePort",
  "internalTrafficPolicy",
  "ipFamilies",
  "ipFamilyPolicy",
  "loadBalancerSourceRanges",
] as const;

const helpers = [
  '{{- define "gateway.name" -}}',
  valuesHeader,
  '{{- if eq .Release.Name "RELEASE-NAME" }}{{ $v.name | default "istio-ingressgateway" }}{{ else }}{{ $v.name | default .Release.Name }}{{ end }}',
  "{{- end }}",
  '{{- define "gateway.account" -}}',
  valuesHeader,
  '{{- if $v.serviceAccount.create }}{{ $v.serviceAccount.name | default (include "gateway.name" .) }}{{ else }}{{ $v.serviceAccount.name | default "default" }}{{ end }}',
  "{{- end }}",
  '{{- define "gateway.ports" -}}',
  valuesHeader,
  "ports:",
  "{{- if $v.networkGateway }}",
  '{{- range $name := list "status-port" "tls" "tls-istiod" "tls-webhook" }}{{ $port := index $v.networkGatewayPorts $name }}',
  "- name: {{ $name }}",
  "  port: {{ $port.port }}",
  "  targetPort: {{ $port.targetPort | default $port.port }}",
  '  protocol: {{ $port.protocol | default "TCP" }}',
  "{{- end }}",
  "{{- else if $v.service.ports }}",
  "{{ toYaml $v.service.ports }}",
  "{{- else }}",
  '{{- fail "service.ports: must list the ports of the Service, because networkGateway is not set" }}',
  "{{- end }}",
  "{{- end }}",
  '{{- define "gateway.policyPorts" -}}',
  "ports:",
  `{{- range list ${ownGatewayPorts.join(" ")} }}`,
  "- protocol: TCP",
  "  port: {{ . }}",
  "{{- end }}",
  '{{- range (include "gateway.ports" . | fromYaml).ports }}',
  "{{- $target := .targetPort | default .port }}",
  '{{- if not (has (toString $target) (list "15020" "15021" "15090")) }}',
  '- protocol: {{ .protocol | default "TCP" }}',
  "  port: {{ $target }}",
  "{{- end }}",
  "{{- end }}",
  "{{- end }}",
  // The API server refuses these fields if they are empty or do not fit the type of the Service.
  '{{- define "gateway.service" -}}',
  valuesHeader,
  `{{- range $name := list ${serviceFields.map((field) => `"${field}"`).join(" ")} }}`,
  "{{- with index $v.service $name }}",
  "{{ toYaml (dict $name .) }}",
  "{{- end }}",
  "{{- end }}",
  '{{- if eq $v.service.type "LoadBalancer" }}',
  "{{- with $v.service.loadBalancerClass }}",
  "loadBalancerClass: {{ . }}",
  "{{- end }}",
  '{{- if ne (toJson $v.service.allocateLoadBalancerNodePorts) "null" }}',
  "allocateLoadBalancerNodePorts: {{ $v.service.allocateLoadBalancerNodePorts }}",
  "{{- end }}",
  "{{- end }}",
  "{{- end }}",
].join("\n");

const networkPorts = [
  ["status-port", 15_021],
  ["tls", 15_443],
  ["tls-istiod", 15_012],
  ["tls-webhook", 15_017],
] as const;

const defaultValues = {
  name: "",
  revision: "",
  kind: "Deployment",
  rbac: { enabled: true },
  serviceAccount: { create: true, name: "", annotations: {} },
  podAnnotations: {
    "prometheus.io/port": "15020",
    "prometheus.io/scrape": "true",
    "prometheus.io/path": "/stats/prometheus",
    "inject.istio.io/templates": "gateway",
    "sidecar.istio.io/inject": "true",
  },
  labels: { "istio.io/dataplane-mode": "none" },
  annotations: {},
  env: {},
  service: {
    type: "LoadBalancer",
    annotations: {},
    loadBalancerIP: "",
    externalTrafficPolicy: "",
    ports: [
      { name: "status-port", port: 15_021, protocol: "TCP", targetPort: 15_021 },
      { name: "http2", port: 80, protocol: "TCP", targetPort: 80 },
      { name: "https", port: 443, protocol: "TCP", targetPort: 443 },
    ],
  },
  resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2000m", memory: "1024Mi" } },
  autoscaling: { enabled: true, minReplicas: 1, maxReplicas: 5, targetCPUUtilizationPercentage: 80 },
  networkGateway: "",
  networkGatewayPorts: Object.fromEntries(networkPorts.map(([name, port]) => [name, { port, targetPort: port }])),
  podDisruptionBudget: {},
  terminationGracePeriodSeconds: 30,
  nodeSelector: {},
  tolerations: [],
  affinity: {},
  topologySpreadConstraints: [],
  volumes: [],
  volumeMounts: [],
  imagePullPolicy: "",
  imagePullSecrets: [],
};

const gatewayTypes: ValueTypes = {
  affinity: "map",
  annotations: "map",
  autoscaling: {
    enabled: "boolean",
    maxReplicas: "whole",
    minReplicas: "whole",
    targetCPUUtilizationPercentage: "whole",
    // The default in Istio's chart is an empty object.
    targetMemoryUtilizationPercentage: "share",
  },
  env: "map",
  imagePullSecrets: "list",
  labels: "map",
  minReadySeconds: "whole",
  networkGatewayPorts: "map",
  nodeSelector: "map",
  podAnnotations: "map",
  podDisruptionBudget: { maxUnavailable: "part", minAvailable: "part" },
  rbac: { enabled: "boolean" },
  replicaCount: "whole",
  resources: { limits: "map", requests: "map" },
  service: { annotations: "map", loadBalancerSourceRanges: "list", ports: "list" },
  serviceAccount: { annotations: "map", create: "boolean" },
  terminationGracePeriodSeconds: "whole",
  tolerations: "list",
  topologySpreadConstraints: "list",
  volumeMounts: "list",
  volumes: "list",
};

/** The chart of a gateway. The control plane's injector completes the pod, whose image is `auto`. */
export function gatewayChart(options: ChartOptions): Chart {
  const marks = new TemplateMarks();
  const main = templateOfVariants({
    marks,
    switches: [{ condition: "$v.autoscaling.enabled" }],
    render: ([isScaled = false]) => gatewayObjects(marks, isScaled),
    keyOf: ({ kind }) => kind ?? "",
    conditions: {
      ServiceAccount: "$v.serviceAccount.create",
      Role: "$v.rbac.enabled",
      RoleBinding: "$v.rbac.enabled",
      Service: 'ne $v.service.type "None"',
      HorizontalPodAutoscaler: isDeployment,
      NetworkPolicy: wantsNetworkPolicy,
      // A budget for a single pod would prevent the drain of its node.
      PodDisruptionBudget:
        "and $v.podDisruptionBudget (gt (int (ternary $v.autoscaling.minReplicas ($v.replicaCount | default 1) (not (empty $v.autoscaling.enabled)))) 1)",
    },
  });
  return assembleChart({
    name: "gateway",
    upstream: "gateway",
    version: options.version,
    appVersion: options.version,
    description: "An ingress or egress gateway",
    values: { [defaultsKey]: defaultValues },
    templates: { "_helpers.tpl": `${valuesHelper([])}\n${helpers}`, gateway: `${valuesHeader}\n${main}` },
    // Users give all charts of a mesh the same values, so this chart also accepts profiles and platforms, although they
    // do not change it.
    files: { ...profileFiles([]), ...platformFiles([]) },
    notes: '"{{ include "gateway.name" . }}" is installed. Gateways select it by the label istio.\n',
    schema: valuesSchema(gatewayTypes, { revision: "string", name: "string" }),
  });
}

const podContext = dict({ sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }] });
const containerContext = dict({
  capabilities: { drop: ["ALL"] },
  allowPrivilegeEscalation: false,
  privileged: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  seccompProfile: { type: "RuntimeDefault" },
});
const ofKind = '$v.kind | default "Deployment"';
const isDeployment = `eq (${ofKind}) "Deployment"`;
/**
 * Omits the field if no number is given, so that an autoscaler or a person can set it. A DaemonSet has no such field.
 */
const replicas = `ternary (dict "replicas" (int $v.replicaCount)) dict (and (${isDeployment}) (ne (toJson $v.replicaCount) "null") (ne (toString $v.replicaCount) ""))`;
/**
 * The account may list Secrets. The proxy does not call the API server, so it gets no token that an attacker could
 * steal. The user's additional containers may need a token.
 */
const withoutToken =
  'ternary (dict "automountServiceAccountToken" false) dict (and (empty $v.initContainers) (empty $v.additionalContainers))';

function gatewayObjects(marks: TemplateMarks, isScaled: boolean): UntypedObject[] {
  const name = marks.text('include "gateway.name" $');
  const account = marks.text('include "gateway.account" $');
  const namespace = marks.text("$.Release.Namespace");
  const selector = {
    app: marks.text('$v.labels.app | default (include "gateway.name" $)'),
    istio: marks.text('$v.labels.istio | default (include "gateway.name" $ | trimPrefix "istio-")'),
  };
  const labels = {
    "app.kubernetes.io/name": name,
    "app.kubernetes.io/instance": marks.text("$.Release.Name"),
    "app.kubernetes.io/managed-by": marks.text("$.Release.Service"),
    "app.kubernetes.io/part-of": "istio",
    "app.kubernetes.io/version": marks.text("$.Chart.AppVersion"),
    "helm.sh/chart": marks.text('printf "gateway-%s" $.Chart.Version'),
    ...selector,
    "topology.istio.io/network": marks.optional("$v.networkGateway"),
    ...(marks.map('omit $v.labels "app" "istio"') as Record<string, string>),
  };
  const identity = { name, namespace, labels, annotations: marks.map("$v.annotations") as Record<string, string> };
  const serviceAccount = { name: account, namespace };
  return [
    object(
      {
        apiVersion: "v1",
        kind: "ServiceAccount",
        ...serviceAccount,
        labels,
        annotations: marks.map("$v.serviceAccount.annotations") as Record<string, string>,
      },
      {},
    ),
    ...grant({
      name: account,
      namespace,
      labels,
      serviceAccount,
      rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["list"] }],
    }),
    object(
      {
        apiVersion: "v1",
        kind: "Service",
        ...identity,
        annotations: marks.map("merge (deepCopy $v.service.annotations) $v.annotations") as Record<string, string>,
      },
      {
        spec: {
          type: marks.text("$v.service.type"),
          loadBalancerIP: marks.optional("$v.service.loadBalancerIP"),
          externalTrafficPolicy: marks.optional("$v.service.externalTrafficPolicy"),
          ...marks.map('include "gateway.service" $ | fromYaml'),
          ports: marks.list('index (include "gateway.ports" $ | fromYaml) "ports"'),
          selector: { ...selector, ...marks.map("$v.service.selectorLabels") },
        },
      },
    ),
    gatewayDeployment(marks, { ...identity, account, selector }, isScaled),
    ...(isScaled ? [gatewayScaler(marks, identity)] : []),
    object(
      { apiVersion: "policy/v1", kind: "PodDisruptionBudget", ...identity },
      { spec: { ...marks.map("$v.podDisruptionBudget"), selector: { matchLabels: selector } } },
    ),
    policyFor({ ...identity, selector }, marks.list('index (include "gateway.policyPorts" $ | fromYaml) "ports"')),
  ];
}

interface GatewayIdentity {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

function gatewayDeployment(
  marks: TemplateMarks,
  given: GatewayIdentity & { readonly account: string; readonly selector: Readonly<Record<string, string>> },
  isScaled: boolean,
): UntypedObject {
  const { account, selector, ...identity } = given;
  return object(
    { apiVersion: "apps/v1", kind: marks.text(ofKind), ...identity },
    {
      spec: {
        strategy: marks.map("$v.strategy"),
        minReadySeconds: marks.number("int ($v.minReadySeconds | default 0)"),
        ...(isScaled ? {} : marks.map(replicas)),
        selector: { matchLabels: selector },
        template: {
          metadata: {
            labels: {
              "sidecar.istio.io/inject": "true",
              "istio.io/rev": marks.optional("$v.revision"),
              ...identity.labels,
            },
            annotations: marks.map("$v.podAnnotations"),
          },
          spec: {
            serviceAccountName: account,
            ...marks.map(withoutToken),
            securityContext: marks.map(`$v.securityContext | default ${podContext}`),
            initContainers: marks.list("$v.initContainers"),
            containers: [
              {
                name: "istio-proxy",
                image: "auto",
                imagePullPolicy: marks.optional("$v.imagePullPolicy"),
                securityContext: marks.map(`$v.containerSecurityContext | default ${containerContext}`),
                env: [
                  {
                    name:
                      Object.keys(
                        marks.env(
                          'merge (ternary (dict "ISTIO_META_REQUESTED_NETWORK_VIEW" $v.networkGateway) (dict) (ne $v.networkGateway "")) $v.env',
                        ),
                      )[0] ?? "",
                    value: "",
                  },
                  ...marks.list("$v.envVarFrom"),
                ],
                ports: [{ name: "http-envoy-prom", containerPort: 15_090, protocol: "TCP" }],
                resources: marks.map(resourcesAt("$v.resources")),
                volumeMounts: marks.list("$v.volumeMounts"),
                readinessProbe: marks.map("$v.readinessProbe"),
                lifecycle: marks.map("$v.lifecycle"),
              },
              ...marks.list("$v.additionalContainers"),
            ],
            priorityClassName: marks.optional("$v.priorityClassName"),
            dnsPolicy: marks.optional("$v.dnsPolicy"),
            dnsConfig: marks.map("$v.dnsConfig"),
            volumes: marks.list("$v.volumes"),
            imagePullSecrets: marks.list("$v.imagePullSecrets"),
            nodeSelector: marks.map("$v.nodeSelector"),
            tolerations: marks.list("$v.tolerations"),
            affinity: marks.map("$v.affinity"),
            topologySpreadConstraints: marks.list("$v.topologySpreadConstraints"),
            terminationGracePeriodSeconds: marks.number("int $v.terminationGracePeriodSeconds"),
          },
        },
      },
    },
  );
}

/** The expression of a resource's metric, or of an empty list if its utilization is unset. */
function metricOf(resource: "cpu" | "memory", value: string): string {
  const share = `int $v.autoscaling.${value}`;
  return `ternary (list (dict "type" "Resource" "resource" (dict "name" "${resource}" "target" (dict "type" "Utilization" "averageUtilization" (${share}))))) (list) (gt (${share}) 0)`;
}

function gatewayScaler(marks: TemplateMarks, identity: GatewayIdentity): UntypedObject {
  return object(
    { apiVersion: "autoscaling/v2", kind: "HorizontalPodAutoscaler", ...identity },
    {
      spec: {
        scaleTargetRef: { apiVersion: "apps/v1", kind: marks.text(ofKind), name: identity.name },
        minReplicas: marks.number("int $v.autoscaling.minReplicas"),
        maxReplicas: marks.number("int $v.autoscaling.maxReplicas"),
        metrics: [
          ...marks.list(metricOf("cpu", "targetCPUUtilizationPercentage")),
          ...marks.list(metricOf("memory", "targetMemoryUtilizationPercentage")),
        ],
        behavior: marks.map("$v.autoscaling.autoscaleBehavior"),
      },
    },
  );
}
