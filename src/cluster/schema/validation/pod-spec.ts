import { ownField, stringOf } from "../../../base/index.ts";
import { fieldErrors } from "../field-error.ts";
import { arrayOf, childPath, isObject, objectOf, type JsonObject } from "../json.ts";
import { compareQuantities, parseQuantity } from "../quantity.ts";
import type { Check } from "./check.ts";
import { validateLabelSelector, validateLabels } from "../metadata.ts";
import { checkLabelName, checkQualifiedName, checkSubdomain } from "../names.ts";

const protocols = ["SCTP", "TCP", "UDP"];
const pullPolicies = ["Always", "IfNotPresent", "Never"];
const portNamePattern = /^(?=.*[a-z])[a-z0-9]([a-z0-9]|-(?!-))*$/;
const portNameMaxLength = 15;

/** A port's name (IANA_SVC_NAME). */
export function portNameProblems(name: string): string[] {
  const problems: string[] = [];
  if (name.length > portNameMaxLength) problems.push(`must be no more than ${portNameMaxLength} characters`);
  if (!/^[-a-z0-9]+$/.test(name))
    problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  if (!/[a-z]/.test(name)) problems.push("must contain at least one letter (a-z)");
  if (name.includes("--")) problems.push("must not contain consecutive hyphens");
  if (name.startsWith("-") || name.endsWith("-")) problems.push("must not begin or end with a hyphen");
  return portNamePattern.test(name) && problems.length === 0 ? [] : problems;
}

export function validatePodTemplate(template: unknown, path: string, check: Check): void {
  if (!isObject(template)) {
    check.required(path);
    return;
  }
  const metadata = objectOf(template.metadata);
  check.add(...validateLabels(metadata.labels, `${path}.metadata.labels`));
  validatePodSpec(objectOf(template.spec), `${path}.spec`, check);
}

export function validatePodSpec(spec: JsonObject, path: string, check: Check): void {
  const volumes = validateVolumes(arrayOf(spec.volumes), `${path}.volumes`, check);
  const names = new Set<string>();
  if (arrayOf(spec.containers).length === 0) check.required(`${path}.containers`);
  for (const field of ["initContainers", "containers", "ephemeralContainers"]) {
    for (const [index, container] of arrayOf(spec[field]).entries()) {
      const at = childPath(`${path}.${field}`, index);
      validateContainer(objectOf(container), at, volumes, check, field === "containers");
      const name = stringOf(objectOf(container).name);
      if (name !== "" && names.has(name)) check.add(fieldErrors.duplicate(`${at}.name`, name));
      names.add(name);
    }
  }
  check.oneOf(`${path}.restartPolicy`, spec.restartPolicy, ["Always", "OnFailure", "Never"]);
  check.oneOf(`${path}.dnsPolicy`, spec.dnsPolicy, ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
  check.nonNegative(`${path}.terminationGracePeriodSeconds`, spec.terminationGracePeriodSeconds);
  if (typeof spec.activeDeadlineSeconds === "number" && spec.activeDeadlineSeconds < 1)
    check.invalid(
      `${path}.activeDeadlineSeconds`,
      spec.activeDeadlineSeconds,
      "must be between 1 and 2147483647, inclusive",
    );
  check.add(...validateLabels(spec.nodeSelector, `${path}.nodeSelector`));
  validateNames(spec, path, check);
  validateTolerations(arrayOf(spec.tolerations), `${path}.tolerations`, check);
  validateSpread(arrayOf(spec.topologySpreadConstraints), `${path}.topologySpreadConstraints`, check);
}

function validateNames(spec: JsonObject, path: string, check: Check): void {
  for (const field of ["serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"]) {
    const name = stringOf(spec[field]);
    if (name !== "") for (const problem of checkSubdomain(name)) check.invalid(`${path}.${field}`, name, problem);
  }
  for (const field of ["hostname", "subdomain"]) {
    const name = stringOf(spec[field]);
    if (name !== "") for (const problem of checkLabelName(name)) check.invalid(`${path}.${field}`, name, problem);
  }
}

function validateContainer(
  container: JsonObject,
  path: string,
  volumes: ReadonlySet<string>,
  check: Check,
  lifecycle: boolean,
): void {
  const name = stringOf(container.name);
  if (name === "") check.required(`${path}.name`);
  else for (const problem of checkLabelName(name)) check.invalid(`${path}.name`, name, problem);
  const image = stringOf(container.image);
  if (image === "") check.required(`${path}.image`);
  else if (image.trim() !== image)
    check.invalid(`${path}.image`, image, "must not have leading or trailing whitespace");
  check.oneOf(`${path}.imagePullPolicy`, container.imagePullPolicy, pullPolicies);
  check.oneOf(`${path}.terminationMessagePolicy`, container.terminationMessagePolicy, [
    "FallbackToLogsOnError",
    "File",
  ]);
  validatePorts(arrayOf(container.ports), `${path}.ports`, check);
  validateEnvironment(arrayOf(container.env), `${path}.env`, check);
  validateMounts(arrayOf(container.volumeMounts), `${path}.volumeMounts`, volumes, check);
  validateResources(objectOf(container.resources), `${path}.resources`, check);
  for (const probe of ["livenessProbe", "readinessProbe", "startupProbe"])
    validateProbe(container[probe], `${path}.${probe}`, probe, check);
  if (!lifecycle && container.lifecycle !== undefined && container.restartPolicy !== "Always")
    check.forbidden(`${path}.lifecycle`, "may not be set for init containers without restartPolicy=Always");
}

function validatePorts(ports: readonly unknown[], path: string, check: Check): void {
  const names = new Set<string>();
  for (const [index, raw] of ports.entries()) {
    const at = childPath(path, index);
    const port = objectOf(raw);
    const name = stringOf(port.name);
    if (name !== "") {
      for (const problem of portNameProblems(name)) check.invalid(`${at}.name`, name, problem);
      if (names.has(name)) check.add(fieldErrors.duplicate(`${at}.name`, name));
      names.add(name);
    }
    if (port.containerPort === undefined || port.containerPort === 0) check.required(`${at}.containerPort`);
    else check.port(`${at}.containerPort`, port.containerPort);
    if (port.hostPort !== undefined && port.hostPort !== 0) check.port(`${at}.hostPort`, port.hostPort);
    if (stringOf(port.protocol) === "") check.required(`${at}.protocol`);
    else check.oneOf(`${at}.protocol`, port.protocol, protocols);
  }
}

const environmentNamePattern = /^[ -<>-~]+$/;
const valueSources = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];

function validateEnvironment(variables: readonly unknown[], path: string, check: Check): void {
  for (const [index, raw] of variables.entries()) {
    const at = childPath(path, index);
    const variable = objectOf(raw);
    const name = stringOf(variable.name);
    if (name === "") check.required(`${at}.name`);
    else if (!environmentNamePattern.test(name))
      check.invalid(
        `${at}.name`,
        name,
        "a valid environment variable name must consist only of printable ASCII characters other than '='",
      );
    if (variable.valueFrom === undefined) continue;
    const sources = valueSources.filter((source) => objectOf(variable.valueFrom)[source] !== undefined);
    if (sources.length === 0)
      check.invalid(
        `${at}.valueFrom`,
        "",
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
      );
    else if (stringOf(variable.value) !== "")
      check.invalid(`${at}.valueFrom`, "", "may not be specified when `value` is not empty");
    else if (sources.length > 1)
      check.invalid(`${at}.valueFrom`, "", "may not have more than one field specified at a time");
  }
}

function validateMounts(mounts: readonly unknown[], path: string, volumes: ReadonlySet<string>, check: Check): void {
  const paths = new Set<string>();
  for (const [index, raw] of mounts.entries()) {
    const at = childPath(path, index);
    const mount = objectOf(raw);
    const name = stringOf(mount.name);
    const mountPath = stringOf(mount.mountPath);
    if (name === "") check.required(`${at}.name`);
    else if (!volumes.has(name)) check.add(fieldErrors.notFound(`${at}.name`, name));
    if (mountPath === "") check.required(`${at}.mountPath`);
    if (paths.has(mountPath)) check.invalid(`${at}.mountPath`, mountPath, "must be unique");
    paths.add(mountPath);
    if (stringOf(mount.subPath).split("/").includes(".."))
      check.invalid(`${at}.subPath`, mount.subPath, "must not contain '..'");
  }
}

function validateVolumes(volumes: readonly unknown[], path: string, check: Check): Set<string> {
  const names = new Set<string>();
  for (const [index, raw] of volumes.entries()) {
    const at = childPath(path, index);
    const volume = objectOf(raw);
    const name = stringOf(volume.name);
    if (name === "") check.required(`${at}.name`);
    else for (const problem of checkLabelName(name)) check.invalid(`${at}.name`, name, problem);
    if (name !== "" && names.has(name)) check.add(fieldErrors.duplicate(`${at}.name`, name));
    names.add(name);
    const sources = Object.keys(volume).filter((key) => key !== "name");
    if (sources.length === 0) check.required(at, "must specify a volume type");
    for (const source of sources.slice(1))
      check.forbidden(`${at}.${source}`, "may not specify more than 1 volume type");
    if (isObject(volume.hostPath) && stringOf(volume.hostPath.path) === "") check.required(`${at}.hostPath.path`);
    if (isObject(volume.configMap) && stringOf(volume.configMap.name) === "") check.required(`${at}.configMap.name`);
    if (isObject(volume.secret) && stringOf(volume.secret.secretName) === "") check.required(`${at}.secret.secretName`);
    if (isObject(volume.persistentVolumeClaim) && stringOf(volume.persistentVolumeClaim.claimName) === "")
      check.required(`${at}.persistentVolumeClaim.claimName`);
    validateVolumePaths(volume, at, check);
  }
  return names;
}

/** The paths of files in a volume. The node writes these files, so no path may lead out of the volume's directory. */
function validateVolumePaths(volume: JsonObject, at: string, check: Check): void {
  for (const source of ["configMap", "secret", "downwardAPI"])
    validateItemPaths(arrayOf(objectOf(volume[source]).items), `${at}.${source}.items`, check);
  for (const [index, raw] of arrayOf(objectOf(volume.projected).sources).entries()) {
    const projection = objectOf(raw);
    const place = childPath(`${at}.projected.sources`, index);
    for (const source of ["configMap", "secret", "downwardAPI"])
      validateItemPaths(arrayOf(objectOf(projection[source]).items), `${place}.${source}.items`, check);
    if (isObject(projection.serviceAccountToken))
      validateFilePath(projection.serviceAccountToken.path, `${place}.serviceAccountToken.path`, check);
  }
}

function validateItemPaths(items: readonly unknown[], at: string, check: Check): void {
  for (const [index, item] of items.entries())
    validateFilePath(objectOf(item).path, `${childPath(at, index)}.path`, check);
}

function validateFilePath(value: unknown, at: string, check: Check): void {
  const path = stringOf(value);
  if (path === "") check.required(at);
  else if (path.startsWith("/")) check.invalid(at, path, "must be a relative path");
  else if (path.split("/").includes("..")) check.invalid(at, path, "must not contain '..'");
  else if (path.startsWith("..")) check.invalid(at, path, "must not start with '..'");
}

function validateResources(resources: JsonObject, path: string, check: Check): void {
  const [limits, requests] = [objectOf(resources.limits), objectOf(resources.requests)];
  for (const [field, values] of Object.entries({ limits, requests })) {
    for (const [name, value] of Object.entries(values)) {
      const quantity = parseQuantity(stringOf(value));
      for (const problem of checkQualifiedName(name)) check.invalid(`${path}.${field}`, name, problem);
      if (quantity !== undefined && quantity.nanos < 0n)
        check.invalid(`${path}.${field}[${name}]`, value, "must be greater than or equal to 0");
    }
  }
  for (const [name, value] of Object.entries(requests)) {
    const [request, limit] = [parseQuantity(stringOf(value)), parseQuantity(stringOf(ownField(limits, name)))];
    if (request !== undefined && limit !== undefined && compareQuantities(request, limit) > 0) {
      check.invalid(
        `${path}.requests`,
        value,
        `must be less than or equal to ${name} limit of ${stringOf(ownField(limits, name))}`,
      );
    }
  }
}

const handlers = ["exec", "httpGet", "tcpSocket", "grpc"];

function validateProbe(raw: unknown, path: string, kind: string, check: Check): void {
  if (!isObject(raw)) return;
  const used = handlers.filter((handler) => raw[handler] !== undefined);
  if (used.length === 0) check.required(path, "must specify a handler type");
  for (const handler of used.slice(1))
    check.forbidden(`${path}.${handler}`, "may not specify more than 1 handler type");
  for (const handler of ["httpGet", "tcpSocket", "grpc"]) {
    const action = raw[handler];
    if (!isObject(action)) continue;
    if (typeof action.port === "string")
      for (const problem of portNameProblems(action.port))
        check.invalid(`${path}.${handler}.port`, action.port, problem);
    else check.port(`${path}.${handler}.port`, action.port);
  }
  if (isObject(raw.exec) && arrayOf(raw.exec.command).length === 0) check.required(`${path}.exec.command`);
  for (const field of [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
  ])
    check.nonNegative(`${path}.${field}`, raw[field]);
  if (kind !== "readinessProbe" && raw.successThreshold !== undefined && raw.successThreshold !== 1)
    check.invalid(`${path}.successThreshold`, raw.successThreshold, "must be 1");
}

function validateTolerations(tolerations: readonly unknown[], path: string, check: Check): void {
  for (const [index, raw] of tolerations.entries()) {
    const at = childPath(path, index);
    const toleration = objectOf(raw);
    const key = stringOf(toleration.key);
    if (key !== "") for (const problem of checkQualifiedName(key)) check.invalid(`${at}.key`, key, problem);
    else if (toleration.operator !== "Exists")
      check.invalid(
        `${at}.operator`,
        toleration.operator,
        'operator must be Exists when `key` is empty, which means "match all values and all keys"',
      );
    if (toleration.operator === "Exists" && stringOf(toleration.value) !== "")
      check.invalid(`${at}.operator`, toleration.operator, "value must be empty when `operator` is 'Exists'");
    if (stringOf(toleration.effect) !== "")
      check.oneOf(`${at}.effect`, toleration.effect, ["NoSchedule", "PreferNoSchedule", "NoExecute"]);
  }
}

function validateSpread(constraints: readonly unknown[], path: string, check: Check): void {
  for (const [index, raw] of constraints.entries()) {
    const at = childPath(path, index);
    const constraint = objectOf(raw);
    if (typeof constraint.maxSkew !== "number" || constraint.maxSkew <= 0)
      check.invalid(`${at}.maxSkew`, constraint.maxSkew ?? 0, "must be greater than zero");
    if (stringOf(constraint.topologyKey) === "") check.required(`${at}.topologyKey`, "can not be empty");
    check.oneOf(`${at}.whenUnsatisfiable`, constraint.whenUnsatisfiable ?? "", ["DoNotSchedule", "ScheduleAnyway"]);
    check.add(...validateLabelSelector(constraint.labelSelector, `${at}.labelSelector`));
  }
}
