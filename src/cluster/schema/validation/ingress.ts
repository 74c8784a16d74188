import { isIP } from "node:net";
import { stringOf } from "../../../base/index.ts";
import { arrayOf, childPath, isObject, objectOf, type JsonObject } from "../json.ts";
import { checkServiceName, checkSubdomain, checkWildcardSubdomain } from "../names.ts";
import type { Check } from "./check.ts";
import { portNameProblems } from "./ports.ts";

/** Parts that an Exact or Prefix path may not contain, and those with which it may not end. */
const refusedParts = ["//", "/./", "/../", "%2f", "%2F"];
const refusedEnds = ["/..", "/."];

export function ingress(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  if (arrayOf(spec.rules).length === 0 && spec.defaultBackend === undefined)
    check.invalid("spec", spec, "either `defaultBackend` or `rules` must be specified");
  if (isObject(spec.defaultBackend)) validateBackend(spec.defaultBackend, "spec.defaultBackend", check);
  if (stringOf(spec.ingressClassName) !== "")
    for (const problem of checkSubdomain(stringOf(spec.ingressClassName)))
      check.invalid("spec.ingressClassName", spec.ingressClassName, problem);
  for (const [index, tls] of arrayOf(spec.tls).entries())
    for (const [position, host] of arrayOf(objectOf(tls).hosts).map(stringOf).entries())
      validateHost(host, childPath(`${childPath("spec.tls", index)}.hosts`, position), check);
  for (const [index, raw] of arrayOf(spec.rules).entries()) {
    const rule = objectOf(raw);
    const at = childPath("spec.rules", index);
    const host = stringOf(rule.host);
    if (isIP(host) !== 0) check.invalid(`${at}.host`, host, "must be a DNS name, not an IP address");
    if (host !== "") validateHost(host, `${at}.host`, check);
    if (isObject(rule.http)) validatePaths(arrayOf(rule.http.paths), `${at}.http.paths`, check);
  }
}

function validateHost(host: string, at: string, check: Check): void {
  const problems = host.includes("*") ? checkWildcardSubdomain(host) : checkSubdomain(host);
  for (const problem of problems) check.invalid(at, host, problem);
}

function validatePaths(paths: readonly unknown[], path: string, check: Check): void {
  if (paths.length === 0) check.required(path);
  for (const [index, raw] of paths.entries()) {
    const at = childPath(path, index);
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
  else for (const problem of checkServiceName(name)) check.invalid(`${at}.service.name`, name, problem);
  const port = objectOf(service.port);
  const [portName, number] = [stringOf(port.name), Number(port.number ?? 0)];
  if (portName !== "" && number !== 0) check.invalid(at, "", "cannot set both port name & port number");
  else if (portName !== "")
    for (const problem of portNameProblems(portName)) check.invalid(`${at}.service.port.name`, portName, problem);
  else if (number !== 0) check.port(`${at}.service.port.number`, number);
  else check.required(at, "port name or number is required");
}

export function ingressClass(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  if (stringOf(objectOf(object.spec).controller) === "") check.required("spec.controller");
}
