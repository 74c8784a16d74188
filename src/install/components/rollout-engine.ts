import { valueAt } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { nonRootUser, restrictedContext } from "../../api/pod-security/index.ts";
import { componentLabels, fieldEnv, object, pullPolicy } from "../render-context.ts";
import type { InstallSettings } from "../settings.ts";
import { workloadSettings } from "../workload-settings.ts";
import { networkPolicyObjects } from "./network-policy.ts";
import { renderEngineRights } from "./rollout-engine-rights.ts";
import { renderRolloutRoles } from "./rollout-roles.ts";

export const engineNamespace = "serin-system";

const webhookPort = 15_017;
const monitoringPort = 15_014;

/**
 * The objects of the rollout engine. The engine belongs to no revision, so that no revision controls its own upgrade.
 */
export function renderRolloutEngine(
  settings: InstallSettings,
  customResources: readonly UntypedObject[],
): UntypedObject[] {
  const labels = {
    ...componentLabels("Base", settings, "shared"),
    // The engine has its own name. Otherwise tools that group objects by this label would show it together with the
    // account of Istio's reader.
    "app.kubernetes.io/name": "serin-rollout",
    app: "serin-rollout",
  };
  const serviceAccount = { name: "serin-rollout", namespace: engineNamespace };
  return [
    object({ apiVersion: "v1", kind: "Namespace", name: engineNamespace, labels }, {}),
    ...customResources.map((definition) => withRelease(definition, labels)),
    object({ apiVersion: "v1", kind: "ServiceAccount", ...serviceAccount, labels }, {}),
    ...renderEngineRights(settings, labels, serviceAccount),
    ...(valueAt(settings.values, "base", "rolloutRoles") === false ? [] : renderRolloutRoles(labels)),
    engineService({ ...serviceAccount, labels }),
    renderReview(labels),
    renderAuthor(labels),
    object(
      { apiVersion: "apps/v1", kind: "Deployment", ...serviceAccount, labels },
      {
        spec: {
          replicas: 1,
          selector: { matchLabels: { app: "serin-rollout" } },
          template: {
            metadata: {
              labels: { ...labels, "istio.io/dataplane-mode": "none", "sidecar.istio.io/inject": "false" },
              annotations: { "prometheus.io/port": "15014", "prometheus.io/scrape": "true" },
            },
            spec: {
              serviceAccountName: "serin-rollout",
              terminationGracePeriodSeconds: 10,
              containers: [
                {
                  name: "engine",
                  image: `${settings.hub}/serin:${settings.tag}`,
                  ...pullPolicy(settings.base, settings),
                  args: ["rollout"],
                  ports: [
                    { name: "http-monitoring", containerPort: monitoringPort, protocol: "TCP" },
                    { name: "https-webhook", containerPort: webhookPort, protocol: "TCP" },
                  ],
                  readinessProbe: { httpGet: { path: "/ready", port: monitoringPort }, periodSeconds: 1 },
                  env: [
                    fieldEnv("POD_NAME", "metadata.name"),
                    fieldEnv("POD_NAMESPACE", "metadata.namespace"),
                    // Outside their own namespaces, Canaries may query only this host: the Prometheus of Istio's
                    // addons.
                    { name: "ALLOWED_HOSTS", value: `prometheus.${settings.namespace}` },
                  ],
                  resources: settings.base.k8s?.resources ?? { requests: { cpu: "20m", memory: "128Mi" } },
                  securityContext: restrictedContext(nonRootUser),
                },
              ],
              ...workloadSettings(settings.base, undefined, settings).pod,
            },
          },
        },
      },
    ),
    // The selector also matches the pod of the Job that Helm runs before it removes the engine.
    ...networkPolicyObjects(
      { ...serviceAccount, labels, selector: { [istioLabels.component]: "Base" } },
      [{ port: webhookPort }, { port: monitoringPort }],
      settings,
    ),
  ];
}

function engineService(identity: { readonly name: string; readonly labels: Record<string, string> }): UntypedObject {
  return object(
    { apiVersion: "v1", kind: "Service", ...identity },
    {
      spec: {
        selector: { app: "serin-rollout" },
        ports: [
          { name: "https-webhook", port: 443, targetPort: webhookPort, protocol: "TCP" },
          { name: "http-monitoring", port: monitoringPort, targetPort: monitoringPort, protocol: "TCP" },
        ],
      },
    },
  );
}

/** Adds the release to a CRD's labels, so that installers can compare releases. */
function withRelease(definition: UntypedObject, labels: Readonly<Record<string, string>>): UntypedObject {
  const version = "app.kubernetes.io/version";
  const { metadata } = definition;
  return { ...definition, metadata: { ...metadata, labels: { ...metadata.labels, [version]: labels[version] ?? "" } } };
}

/**
 * The webhook that records who creates a rollout, because the engine acts only with that user's rights. If no engine
 * answers at that moment, the rollout has no author, and waits until a user updates it.
 */
function renderAuthor(labels: Readonly<Record<string, string>>): UntypedObject {
  return object(
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      name: "serin-rollout-author",
      labels,
    },
    {
      webhooks: [
        {
          name: "author.rollout.serin.dev",
          admissionReviewVersions: ["v1"],
          sideEffects: "None",
          failurePolicy: "Ignore",
          reinvocationPolicy: "IfNeeded",
          timeoutSeconds: 10,
          // The engine adds the path. It is a secret that only the engine and the API server know.
          clientConfig: { service: { name: "serin-rollout", namespace: engineNamespace, port: 443 } },
          rules: [
            {
              apiGroups: ["rollout.serin.dev"],
              apiVersions: ["*"],
              operations: ["CREATE", "UPDATE"],
              resources: ["canaries", "meshupgrades"],
              scope: "*",
            },
          ],
        },
      ],
    },
  );
}

/**
 * The webhook that refuses rollouts that the engine could not execute. While no engine answers, only the CRDs' schemas
 * are checked.
 */
function renderReview(labels: Readonly<Record<string, string>>): UntypedObject {
  return object(
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      name: "serin-rollout",
      labels,
    },
    {
      webhooks: [
        {
          name: "review.rollout.serin.dev",
          admissionReviewVersions: ["v1"],
          sideEffects: "None",
          failurePolicy: "Ignore",
          timeoutSeconds: 10,
          // The engine adds the secret path. At other paths it answers no questions about users' rights.
          clientConfig: { service: { name: "serin-rollout", namespace: engineNamespace, port: 443 } },
          rules: [
            {
              apiGroups: ["rollout.serin.dev"],
              apiVersions: ["*"],
              operations: ["CREATE", "UPDATE"],
              resources: ["canaries", "meshupgrades", "freezes", "checks"],
              scope: "*",
            },
          ],
        },
      ],
    },
  );
}
