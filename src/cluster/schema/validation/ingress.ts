import { isIP } from "node:net";
import { stringOf } from "../../../base/index.ts";
import { arrayOf, isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import { checkServiceName, checkSubdomain, checkWildcardSubdomain } from "../names.ts";
import type { Check } from "./check.ts";
import { portNameProblems } from "./ports.ts";

/** The texts that a path of type Exact or Prefix may not contain, and those with which it may not end. */
const refusedParts = ["//", "/./", "/../", "%2f", "%2F"];
const refusedEnds = ["/..", "/."];

export function ingress(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  if (arrayOf(spec.rules).length === 0 && spec.defaultBackend === undefined)
    check.invalid("spec", spec, "either `defaultBackend` or `rules` must be specified");
  if (isObject(spec.defaultBackend)) validateBackend(spec.defaultBackend, "spec.defaultBackend", check);
  if (stringOf(spec.ingressClassName) !== "")
    check.follows("spec.ingressClassName", spec.ingressClassName, checkSubdomain);
  for (const [tlsPath, tls] of withPaths(arrayOf(spec.tls), "spec.tls"))
    for (const [at, host] of withPaths(arrayOf(objectOf(tls).hosts), `${tlsPath}.hosts`))
      validateHost(stringOf(host), at, check);
  for (const [at, raw] of withPaths(arrayOf(spec.rules), "spec.rules")) {
    const rule = objectOf(raw);
    const host = stringOf(rule.host);
    if (isIP(host) !== 0) check.invalid(`${at}.host`, host, "must be a DNS name, not an IP address");
    if (host !== "") validateHost(host, `${at}.host`, check);
    if (isObject(rule.http)) validatePaths(arrayOf(rule.http.paths), `${at}.http.paths`, check);
  }
}

function validateHost(host: string, at: string, check: Check): void {
  check.follows(at, host, host.includes("*") ? checkWildcardSubdomain : checkSubdomain);
}

function validatePaths(paths: readonly unknown[], path: string, check: Check): void {
  if (paths.length === 0) check.required(path);
  for (const [at, raw] of withPaths(paths, path)) {
    const entry = objectOf(raw);
    const { pathType } = entry;
    if (pathType === undefined) {
      check.required(`${at}.pathType`, "pathType must be specified");
      continue;
    }
    check.oneOf(`${at}.pathType`, pathType, ["Exact", "ImplementationSpecific", "Prefix"]);
    validatePath(stringOf(entry.path), pathType, `${at}.path`, check);
    validateBackend(objectOf(entry.backend), `${at}.backend`, check);
  }
}

function validatePath(path: string, type: unknown, at: string, check: Check): void {
  const isStrict = type === "Exact" || type === "Prefix";
  const isChecked = isStrict || (type === "ImplementationSpecific" && path !== "");
  if (isChecked && !path.startsWith("/")) check.invalid(at, path, "must be an absolute path");
  if (!isStrict) return;
  for (const part of refusedParts) if (path.includes(part)) check.invalid(at, path, `must not contain '${part}'`);
  for (const end of refusedEnds) if (path.endsWith(end)) check.invalid(at, path, `cannot end with '${end}'`);
}

function validateBackend({ resource, service }: JsonObject, at: string, check: Check): void {
  if (resource !== undefined && service !== undefined)
    return check.invalid(at, "", "cannot set both resource and service backends");
  if (resource !== undefined) return;
  if (!isObject(service)) return check.invalid(at, "", "resource or service backend is required");
  const name = stringOf(service.name);
  if (name === "") check.required(`${at}.service.name`);
  else check.follows(`${at}.service.name`, name, checkServiceName);
  const port = objectOf(service.port);
  const [portName, number] = [stringOf(port.name), Number(port.number ?? 0)];
  if (portName !== "" && number !== 0) check.invalid(at, "", "cannot set both port name & port number");
  else if (portName !== "") check.follows(`${at}.service.port.name`, portName, portNameProblems);
  else if (number !== 0) check.port(`${at}.service.port.number`, number);
  else check.required(at, "port name or number is required");
}

export function ingressClass(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  if (stringOf(objectOf(object.spec).controller) === "") check.required("spec.controller");
}
