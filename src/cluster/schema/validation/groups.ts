import { isIPv4, isIPv6 } from "node:net";
import { jsonEqual, stringOf } from "../../../base/index.ts";
import { arrayOf, isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import { fieldErrors } from "../field-error.ts";
import type { Check } from "./check.ts";
import type { KindValidators } from "./kind-validator.ts";
import { validateLabelSelector } from "../metadata.ts";
import { systemPriorityClasses } from "../system-priority-classes.ts";
import { networkPolicy } from "./network-policy.ts";
import { checkLabelName, checkQualifiedName, checkSubdomain } from "../names.ts";
import { autoscaler } from "./autoscaling.ts";
import { ingress, ingressClass } from "./ingress.ts";
import { validateProtocol } from "./ports.ts";
import { validateCustomResourceDefinition } from "./custom-resource-definition.ts";

const operations = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

function webhookConfiguration(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  const names = new Set<string>();
  for (const [at, raw] of withPaths(arrayOf(object.webhooks), "webhooks")) {
    const webhook = objectOf(raw);
    const name = stringOf(webhook.name);
    if (name === "") check.required(`${at}.name`);
    else if (name.split(".").length < 3 || checkSubdomain(name).length > 0)
      check.invalid(`${at}.name`, name, "should be a domain with at least three segments separated by dots");
    check.unique(`${at}.name`, name, names);
    validateWebhook(webhook, at, check);
  }
}

function validateWebhook(webhook: JsonObject, at: string, check: Check): void {
  const versions = arrayOf(webhook.admissionReviewVersions).map(stringOf);
  if (versions.length === 0) check.required(`${at}.admissionReviewVersions`, "must specify one of v1, v1beta1");
  else if (!versions.some((version) => version === "v1" || version === "v1beta1"))
    check.invalid(`${at}.admissionReviewVersions`, versions, "must include at least one of v1, v1beta1");
  check.oneOf(`${at}.failurePolicy`, webhook.failurePolicy, ["Fail", "Ignore"]);
  check.oneOf(`${at}.matchPolicy`, webhook.matchPolicy, ["Equivalent", "Exact"]);
  if (webhook.sideEffects === undefined) check.required(`${at}.sideEffects`, "must specify one of None, NoneOnDryRun");
  else check.oneOf(`${at}.sideEffects`, webhook.sideEffects, ["None", "NoneOnDryRun"]);
  const timeout = webhook.timeoutSeconds;
  if (typeof timeout === "number" && (timeout < 1 || timeout > 30))
    check.invalid(`${at}.timeoutSeconds`, timeout, "the timeout value must be between 1 and 30 seconds");
  for (const field of ["namespaceSelector", "objectSelector"])
    check.add(...validateLabelSelector(webhook[field], `${at}.${field}`));
  validateClientConfig(objectOf(webhook.clientConfig), `${at}.clientConfig`, check);
  for (const [place, rule] of withPaths(arrayOf(webhook.rules), `${at}.rules`))
    validateRule(objectOf(rule), place, check);
}

function validateClientConfig(config: JsonObject, at: string, check: Check): void {
  const [url, service] = [stringOf(config.url), config.service];
  if ((url === "") === (service === undefined)) check.required(at, "exactly one of url or service is required");
  if (url !== "" && !url.startsWith("https://"))
    check.invalid(`${at}.url`, url, "'https' is the only allowed URL scheme; desired format: https://host[/path]");
  if (!isObject(service)) return;
  for (const field of ["name", "namespace"])
    if (stringOf(service[field]) === "") check.required(`${at}.service.${field}`, `service ${field} is required`);
  if (service.port !== undefined) check.port(`${at}.service.port`, service.port);
  const path = stringOf(service.path);
  if (path !== "" && !path.startsWith("/")) check.invalid(`${at}.service.path`, path, "must start with a '/'");
}

function validateRule(rule: JsonObject, at: string, check: Check): void {
  if (arrayOf(rule.operations).length === 0) check.required(`${at}.operations`);
  for (const [place, operation] of withPaths(arrayOf(rule.operations), `${at}.operations`))
    check.oneOf(place, operation, operations);
  for (const field of ["apiGroups", "apiVersions", "resources"])
    if (arrayOf(rule[field]).length === 0) check.required(`${at}.${field}`);
  check.oneOf(`${at}.scope`, rule.scope, ["*", "Cluster", "Namespaced"]);
}

function role(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  if (isObject(object.aggregationRule) && arrayOf(object.aggregationRule.clusterRoleSelectors).length === 0)
    check.required(
      "aggregationRule.clusterRoleSelectors",
      "at least one clusterRoleSelector required if aggregationRule is non-nil",
    );
  for (const [at, raw] of withPaths(arrayOf(object.rules), "rules")) {
    const rule = objectOf(raw);
    if (arrayOf(rule.verbs).length === 0) check.required(`${at}.verbs`, "verbs must contain at least one value");
    const urls = arrayOf(rule.nonResourceURLs).length > 0;
    if (urls) {
      if (object.kind === "Role")
        check.invalid(
          `${at}.nonResourceURLs`,
          rule.nonResourceURLs,
          "namespaced rules cannot apply to non-resource URLs",
        );
      if (arrayOf(rule.apiGroups).length + arrayOf(rule.resources).length > 0)
        check.invalid(
          `${at}.nonResourceURLs`,
          rule.nonResourceURLs,
          "rules cannot apply to both regular resources and non-resource URLs",
        );
      continue;
    }
    if (arrayOf(rule.apiGroups).length === 0)
      check.required(`${at}.apiGroups`, "resource rules must supply at least one api group");
    if (arrayOf(rule.resources).length === 0)
      check.required(`${at}.resources`, "resource rules must supply at least one resource");
  }
}

function roleBinding(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const roleRef = objectOf(object.roleRef);
  const clusterWide = object.kind === "ClusterRoleBinding";
  if (roleRef.apiGroup !== "rbac.authorization.k8s.io")
    check.add(fieldErrors.notSupported("roleRef.apiGroup", roleRef.apiGroup ?? "", ["rbac.authorization.k8s.io"]));
  check.oneOf("roleRef.kind", roleRef.kind ?? "", clusterWide ? ["ClusterRole"] : ["Role", "ClusterRole"]);
  if (stringOf(roleRef.name) === "") check.required("roleRef.name");
  for (const [at, raw] of withPaths(arrayOf(object.subjects), "subjects")) {
    const subject = objectOf(raw);
    if (stringOf(subject.name) === "") check.required(`${at}.name`);
    check.oneOf(`${at}.kind`, subject.kind ?? "", ["ServiceAccount", "User", "Group"]);
    const name = stringOf(subject.name);
    if (subject.kind === "ServiceAccount" && name !== "") check.follows(`${at}.name`, name, checkSubdomain);
    if (subject.kind === "User" || subject.kind === "Group")
      check.oneOf(`${at}.apiGroup`, subject.apiGroup, ["rbac.authorization.k8s.io"]);
    if (subject.kind === "ServiceAccount" && clusterWide && stringOf(subject.namespace) === "")
      check.required(`${at}.namespace`);
  }
  if (old !== undefined && !jsonEqual(object.roleRef, old.roleRef))
    check.invalid(
      "roleRef",
      { APIGroup: roleRef.apiGroup, Kind: roleRef.kind, Name: roleRef.name },
      "cannot change roleRef",
    );
}

const addressTypes = ["FQDN", "IPv4", "IPv6"];

function endpointSlice(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const type = object.addressType;
  if (type === undefined || type === "") check.required("addressType");
  else check.oneOf("addressType", type, addressTypes);
  for (const [at, raw] of withPaths(arrayOf(object.endpoints), "endpoints")) {
    const addresses = arrayOf(objectOf(raw).addresses).map(stringOf);
    if (addresses.length === 0) check.required(`${at}.addresses`, "must contain at least 1 address");
    for (const [place, address] of withPaths(addresses, `${at}.addresses`)) {
      if (type === "FQDN") {
        check.follows(place, address, checkSubdomain);
        continue;
      }
      check.address(place, address);
      if (type === "IPv4" && isIPv6(address)) check.invalid(place, address, "must be an IPv4 address");
      if (type === "IPv6" && isIPv4(address)) check.invalid(place, address, "must be an IPv6 address");
    }
    const hostname = stringOf(objectOf(raw).hostname);
    if (hostname !== "") check.follows(`${at}.hostname`, hostname, checkLabelName);
  }
  validateSlicePorts(arrayOf(object.ports), check);
  if (old !== undefined) check.immutable("addressType", type, old.addressType);
}

function validateSlicePorts(ports: readonly unknown[], check: Check): void {
  const names = new Set<string>();
  for (const [at, raw] of withPaths(ports, "ports")) {
    const port = objectOf(raw);
    const name = stringOf(port.name);
    if (name !== "") check.follows(`${at}.name`, name, checkLabelName);
    check.unique(`${at}.name`, name, names);
    validateProtocol(port.protocol, `${at}.protocol`, check);
    if (port.appProtocol !== undefined) check.follows(`${at}.appProtocol`, port.appProtocol, checkQualifiedName);
  }
}

function disruptionBudget(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined)
    check.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set");
  for (const field of ["minAvailable", "maxUnavailable"]) {
    const value = spec[field];
    check.nonNegative(`spec.${field}`, value);
    if (typeof value !== "string") continue;
    if (!/^\d+%$/.test(value))
      check.invalid(
        `spec.${field}`,
        value,
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
      );
    else if (Number.parseInt(value, 10) > 100) check.invalid(`spec.${field}`, value, "must not be greater than 100%");
  }
  check.oneOf("spec.unhealthyPodEvictionPolicy", spec.unhealthyPodEvictionPolicy, ["AlwaysAllow", "IfHealthyBudget"]);
  check.add(...validateLabelSelector(spec.selector, "spec.selector"));
}

const minimumCertificateSeconds = 600;

function isSignerName(signer: string): boolean {
  const [domain = "", path = "", ...more] = signer.split("/");
  return path !== "" && more.length === 0 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?\.[-a-z0-9.]+$/.test(domain);
}

function certificateSigningRequest(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  const signer = stringOf(spec.signerName);
  if (stringOf(spec.request) === "") check.required("spec.request");
  if (arrayOf(spec.usages).length === 0) check.required("spec.usages");
  if (signer === "") check.required("spec.signerName");
  else if (!isSignerName(signer))
    check.invalid(
      "spec.signerName",
      signer,
      "must be a fully qualified domain and path of the form 'example.com/signer-name'",
    );
  else if (signer === "kubernetes.io/legacy-unknown")
    check.invalid("spec.signerName", signer, "the legacy signerName is not allowed via this API version");
  const seconds = spec.expirationSeconds;
  if (typeof seconds === "number" && seconds < minimumCertificateSeconds)
    check.invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 600 seconds (10 minutes)");
}

const maximumUserPriority = 1_000_000_000;

function priorityClass(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  check.oneOf("preemptionPolicy", object.preemptionPolicy, ["PreemptLowerPriority", "Never"]);
  // For a stored class, skip the checks of the name and the range of the value. Earlier releases stored other ones, and
  // such objects must stay changeable.
  if (old === undefined) return newPriorityClass(object, check);
  if (Number(object.value ?? 0) !== Number(old.value ?? 0))
    check.forbidden("value", "may not be changed in an update.");
  check.immutable("preemptionPolicy", object.preemptionPolicy, old.preemptionPolicy);
}

function newPriorityClass(object: JsonObject, check: Check): void {
  const name = stringOf(objectOf(object.metadata).name);
  if (!name.startsWith("system-")) {
    if (Number(object.value ?? 0) > maximumUserPriority)
      check.forbidden("value", `maximum allowed value of a user defined priority is ${maximumUserPriority}`);
    return;
  }
  const problem = systemClassProblem(name, object);
  if (problem !== undefined)
    check.forbidden(
      "metadata.name",
      `priority class names with 'system-' prefix are reserved for system use only. error: ${problem}`,
    );
}

function systemClassProblem(name: string, { value, globalDefault }: JsonObject): string | undefined {
  const known = systemPriorityClasses.get(name);
  if (known === undefined) return `${name} is not a known system priority class`;
  if (value !== known.value) return `value of ${name} PriorityClass must be ${known.value}`;
  return globalDefault === true ? `globalDefault of ${name} PriorityClass must be false` : undefined;
}

function lease(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  if (typeof spec.leaseDurationSeconds === "number" && spec.leaseDurationSeconds <= 0)
    check.invalid("spec.leaseDurationSeconds", spec.leaseDurationSeconds, "must be greater than 0");
  check.nonNegative("spec.leaseTransitions", spec.leaseTransitions);
}

function runtimeClass({ handler }: JsonObject, _old: JsonObject | undefined, check: Check): void {
  check.follows("handler", handler, checkLabelName);
}

export const groupValidators: KindValidators = {
  "admissionregistration.k8s.io/mutatingwebhookconfigurations": webhookConfiguration,
  "admissionregistration.k8s.io/validatingwebhookconfigurations": webhookConfiguration,
  "apiextensions.k8s.io/customresourcedefinitions": validateCustomResourceDefinition,
  "autoscaling/horizontalpodautoscalers": autoscaler,
  "certificates.k8s.io/certificatesigningrequests": certificateSigningRequest,
  "coordination.k8s.io/leases": lease,
  "discovery.k8s.io/endpointslices": endpointSlice,
  "networking.k8s.io/ingressclasses": ingressClass,
  "networking.k8s.io/ingresses": ingress,
  "networking.k8s.io/networkpolicies": networkPolicy,
  "node.k8s.io/runtimeclasses": runtimeClass,
  "policy/poddisruptionbudgets": disruptionBudget,
  "rbac.authorization.k8s.io/roles": role,
  "rbac.authorization.k8s.io/clusterroles": role,
  "rbac.authorization.k8s.io/rolebindings": roleBinding,
  "rbac.authorization.k8s.io/clusterrolebindings": roleBinding,
  "scheduling.k8s.io/priorityclasses": priorityClass,
};
