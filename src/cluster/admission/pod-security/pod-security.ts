import { jsonEqual } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import type { Store } from "../../store/index.ts";
import type { AdmissionPlugin } from "../chain.ts";
import { AdmissionRefusal, subjectOf, type AdmissionRequest } from "../request.ts";
import { violationsOf } from "./checks.ts";
import { containersOf, plural, sorted, type CheckedPod, type CheckedSpec, type Violation } from "./pod.ts";
import { isSame, isStricter, levelText, policyOf, type LevelVersion, type Policy } from "./policy.ts";

const namespaces = "/namespaces";
const pods = "/pods";

const templateOf: Readonly<Record<string, (spec: Readonly<Record<string, unknown>>) => unknown>> = {
  "/replicationcontrollers": ({ template }) => template,
  "apps/replicasets": ({ template }) => template,
  "apps/deployments": ({ template }) => template,
  "apps/statefulsets": ({ template }) => template,
  "apps/daemonsets": ({ template }) => template,
  "batch/jobs": ({ template }) => template,
  "batch/cronjobs": ({ jobTemplate }) => (jobTemplate as { spec?: { template?: unknown } } | undefined)?.spec?.template,
};

/** Subresources of a pod whose requests do not change what its containers may do. */
const harmless = new Set(["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"]);

/** The maximum number of existing pods to check when a namespace's level changes, as in Kubernetes. */
const maxChecked = 3000;

/**
 * Pod Security (KEP-2579): refuses pods that violate the level in their namespace's label
 * `pod-security.kubernetes.io/enforce`, and warns of those that violate the level in `warn`. There are no exemptions,
 * as in Kubernetes' default configuration.
 */
export function podSecurity(store: Store): AdmissionPlugin {
  return {
    name: "PodSecurity",
    validate(request) {
      const { operation, subresource, type, object } = request;
      if ((operation !== "CREATE" && operation !== "UPDATE") || object === undefined) return;
      if (type.storageKey === namespaces && subresource === "") checkNamespace(store, request, object);
      else if (type.storageKey === pods && !harmless.has(subresource)) checkPod(store, request, object);
      else if (subresource === "") checkTemplate(store, request, object);
    },
  };
}

function checkPod(store: Store, request: AdmissionRequest, object: UntypedObject): void {
  const { oldObject } = request;
  const policy = policyFor(store, request.namespace);
  const pod = checkedPod(object);
  if (request.operation === "UPDATE" && oldObject !== undefined && !changesContainers(pod, checkedPod(oldObject)))
    return;
  const found = violationsOf(pod, policy.enforce);
  if (found.length > 0) {
    const name = object.metadata.name ?? object.metadata.generateName ?? "";
    throw new AdmissionRefusal(
      403,
      "Forbidden",
      `pods "${name}" is forbidden: violates PodSecurity "${levelText(policy.enforce)}": ${detailsOf(found)}`,
      [],
      subjectOf(request),
    );
  }
  warn(request, policy, pod);
}

function checkTemplate(store: Store, request: AdmissionRequest, object: UntypedObject): void {
  const spec = (object["spec"] ?? {}) as Readonly<Record<string, unknown>>;
  const template =
    request.type.storageKey === "/podtemplates" ? object["template"] : templateOf[request.type.storageKey]?.(spec);
  if (typeof template !== "object" || template === null) return;
  warn(request, policyFor(store, request.namespace), checkedPod(template));
}

function warn(request: AdmissionRequest, policy: Policy, pod: CheckedPod): void {
  const found = violationsOf(pod, policy.warn);
  if (found.length > 0)
    request.warnings.push(`would violate PodSecurity "${levelText(policy.warn)}": ${detailsOf(found)}`);
}

/** Refuses unknown labels of a namespace, and warns of existing pods that violate its new level. */
function checkNamespace(store: Store, request: AdmissionRequest, object: UntypedObject): void {
  const { policy, faults } = policyOf(object.metadata.labels);
  const before = policyOf(request.oldObject?.metadata.labels);
  const isKnownFault = request.operation === "UPDATE" && jsonEqual(faults, before.faults);
  if (faults.length > 0 && !isKnownFault) {
    const name = object.metadata.name ?? "";
    const texts = faults.map(({ field, message }) => `${field}: ${message}`);
    throw new AdmissionRefusal(
      422,
      "Invalid",
      `Namespace "${name}" is invalid: ${texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`}`,
      faults.map((fault) => ({ reason: "FieldValueInvalid", ...fault })),
      { name, kind: "Namespace" },
    );
  }
  if (request.operation === "CREATE") return;
  const [now, then] = [policy.enforce, before.policy.enforce];
  if (isSame(now, then) || now.level === "privileged") return;
  if (now.version === then.version && !isStricter(now.level, then.level)) return;
  request.warnings.push(...warningsOfPods(store, request.name, now));
}

/**
 * The warnings about existing pods. Pods with the same violations share a line, which names the first of these pods.
 */
function warningsOfPods(store: Store, namespace: string, level: LevelVersion): readonly string[] {
  const all = store.collection(pods).list(namespace);
  const byFault = new Map<string, string[]>();
  for (const { name, object } of all.slice(0, maxChecked)) {
    const found = violationsOf(checkedPod(object), level);
    if (found.length === 0) continue;
    const fault = found.map(({ reason }) => reason).join(", ");
    byFault.set(fault, [...(byFault.get(fault) ?? []), name]);
  }
  const lines = sorted(
    [...byFault].map(([fault, names]) => {
      const others = names.length - 1;
      return `${sorted(names)[0] ?? ""}${others === 0 ? "" : ` (and ${others} other ${plural(others, "pod")})`}: ${fault}`;
    }),
  );
  return [
    ...(all.length > maxChecked
      ? [`new PodSecurity enforce level only checked against the first ${maxChecked} of ${all.length} existing pods`]
      : []),
    ...(lines.length === 0
      ? []
      : [`existing pods in namespace "${namespace}" violate the new PodSecurity enforce level "${levelText(level)}"`]),
    ...lines,
  ];
}

function policyFor(store: Store, namespace: string): Policy {
  return policyOf(store.latest(namespaces, "", namespace)?.object.metadata.labels).policy;
}

function checkedPod(object: object): CheckedPod {
  const { metadata, spec } = object as {
    readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
    readonly spec?: CheckedSpec;
  };
  return { annotations: metadata?.annotations ?? {}, spec: spec ?? {} };
}

/** Whether the pod gets another container or image. Kubernetes checks an existing pod again only then. */
function changesContainers(pod: CheckedPod, before: CheckedPod): boolean {
  const imagesOf = ({ spec }: CheckedPod): string =>
    JSON.stringify(containersOf(spec).map(({ name, image }) => [name, image]));
  return imagesOf(pod) !== imagesOf(before);
}

function detailsOf(violations: readonly Violation[]): string {
  return violations.map(({ reason, detail }) => (detail === "" ? reason : `${reason} (${detail})`)).join(", ");
}
