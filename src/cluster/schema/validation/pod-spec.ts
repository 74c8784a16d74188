import { mirrorAnnotation } from "../../../api/index.ts";
import { stringOf } from "../../../base/index.ts";
import { fieldErrors } from "../field-error.ts";
import { arrayOf, isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import type { Check } from "./check.ts";
import { validateAnnotations, validateLabels } from "../metadata.ts";
import { checkLabelName, checkQualifiedName, checkSearchDomain, checkSubdomain } from "../names.ts";
import { validateEnvironment, validateEnvironmentSources } from "./pod-environment.ts";
import { validateHandlers } from "./pod-handlers.ts";
import { validateMounts, type Volumes } from "./pod-mounts.ts";
import { validatePlacement } from "./pod-placement.ts";
import { validateContainerResources, validateResizePolicy, validateWholePodResources } from "./pod-resources.ts";
import { validateVolumes } from "./pod-volumes.ts";
import { validateContainerPorts, validateHostNetworkPorts, validateHostPorts } from "./ports.ts";
import { validateContainerSecurity, validatePodSecurity } from "./security-context.ts";

const pullPolicies = ["Always", "IfNotPresent", "Never"];
const containerRestartPolicies = ["Always", "Never", "OnFailure"];
const maxDeadlineSeconds = 2 ** 31 - 1;
const maxNameServers = 3;

/** Validates a pod. A pod's spec has more rules than the spec of a template. */
export function validatePod(pod: JsonObject, check: Check): void {
  const spec = objectOf(pod.spec);
  validateSpec(spec, "spec", check, true);
  for (const field of ["containers", "initContainers"])
    for (const [at, container] of withPaths(arrayOf(spec[field]), `spec.${field}`)) {
      const image = stringOf(objectOf(container).image);
      if (image.trim() !== image) check.invalid(`${at}.image`, image, "must not have leading or trailing whitespace");
    }
  validatePodAnnotations(pod, check);
}

export function validateNewPod(pod: JsonObject, check: Check): void {
  const spec = objectOf(pod.spec);
  if (arrayOf(spec.ephemeralContainers).length > 0)
    check.forbidden("spec.ephemeralContainers", "cannot be set on create");
  if (arrayOf(spec.schedulingGates).length > 0 && stringOf(spec.nodeName) !== "")
    check.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared");
}

const deletionCost = "controller.kubernetes.io/pod-deletion-cost";
const appArmorPrefix = "container.apparmor.security.beta.kubernetes.io/";

function validatePodAnnotations(pod: JsonObject, check: Check): void {
  const annotations = objectOf(objectOf(pod.metadata).annotations);
  const mirror = annotations[mirrorAnnotation];
  if (mirror !== undefined && stringOf(objectOf(pod.spec).nodeName) === "")
    check.invalid(
      `metadata.annotations[${mirrorAnnotation}]`,
      mirror,
      "must set spec.nodeName if mirror pod annotation is set",
    );
  const cost = annotations[deletionCost];
  const isCost = /^(?:0|-?[1-9]\d*)$/.test(stringOf(cost)) && Math.abs(Number(cost)) <= maxDeadlineSeconds;
  if (cost !== undefined && !isCost)
    check.invalid(`metadata.annotations[${deletionCost}]`, cost, "must be a 32bit integer");
  for (const [key, value] of Object.entries(annotations)) {
    const isKnown = /^(?:runtime\/default$|unconfined$|localhost\/)/.test(stringOf(value));
    if (key.startsWith(appArmorPrefix) && stringOf(value) !== "" && !isKnown)
      check.invalid(`metadata.annotations[${key}]`, value, `invalid AppArmor profile name: ${JSON.stringify(value)}`);
  }
}

export function validatePodTemplate(template: unknown, path: string, check: Check): void {
  if (!isObject(template)) {
    check.required(path);
    return;
  }
  const metadata = objectOf(template.metadata);
  check.add(...validateLabels(metadata.labels, `${path}.metadata.labels`));
  check.add(...validateAnnotations(objectOf(metadata.annotations), `${path}.annotations`));
  const spec = objectOf(template.spec);
  validateSpec(spec, `${path}.spec`, check, false);
  if (arrayOf(spec.ephemeralContainers).length > 0)
    check.forbidden(`${path}.spec.ephemeralContainers`, "ephemeral containers not allowed in pod template");
}

function validateSpec(spec: JsonObject, path: string, check: Check, isPod: boolean): void {
  const volumes = validateVolumes(arrayOf(spec.volumes), `${path}.volumes`, check);
  validateContainers(spec, path, volumes, check);
  validateWholePodResources(spec, path, check);
  validateHostNetworkPorts(spec, path, check, isPod);
  check.oneOf(`${path}.restartPolicy`, spec.restartPolicy, ["Always", "OnFailure", "Never"]);
  check.oneOf(`${path}.dnsPolicy`, spec.dnsPolicy, ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
  check.oneOf(`${path}.preemptionPolicy`, spec.preemptionPolicy, ["Never", "PreemptLowerPriority"]);
  check.oneOf(`${path}.os`, isObject(spec.os) ? (spec.os.name ?? "") : undefined, ["linux", "windows"]);
  const deadline = spec.activeDeadlineSeconds;
  if (typeof deadline === "number" && (deadline < 1 || deadline > maxDeadlineSeconds))
    check.invalid(`${path}.activeDeadlineSeconds`, deadline, `must be between 1 and ${maxDeadlineSeconds}, inclusive`);
  check.add(...validateLabels(spec.nodeSelector, `${path}.nodeSelector`));
  validatePodSecurity(spec, path, check);
  validatePlacement(spec, path, check);
  validateDns(spec, path, check);
  validateGates(spec, path, check);
  validateNames(spec, path, check);
}

function validateContainers(spec: JsonObject, path: string, volumes: Volumes, check: Check): void {
  const names = new Set<string>();
  const others = new Set(
    [...arrayOf(spec.containers), ...arrayOf(spec.initContainers)].map((other) => objectOf(other).name),
  );
  if (arrayOf(spec.containers).length === 0) check.required(`${path}.containers`);
  for (const field of ["containers", "initContainers", "ephemeralContainers"] as const) {
    const list = arrayOf(spec[field]);
    for (const [at, raw] of withPaths(list, `${path}.${field}`)) {
      const container = objectOf(raw);
      validateContainer(container, at, { spec, volumes }, check);
      if (field === "ephemeralContainers") validateEphemeral(container, at, others, check);
      else validateHandlers(container, at, check, { spec, isInit: field === "initContainers" });
      const name = stringOf(container.name);
      if (name !== "") check.unique(`${at}.name`, name, names);
      if (field === "initContainers") validateHostPorts([container], `${path}.${field}`, check);
    }
    if (field === "containers") validateHostPorts(list, `${path}.${field}`, check);
  }
}

function validateContainer(
  container: JsonObject,
  path: string,
  { spec, volumes }: { readonly spec: JsonObject; readonly volumes: Volumes },
  check: Check,
): void {
  const name = stringOf(container.name);
  if (name === "") check.required(`${path}.name`);
  else check.follows(`${path}.name`, name, checkLabelName);
  if (stringOf(container.image) === "") check.required(`${path}.image`);
  check.oneOf(`${path}.imagePullPolicy`, container.imagePullPolicy, pullPolicies);
  check.oneOf(`${path}.terminationMessagePolicy`, container.terminationMessagePolicy, [
    "File",
    "FallbackToLogsOnError",
  ]);
  validateContainerPorts(arrayOf(container.ports), `${path}.ports`, check);
  validateEnvironment(arrayOf(container.env), `${path}.env`, check);
  validateEnvironmentSources(arrayOf(container.envFrom), `${path}.envFrom`, check);
  validateMounts(container, path, volumes, check);
  validateContainerResources(objectOf(container.resources), `${path}.resources`, check);
  validateResizePolicy(arrayOf(container.resizePolicy), `${path}.resizePolicy`, check, spec);
  validateContainerSecurity(container.securityContext, `${path}.securityContext`, check, spec.hostUsers === false);
  validateRestarts(container, path, check);
}

function validateRestarts(container: JsonObject, path: string, check: Check): void {
  const rules = arrayOf(container.restartPolicyRules);
  check.oneOf(`${path}.restartPolicy`, container.restartPolicy, containerRestartPolicies);
  if (rules.length > 0 && container.restartPolicy === undefined)
    check.required(`${path}.restartPolicy`, "must specify restartPolicy when restart rules are used");
  for (const [at, raw] of withPaths(rules, `${path}.restartPolicyRules`)) {
    const { action, exitCodes } = objectOf(raw);
    check.oneOf(`${at}.action`, action ?? "", ["Restart", "RestartAllContainers"]);
    if (isObject(exitCodes)) check.oneOf(`${at}.exitCodes.operator`, exitCodes.operator ?? "", ["In", "NotIn"]);
    else check.required(`${at}.exitCodes`, "must be specified");
  }
}

/** Fields that an ephemeral container may not have, because it is added to a running pod. */
const notEphemeral = [
  "lifecycle",
  "livenessProbe",
  "ports",
  "readinessProbe",
  "resizePolicy",
  "resources",
  "restartPolicy",
  "startupProbe",
];

function validateEphemeral(container: JsonObject, at: string, others: ReadonlySet<unknown>, check: Check): void {
  const detail = "cannot be set for an Ephemeral Container";
  const target = stringOf(container.targetContainerName);
  if (target !== "" && !others.has(target)) check.add(fieldErrors.notFound(`${at}.targetContainerName`, target));
  for (const field of notEphemeral) {
    const value = container[field];
    const isEmpty = value === undefined || (typeof value === "object" && Object.keys(value ?? {}).length === 0);
    if (!isEmpty) check.forbidden(`${at}.${field}`, detail);
  }
  for (const [place, mount] of withPaths(arrayOf(container.volumeMounts), `${at}.volumeMounts`))
    for (const field of ["subPath", "subPathExpr"])
      if (stringOf(objectOf(mount)[field]) !== "") check.forbidden(`${place}.${field}`, detail);
}

/** The faults of a search domain, which may be the root and may end with a dot. */
function searchProblems(search: string): readonly string[] {
  return search === "." ? [] : checkSearchDomain(search.replace(/\.$/, ""));
}

function validateDns(spec: JsonObject, path: string, check: Check): void {
  for (const [at, raw] of withPaths(arrayOf(spec.hostAliases), `${path}.hostAliases`)) {
    const { ip, hostnames } = objectOf(raw);
    check.address(`${at}.ip`, ip);
    for (const [place, name] of withPaths(arrayOf(hostnames).map(stringOf), `${at}.hostnames`))
      check.follows(place, name, checkSubdomain);
  }
  const at = `${path}.dnsConfig`;
  const servers = arrayOf(objectOf(spec.dnsConfig).nameservers).map(stringOf);
  if (spec.dnsPolicy === "None") {
    if (spec.dnsConfig === undefined) return check.required(at, "must provide `dnsConfig` when `dnsPolicy` is None");
    if (servers.length === 0)
      return check.required(`${at}.nameservers`, "must provide at least one DNS nameserver when `dnsPolicy` is None");
  }
  if (servers.length > maxNameServers)
    check.invalid(`${at}.nameservers`, servers, `must not have more than ${maxNameServers} nameservers`);
  for (const [place, server] of withPaths(servers, `${at}.nameservers`)) check.address(place, server);
  for (const [place, search] of withPaths(arrayOf(objectOf(spec.dnsConfig).searches).map(stringOf), `${at}.searches`))
    check.follows(place, search, searchProblems);
  for (const [place, option] of withPaths(arrayOf(objectOf(spec.dnsConfig).options), `${at}.options`))
    if (stringOf(objectOf(option).name) === "") check.required(place, "must not be empty");
}

function validateGates(spec: JsonObject, path: string, check: Check): void {
  for (const [at, gate] of withPaths(arrayOf(spec.readinessGates), `${path}.readinessGates`)) {
    const type = stringOf(objectOf(gate).conditionType);
    check.follows(`${at}.conditionType`, type, checkQualifiedName);
  }
  const names = new Set<string>();
  for (const [at, gate] of withPaths(arrayOf(spec.schedulingGates), `${path}.schedulingGates`)) {
    const name = stringOf(objectOf(gate).name);
    check.follows(at, name, checkQualifiedName);
    check.unique(at, name, names);
  }
}

function validateNames(spec: JsonObject, path: string, check: Check): void {
  for (const field of ["serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"]) {
    const name = stringOf(spec[field]);
    if (name !== "") check.follows(`${path}.${field}`, name, checkSubdomain);
  }
  for (const field of ["hostname", "subdomain"]) {
    const name = stringOf(spec[field]);
    if (name !== "") check.follows(`${path}.${field}`, name, checkLabelName);
  }
  const whole = spec.hostnameOverride;
  if (whole === undefined) return;
  if (spec.hostNetwork === true)
    check.forbidden(`${path}.hostnameOverride`, "may not be specified when hostNetwork is true");
  if (spec.setHostnameAsFQDN === true)
    check.forbidden(`${path}.hostnameOverride`, "may not be specified when setHostnameAsFQDN is true");
  check.follows(`${path}.hostnameOverride`, whole, checkSubdomain);
}
