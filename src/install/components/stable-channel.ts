import type { UntypedObject } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { componentLabels, object, revisioned, revisionLabel } from "../render-context.ts";
import type { InstallSettings } from "../settings.ts";

/**
 * The policy of the profile `stable` (`experimental.stableValidationPolicy`) for objects of all revisions. With it, the
 * API server refuses the kinds and fields that Istio calls experimental.
 */
export function defaultStableChannel(revision: string, settings: InstallSettings): UntypedObject[] {
  return stableChannel({
    name: "stable-channel-default-policy",
    binding: "stable-channel-default-policy-binding",
    labels: {
      ...componentLabels("Pilot", settings, "revision"),
      istio: "istiod",
      [istioLabels.revision]: revision,
      [istioLabels.tag]: "default",
    },
  });
}

/** The policy of the profile `stable` for objects that name this revision. */
export function revisionStableChannel(settings: InstallSettings): UntypedObject[] {
  return stableChannel({
    name: `${revisioned("stable-channel-policy", settings)}-${settings.namespace}`,
    binding: `${revisioned("stable-channel-policy-binding", settings)}-${settings.namespace}`,
    labels: componentLabels("Pilot", settings, "revision"),
    revision: revisionLabel(settings),
  });
}

const forbiddenKinds = ["EnvoyFilter", "WasmPlugin", "ProxyConfig"];

/** A CEL expression that is true if an element of a list in the object's spec has one of these fields. */
function anyHas(list: string, ...fields: readonly string[]): string {
  const has = fields.map((field) => `has(one.${field})`).join(" || ");
  return `(has(object.spec.${list}) && object.spec.${list}.exists(one, ${has}))`;
}

const validations = [
  {
    expression: `!(object.kind in [${forbiddenKinds.map((kind) => `'${kind}'`).join(", ")}])`,
    message: `the stable channel does not allow the kinds ${forbiddenKinds.join(", ")}: delete the object, or install another profile than stable`,
  },
  {
    expression: `object.kind != 'Telemetry' || !has(object.spec) || !(${[
      anyHas("tracing", "useRequestIdForTraceSampling"),
      anyHas("metrics", "reportingInterval"),
      anyHas("accessLogging", "filter"),
    ].join(" || ")})`,
    message:
      "the stable channel does not allow tracing.useRequestIdForTraceSampling, metrics.reportingInterval and accessLogging.filter: remove these fields, or install another profile than stable",
  },
  {
    expression:
      "object.kind != 'AuthorizationPolicy' || !has(object.spec) || !has(object.spec.rules) || !object.spec.rules.exists(rule, has(rule.from) && rule.from.exists(from, has(from.source) && (has(from.source.trustDomains) || has(from.source.notTrustDomains))))",
    message:
      "the stable channel does not allow source.trustDomains and source.notTrustDomains: remove these fields, or install another profile than stable",
  },
] as const;

interface Channel {
  readonly name: string;
  readonly binding: string;
  readonly labels: Record<string, string>;
  /** The revision to whose objects the policy applies. If absent, it applies to all objects. */
  readonly revision?: string;
}

function stableChannel({ name, binding, labels, revision }: Channel): UntypedObject[] {
  const apiVersion = "admissionregistration.k8s.io/v1";
  const policyName = `${name}.istio.io`;
  const selected =
    revision === undefined
      ? {}
      : { objectSelector: { matchExpressions: [{ key: istioLabels.revision, operator: "In", values: [revision] }] } };
  const rule = {
    apiGroups: ["security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"],
    apiVersions: ["*"],
    operations: ["CREATE", "UPDATE"],
    resources: ["*"],
  };
  return [
    object(
      { apiVersion, kind: "ValidatingAdmissionPolicy", name: policyName, labels },
      { spec: { failurePolicy: "Fail", matchConstraints: { resourceRules: [rule], ...selected }, validations } },
    ),
    object(
      { apiVersion, kind: "ValidatingAdmissionPolicyBinding", name: `${binding}.istio.io`, labels },
      { spec: { policyName, validationActions: ["Deny"] } },
    ),
  ];
}
