import { textAt, treeAt, valueAt } from "../../base/index.ts";
import { defaultValidatorName, istioLabels } from "../../api/istio/index.ts";
import type { LabelSelector, UntypedObject } from "../../api/index.ts";
import { componentLabels, object, revisioned, revisionLabel } from "../render-context.ts";
import { type InstallSettings } from "../settings.ts";

type Requirement = NonNullable<LabelSelector["matchExpressions"]>[number];

const absent = (key: string): Requirement => ({ key, operator: "DoesNotExist" });
const is = (key: string, value: string): Requirement => ({ key, operator: "In", values: [value] });
const isNot = (key: string, ...values: string[]): Requirement => ({ key, operator: "NotIn", values });

export interface Selectors {
  readonly name: string;
  readonly namespace: readonly Requirement[];
  readonly object: readonly Requirement[];
}

/**
 * The pods that a revision or tag injects, with Istio's precedence: the namespace's revision label applies, and the
 * pod's own label only if the namespace has none.
 */
function revisionSelectors(revision: string): Selectors[] {
  return [
    {
      name: "rev.namespace.sidecar-injector.istio.io",
      namespace: [is(istioLabels.revision, revision), absent(istioLabels.injection)],
      object: [isNot(istioLabels.inject, "false")],
    },
    {
      name: "rev.object.sidecar-injector.istio.io",
      namespace: [absent(istioLabels.revision), absent(istioLabels.injection)],
      object: [isNot(istioLabels.inject, "false"), is(istioLabels.revision, revision)],
    },
  ];
}

/**
 * The additional pods that the default revision injects: those in namespaces with `istio-injection=enabled`, and those
 * that request injection by a label.
 */
const defaultSelectors: readonly Selectors[] = [
  {
    name: "namespace.sidecar-injector.istio.io",
    namespace: [is(istioLabels.injection, "enabled")],
    object: [isNot(istioLabels.inject, "false")],
  },
  {
    name: "object.sidecar-injector.istio.io",
    namespace: [absent(istioLabels.injection), absent(istioLabels.revision)],
    object: [is(istioLabels.inject, "true"), absent(istioLabels.revision)],
  },
];

/**
 * The pods without any injection label. They are injected if `sidecarInjectorWebhook.enableNamespacesByDefault` is set.
 */
const unlabelledSelectors: Selectors = {
  name: "auto.sidecar-injector.istio.io",
  namespace: [
    absent(istioLabels.injection),
    absent(istioLabels.revision),
    isNot("kubernetes.io/metadata.name", "kube-system", "kube-public", "kube-node-lease", "local-path-storage"),
  ],
  object: [absent(istioLabels.inject), absent(istioLabels.revision)],
};

/** The selectors of all webhooks that an unnamed control plane can have. */
export function unnamedWebhooks(): readonly Selectors[] {
  return [...revisionSelectors("default"), ...defaultSelectors, unlabelledSelectors];
}

function selectorsOf(revision: string, isDefault: boolean, settings: InstallSettings): readonly Selectors[] {
  const byDefault = valueAt(settings.values, "sidecarInjectorWebhook", "enableNamespacesByDefault") === true;
  return [
    ...revisionSelectors(revision),
    ...(isDefault ? [...defaultSelectors, ...(byDefault ? [unlabelledSelectors] : [])] : []),
  ];
}

function injector(selectors: readonly Selectors[], settings: InstallSettings): Record<string, unknown>[] {
  const { values } = settings;
  const url = textAt(values, "istiodRemote", "injectionURL");
  const caBundle = textAt(values, "istiodRemote", "injectionCABundle");
  const path = textAt(values, "istiodRemote", "injectionPath") ?? "/inject";
  const target =
    url === undefined
      ? { service: { name: revisioned("istiod", settings), namespace: settings.namespace, path, port: 443 } }
      : { url };
  return selectors.map(({ name, namespace, object: pod }) => ({
    name,
    clientConfig: { ...target, ...(caBundle === undefined ? {} : { caBundle }) },
    sideEffects: "None",
    rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], scope: "*" }],
    failurePolicy: "Fail",
    reinvocationPolicy: textAt(values, "sidecarInjectorWebhook", "reinvocationPolicy") ?? "Never",
    admissionReviewVersions: ["v1"],
    namespaceSelector: { matchExpressions: namespace },
    objectSelector: { matchExpressions: pod },
  }));
}

function suffixed(name: string, settings: InstallSettings): string {
  return settings.namespace === "istio-system" ? name : `${name}-${settings.namespace}`;
}

export function injectorWebhooks(settings: InstallSettings, labels: Record<string, string>): UntypedObject {
  const isDefault = settings.revision === "";
  return object(
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      name: suffixed(revisioned("istio-sidecar-injector", settings), settings),
      labels: { ...labels, app: "sidecar-injector" },
      annotations: treeAt(settings.values, "pilot", "sidecarInjectorWebhookAnnotations") as Record<string, string>,
    },
    { webhooks: injector(selectorsOf(revisionLabel(settings), isDefault, settings), settings) },
  );
}

export function revisionTagName(tag: string, namespace: string): string {
  return namespace === "istio-system" ? `istio-revision-tag-${tag}` : `istio-revision-tag-${tag}-${namespace}`;
}

/** The webhook configuration of a tag. It selects pods by the tag instead of the revision, and calls this revision. */
export function revisionTag(tag: string, settings: InstallSettings): UntypedObject {
  return object(
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      name: revisionTagName(tag, settings.namespace),
      labels: { ...componentLabels("Pilot", settings, "revision"), app: "sidecar-injector", [istioLabels.tag]: tag },
    },
    { webhooks: injector(selectorsOf(tag, tag === "default", settings), settings) },
  );
}

const validatedRules = [
  {
    operations: ["CREATE", "UPDATE"],
    apiGroups: ["security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"],
    apiVersions: ["*"],
    resources: ["*"],
    scope: "*",
  },
] as const;

/**
 * The failure policy of validation. The default is `Ignore`: a pilot sets `Fail` once it has seen that validation
 * works.
 */
function validationFailurePolicy({ values }: InstallSettings): string {
  return textAt(values, "base", "validationFailurePolicy") ?? "Ignore";
}

/** The client config: the control plane's Service, or the URL of a control plane elsewhere. */
function validationClient(name: string, { values, namespace }: InstallSettings): Record<string, unknown> {
  const url = textAt(values, "base", "validationURL");
  const caBundle = textAt(values, "base", "validationCABundle");
  return {
    ...(url === undefined ? { service: { name, namespace, path: "/validate", port: 443 } } : { url }),
    ...(caBundle === undefined ? {} : { caBundle }),
  };
}

export function validatorWebhook(settings: InstallSettings, labels: Record<string, string>): UntypedObject {
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
          clientConfig: validationClient(revisioned("istiod", settings), settings),
          rules: validatedRules,
          failurePolicy: validationFailurePolicy(settings),
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          objectSelector: { matchExpressions: [is(istioLabels.revision, revisionLabel(settings))] },
        },
      ],
    },
  );
}

/** The validator of objects without a revision label. It calls the default revision. */
export function defaultValidator(revision: string, settings: InstallSettings): UntypedObject {
  const service = revision === "default" ? "istiod" : `istiod-${revision}`;
  return object(
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      name: defaultValidatorName,
      labels: {
        ...componentLabels("Pilot", settings, "revision"),
        app: "istiod",
        istio: "istiod",
        [istioLabels.revision]: revision,
        [istioLabels.tag]: "default",
      },
    },
    {
      webhooks: [
        {
          name: "validation.istio.io",
          clientConfig: validationClient(service, settings),
          rules: validatedRules,
          failurePolicy: validationFailurePolicy(settings),
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          objectSelector: { matchExpressions: [absent(istioLabels.revision)] },
        },
      ],
    },
  );
}
