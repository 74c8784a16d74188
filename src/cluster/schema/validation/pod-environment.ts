import { ownField, stringOf } from "../../../base/index.ts";
import { isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import { checkConfigKey, checkQualifiedName, checkSubdomain } from "../names.ts";
import { canonicalQuantity, parseQuantity } from "../quantity.ts";
import type { Check } from "./check.ts";

const namePattern = /^[ -<>-~]+$/;
const nameMessage = "a valid environment variable name must consist only of printable ASCII characters other than '='";
const sources = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"] as const;
/** The fields of a pod that environment variables may contain, in the order of Kubernetes' messages. */
const fieldsForVariables = [
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.serviceAccountName",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
];
export const fieldsForFiles = [
  "metadata.annotations",
  "metadata.labels",
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
];
const knownFields = new Set([...fieldsForVariables, ...fieldsForFiles, "spec.restartPolicy", "status.phase"]);
const amounts = [
  "limits.cpu",
  "limits.ephemeral-storage",
  "limits.memory",
  "requests.cpu",
  "requests.ephemeral-storage",
  "requests.memory",
];
const hugePages = /^(?:limits|requests)\.hugepages-/;
const byteDivisors = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
const byteMessage = `only divisor's values ${byteDivisors.join(", ")} are supported with the`;

export function validateEnvironment(variables: readonly unknown[], path: string, check: Check): void {
  for (const [at, raw] of withPaths(variables, path)) {
    const variable = objectOf(raw);
    const name = stringOf(variable.name);
    if (name === "") check.required(`${at}.name`);
    else if (!namePattern.test(name)) check.invalid(`${at}.name`, name, nameMessage);
    if (isObject(variable.valueFrom))
      validateSource(variable.valueFrom, stringOf(variable.value), `${at}.valueFrom`, check);
  }
}

function validateSource(from: JsonObject, value: string, at: string, check: Check): void {
  if (isObject(from.fieldRef)) validateFieldReference(from.fieldRef, fieldsForVariables, `${at}.fieldRef`, check);
  if (isObject(from.resourceFieldRef)) validateAmountReference(from.resourceFieldRef, `${at}.resourceFieldRef`, check);
  for (const source of ["configMapKeyRef", "secretKeyRef"])
    if (isObject(from[source])) validateKeyReference(from[source], `${at}.${source}`, check);
  const used = sources.filter((source) => from[source] !== undefined);
  if (used.length === 0)
    check.invalid(
      at,
      "",
      "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
    );
  else if (value !== "") check.invalid(at, "", "may not be specified when `value` is not empty");
  else if (used.length > 1) check.invalid(at, "", "may not have more than one field specified at a time");
}

export function validateFieldReference(
  reference: JsonObject,
  supported: readonly string[],
  at: string,
  check: Check,
): void {
  const path = stringOf(reference.fieldPath);
  if (path === "") return check.required(`${at}.fieldPath`);
  if (reference.apiVersion !== undefined && reference.apiVersion !== "v1")
    return check.invalid(
      `${at}.fieldPath`,
      path,
      `error converting fieldPath: unsupported pod version: ${stringOf(reference.apiVersion)}`,
    );
  const [, whole = path, key] = /^(.*)\['(.*)'\]$/.exec(path) ?? [];
  if (key !== undefined && (whole === "metadata.annotations" || whole === "metadata.labels")) {
    const name = whole === "metadata.annotations" ? key.toLowerCase() : key;
    check.follows(at, name, checkQualifiedName);
  } else if (key !== undefined || !knownFields.has(path))
    check.invalid(`${at}.fieldPath`, path, `error converting fieldPath: field label not supported: ${path}`);
  else if (!supported.includes(path)) check.oneOf(`${at}.fieldPath`, path, supported);
}

/** Validates a reference to a request or a limit of a container, such as `limits.cpu`. */
export function validateAmountReference(reference: JsonObject, at: string, check: Check): void {
  const resource = stringOf(reference.resource);
  if (resource === "") check.required(`${at}.resource`);
  else if (!hugePages.test(resource)) check.oneOf(`${at}.resource`, resource, amounts);
  const divisor = stringOf(reference.divisor);
  if ((parseQuantity(divisor)?.nanos ?? 0n) === 0n) return;
  const text = canonicalQuantity(divisor);
  const [, kind = ""] = /^(?:limits|requests)\.(.*)$/.exec(resource) ?? [];
  if (kind === "cpu" && !["1m", "1"].includes(text))
    check.invalid(`${at}.divisor`, resource, "only divisor's values 1m and 1 are supported with the cpu resource");
  const bytes = ownField({ memory: "memory", "ephemeral-storage": "local ephemeral storage" }, kind);
  const noun = kind.startsWith("hugepages-") ? "hugepages" : bytes;
  if (noun !== undefined && !byteDivisors.includes(text))
    check.invalid(`${at}.divisor`, resource, `${byteMessage} ${noun} resource`);
}

function validateKeyReference({ name, key }: JsonObject, at: string, check: Check): void {
  check.follows(`${at}.name`, stringOf(name), checkSubdomain);
  if (stringOf(key) === "") check.required(`${at}.key`);
  else check.follows(`${at}.key`, key, checkConfigKey);
}

/** Validates `envFrom`. As in Kubernetes, a missing or second source of an entry is reported for the whole list. */
export function validateEnvironmentSources(entries: readonly unknown[], path: string, check: Check): void {
  for (const [at, raw] of withPaths(entries, path)) {
    const entry = objectOf(raw);
    const prefix = stringOf(entry.prefix);
    if (prefix !== "" && !namePattern.test(prefix)) check.invalid(`${at}.prefix`, prefix, nameMessage);
    const used = ["configMapRef", "secretRef"].filter((source) => isObject(entry[source]));
    for (const source of used) {
      const name = stringOf(objectOf(entry[source]).name);
      if (name === "") check.required(`${at}.${source}.name`);
      else check.follows(`${at}.${source}.name`, name, checkSubdomain);
    }
    if (used.length === 0) check.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`");
    else if (used.length > 1) check.invalid(path, "", "may not have more than one field specified at a time");
  }
}
