import type { UntypedObject } from "../../api/index.ts";
import { nonRootUser, restrictedContext } from "../../api/pod-security/index.ts";
import { componentLabels, fieldEnv, object } from "../render-context.ts";
import type { InstallSettings } from "../settings.ts";
import { renderEngineRights } from "./rollout-engine-rights.ts";

/** The namespace of what belongs to no revision of the mesh. */
export const engineNamespace = "serin-system";

const webhookPort = 15_017;

/** The rollout engine: part of no revision, so that what is upgraded does not drive its own upgrade. */
export function renderRolloutEngine(
  settings: InstallSettings,
  customResources: readonly UntypedObject[],
): UntypedObject[] {
  const labels = { ...componentLabels("Base", settings, "shared"), app: "serin-rollout" };
  const serviceAccount = { name: "serin-rollout", namespace: engineNamespace };
  return [
    object({ apiVersion: "v1", kind: "Namespace", name: engineNamespace, labels }, {}),
    ...customResources,
    object({ apiVersion: "v1", kind: "ServiceAccount", ...serviceAccount, labels }, {}),
    ...renderEngineRights(settings, labels, serviceAccount),
    object(
      { apiVersion: "v1", kind: "Service", ...serviceAccount, labels },
      {
        spec: {
          selector: { app: "serin-rollout" },
          ports: [
            { name: "https-webhook", port: 443, targetPort: webhookPort, protocol: "TCP" },
            { name: "http-monitoring", port: 15_014, targetPort: 15_014, protocol: "TCP" },
          ],
        },
      },
    ),
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
                  args: ["rollout"],
                  ports: [
                    { containerPort: 15_014, protocol: "TCP" },
                    { containerPort: webhookPort, protocol: "TCP" },
                  ],
                  readinessProbe: { httpGet: { path: "/ready", port: 15_014 }, periodSeconds: 1 },
                  env: [
                    fieldEnv("POD_NAME", "metadata.name"),
                    fieldEnv("POD_NAMESPACE", "metadata.namespace"),
                    // Beyond their own namespaces, Canaries may ask the Prometheus of Istio's addons.
                    { name: "ALLOWED_HOSTS", value: `prometheus.${settings.namespace}` },
                  ],
                  resources: { requests: { cpu: "20m", memory: "128Mi" } },
                  securityContext: restrictedContext(nonRootUser),
                },
              ],
            },
          },
        },
      },
    ),
  ];
}

/** Records at admission who makes rollouts: the engine has their rights. A rollout that is made while no engine answers has no author, and waits for one. */
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
          // The engine adds the path, which is a secret between it and the API server.
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

/** Refuses at admission what the engine could not do. While no engine answers the schemas of the kinds stand alone. */
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
          // The engine adds the path here too: at any other it says nothing of anybody's rights.
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
