import type { UntypedObject } from "../api/index.ts";
import { restrictedContext } from "../api/pod-security/index.ts";
import { grant } from "./components/roles.ts";
import { istioOperatorRules } from "./operator-rights.ts";
import { fieldEnv, object, proxyUser } from "./render-context.ts";

export interface OperatorSettings {
  readonly hub: string;
  readonly tag: string;
  readonly namespace: string;
  /** The namespaces whose IstioOperators the operator handles. An empty list means all namespaces. */
  readonly watchedNamespaces: readonly string[];
  /** The revision that the operator handles. Empty for the default operator. */
  readonly revision: string;
  /** The names of Secrets in the operator's namespace, with which its image is pulled. */
  readonly imagePullSecrets?: readonly string[];
}

/** The objects of `operator init`: namespaces, the CRD of IstioOperator, account and roles, Service and Deployment. */
export function renderOperator(settings: OperatorSettings, definitions: readonly UntypedObject[]): UntypedObject[] {
  const { namespace, watchedNamespaces, revision } = settings;
  const name = operatorName(revision);
  const labels = { name, "operator.istio.io/managed-by": "serin" };
  const serviceAccount = { name, namespace };
  const names = [...new Set([namespace, ...watchedNamespaces])];
  return [
    ...names.map((watched) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name: watched } })),
    ...definitions,
    object({ apiVersion: "v1", kind: "ServiceAccount", ...serviceAccount, labels }, {}),
    ...grant({
      name: revision === "" ? "istio-operator" : name,
      labels,
      serviceAccount,
      rules: istioOperatorRules,
    }),
    object(
      { apiVersion: "v1", kind: "Service", ...serviceAccount, labels },
      {
        spec: { selector: { name }, ports: [{ name: "http-metrics", port: 8383, targetPort: 8383, protocol: "TCP" }] },
      },
    ),
    operatorDeployment(settings, name, labels),
  ];
}

/** The name of an operator's objects. An empty revision means the default operator. */
export function operatorName(revision: string): string {
  return revision === "" ? "istio-operator" : `istio-operator-${revision}`;
}

function operatorDeployment(
  { hub, tag, namespace, watchedNamespaces, revision, imagePullSecrets = [] }: OperatorSettings,
  name: string,
  labels: Readonly<Record<string, string>>,
): UntypedObject {
  return object(
    { apiVersion: "apps/v1", kind: "Deployment", name, namespace, labels },
    {
      spec: {
        replicas: 1,
        selector: { matchLabels: { name } },
        template: {
          metadata: {
            labels: { name, "sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none" },
            annotations: { "prometheus.io/port": "8383", "prometheus.io/scrape": "true" },
          },
          spec: {
            serviceAccountName: name,
            nodeSelector: { "kubernetes.io/os": "linux" },
            ...(imagePullSecrets.length === 0
              ? {}
              : { imagePullSecrets: imagePullSecrets.map((secret) => ({ name: secret })) }),
            containers: [
              {
                name: "istio-operator",
                image: `${hub}/operator:${tag}`,
                args: ["server"],
                ports: [{ name: "http-metrics", containerPort: 8383, protocol: "TCP" }],
                readinessProbe: { httpGet: { path: "/ready", port: 8383 }, periodSeconds: 1 },
                env: [
                  { name: "WATCH_NAMESPACE", value: watchedNamespaces.join(",") },
                  { name: "LEADER_ELECTION_NAMESPACE", value: namespace },
                  fieldEnv("POD_NAME", "metadata.name"),
                  fieldEnv("POD_NAMESPACE", "metadata.namespace"),
                  { name: "OPERATOR_NAME", value: name },
                  { name: "REVISION", value: revision },
                  { name: "HUB", value: hub },
                  { name: "TAG", value: tag },
                ],
                resources: { requests: { cpu: "20m", memory: "128Mi" } },
                securityContext: restrictedContext(proxyUser),
              },
            ],
          },
        },
      },
    },
  );
}
