import type { LabelSelector, UntypedObject } from "../../api/index.ts";
import { componentLabels, object, revisioned, revisionLabel } from "../render-context.ts";
import type { InstallSettings } from "../settings.ts";

type Requirement = NonNullable<LabelSelector["matchExpressions"]>[number];

const absent = (key: string): Requirement => ({ key, operator: "DoesNotExist" });
const is = (key: string, value: string): Requirement => ({ key, operator: "In", values: [value] });
const isNot = (key: string, value: string): Requirement => ({ key, operator: "NotIn", values: [value] });

interface Selectors {
  readonly name: string;
  readonly namespace: readonly Requirement[];
  readonly object: readonly Requirement[];
}

/** Who is injected by a revision or tag, in upstream's precedence: the namespace's revision, else the pod's own. */
function revisionSelectors(revision: string): Selectors[] {
  return [
    {
      name: "rev.namespace.sidecar-injector.istio.io",
      namespace: [is("istio.io/rev", revision), absent("istio-injection")],
      object: [isNot("sidecar.istio.io/inject", "false")],
    },
    {
      name: "rev.object.sidecar-injector.istio.io",
      namespace: [absent("istio.io/rev"), absent("istio-injection")],
      object: [isNot("sidecar.istio.io/inject", "false"), is("istio.io/rev", revision)],
    },
  ];
}

/** Who is injected by the default revision besides: `istio-injection=enabled`, or a pod that asks for it. */
const defaultSelectors: readonly Selectors[] = [
  {
    name: "namespace.sidecar-injector.istio.io",
    namespace: [is("istio-injection", "enabled")],
    object: [isNot("sidecar.istio.io/inject", "false")],
  },
  {
    name: "object.sidecar-injector.istio.io",
    namespace: [absent("istio-injection"), absent("istio.io/rev")],
    object: [is("sidecar.istio.io/inject", "true"), absent("istio.io/rev")],
  },
];

function injector(selectors: readonly Selectors[], settings: InstallSettings): Record<string, unknown>[] {
  return selectors.map(({ name, namespace, object: pod }) => ({
    name,
    clientConfig: { service: { name: revisioned("istiod", settings), namespace: settings.namespace, path: "/inject", port: 443 } },
    sideEffects: "None",
    rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] }],
    failurePolicy: "Fail",
    reinvocationPolicy: "Never",
    admissionReviewVersions: ["v1"],
    namespaceSelector: { matchExpressions: namespace },
    objectSelector: { matchExpressions: pod },
  }));
}

function injectorName(settings: InstallSettings): string {
  const suffix = settings.namespace === "istio-system" ? "" : `-${settings.namespace}`;
  return `${revisioned("istio-sidecar-injector", settings)}${suffix}`;
}

export function injectorWebhooks(settings: InstallSettings, labels: Record<string, string>): UntypedObject {
  const selectors = [...revisionSelectors(revisionLabel(settings)), ...(settings.revision === "" ? defaultSelectors : [])];
  return object(
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      name: injectorName(settings),
      labels: { ...labels, app: "sidecar-injector" },
    },
    { webhooks: injector(selectors, settings) },
  );
}

/** A tag is a second set of webhooks that lead to this revision: `istio-revision-tag-<tag>`. */
export function revisionTag(tag: string, settings: InstallSettings): UntypedObject {
  const selectors = [...revisionSelectors(tag), ...(tag === "default" ? defaultSelectors : [])];
  return object(
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      name: `istio-revision-tag-${tag}`,
      labels: { ...componentLabels("Pilot", settings, "revision"), app: "sidecar-injector", "istio.io/tag": tag },
    },
    { webhooks: injector(selectors, settings) },
  );
}

export function validatorWebhook(settings: InstallSettings, labels: Record<string, string>): UntypedObject {
  const revision = revisionLabel(settings);
  return object(
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      name: `${revisioned("istio-validator", settings)}-${settings.namespace}`,
      labels: { ...labels, app: "istiod", istio: "istiod" },
    },
    {
      webhooks: [
        {
          name: "rev.validation.istio.io",
          clientConfig: { service: { name: revisioned("istiod", settings), namespace: settings.namespace, path: "/validate", port: 443 } },
          rules: [
            {
              operations: ["CREATE", "UPDATE"],
              apiGroups: ["security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"],
              apiVersions: ["*"],
              resources: ["*"],
            },
          ],
          failurePolicy: "Ignore",
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          objectSelector: { matchExpressions: [is("istio.io/rev", revision)] },
        },
      ],
    },
  );
}
