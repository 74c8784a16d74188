import { addressBytes, userError, truncated } from "../base/index.ts";
import { podAnnotations } from "./annotations.ts";
import { proxyConfigIssues } from "./mesh.ts";

/** Returns undefined if the value is valid, or a description of valid values. */
type Check = (value: string) => string | undefined;

const maxPort = 65_535;
const maxUint32 = 2 ** 32 - 1;
/** The maximum number of characters that a message quotes of an invalid value. */
const maxQuoted = 200;

const isNumber =
  (maximum: number): Check =>
  (value) =>
    /^\d+$/.test(value.trim()) && Number(value) <= maximum ? undefined : `a number from 0 to ${maximum}`;
const isPort = isNumber(maxPort);
const isTruth: Check = (value) => (/^(1|0|t|f|true|false)$/i.test(value) ? undefined : "true or false");
const isQuantity: Check = (value) =>
  /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|[numkKMGTPE]|[KMGTPE]i)?$/.test(value)
    ? undefined
    : "a quantity such as 100m or 128Mi";
const arePorts: Check = (value) =>
  value.trim() === "" || value.split(",").every((port) => isPort(port) === undefined)
    ? undefined
    : "port numbers separated by commas, such as 80,443";
const arePortsOrAll: Check = (value) => (value === "*" ? undefined : arePorts(value));
const isRange: Check = (value) => {
  const [, address = "", length = ""] = /^([0-9a-fA-F:.]{1,45})\/(\d{1,3})$/.exec(value) ?? [];
  const bytes = addressBytes(address);
  return bytes !== undefined && Number(length) <= bytes.length * 8 ? undefined : "an IP range";
};
const areRanges: Check = (value) =>
  value === "" || value.split(",").every((range) => isRange(range) === undefined)
    ? undefined
    : "IP ranges separated by commas, such as 10.0.0.0/8,fd00::/8";
const areRangesOrAll: Check = (value) => (value === "*" ? undefined : areRanges(value));
const isInterface = /^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$/;
const areInterfaces: Check = (value) =>
  value === "" || value.split(",").every((name) => isInterface.test(name.trim()))
    ? undefined
    : "names of interfaces separated by commas, such as eth1,net1";
const isMode: Check = (value) =>
  ["REDIRECT", "TPROXY", "NONE"].includes(value) ? undefined : "REDIRECT, TPROXY or NONE";
/** Accepts a JSON object of named entries or a JSON list of entries, as upstream's template does. */
const areNamedEntries: Check = (value) => {
  const isEntry = (entry: unknown): boolean => typeof entry === "object" && entry !== null && !Array.isArray(entry);
  try {
    const parsed: unknown = JSON.parse(value);
    const fits = Array.isArray(parsed) ? parsed.every(isEntry) : isEntry(parsed);
    return fits ? undefined : "a JSON object, or a JSON list of objects";
  } catch {
    return "a JSON object, or a JSON list of objects";
  }
};
const isProxyConfig: Check = (value) => {
  const { errors } = proxyConfigIssues(value);
  return errors.length === 0 ? undefined : `a proxy config (${errors.join("; ")})`;
};
const maxTemplates = 20;
/** Bounds the number of templates, because the injector renders each of them and merges it into the pod. */
const areTemplates: Check = (value) =>
  value.split(",").length <= maxTemplates ? undefined : `at most ${maxTemplates} names`;

const checks: Readonly<Record<string, Check>> = {
  [podAnnotations.interceptionMode]: isMode,
  [podAnnotations.statusPort]: isPort,
  [podAnnotations.readinessInitialDelaySeconds]: isNumber(maxUint32),
  [podAnnotations.readinessPeriodSeconds]: isNumber(maxUint32),
  [podAnnotations.readinessFailureThreshold]: isNumber(maxUint32),
  [podAnnotations.includeOutboundIpRanges]: areRangesOrAll,
  [podAnnotations.excludeOutboundIpRanges]: areRanges,
  [podAnnotations.includeInboundPorts]: arePortsOrAll,
  [podAnnotations.excludeInboundPorts]: arePorts,
  [podAnnotations.includeOutboundPorts]: arePorts,
  [podAnnotations.excludeOutboundPorts]: arePorts,
  [podAnnotations.excludeInterfaces]: areInterfaces,
  [podAnnotations.kubevirtInterfaces]: areInterfaces,
  [podAnnotations.rerouteVirtualInterfaces]: areInterfaces,
  [podAnnotations.mergeMetrics]: isTruth,
  [podAnnotations.proxyCpu]: isQuantity,
  [podAnnotations.proxyCpuLimit]: isQuantity,
  [podAnnotations.proxyMemory]: isQuantity,
  [podAnnotations.proxyMemoryLimit]: isQuantity,
  [podAnnotations.userVolume]: areNamedEntries,
  [podAnnotations.userVolumeMount]: areNamedEntries,
  [podAnnotations.proxyConfig]: isProxyConfig,
  [podAnnotations.templates]: areTemplates,
};

/** Throws a user error that names every annotation with an invalid value, and what was expected. */
export function checkAnnotations(annotations: Readonly<Record<string, string>>): void {
  const faults: string[] = [];
  for (const [name, value] of Object.entries(annotations)) {
    const expected = Object.hasOwn(checks, name) ? checks[name]?.(value) : undefined;
    if (expected !== undefined)
      faults.push(`annotation ${name} must be ${expected}, got "${truncated(value, maxQuoted)}"`);
  }
  if (faults.length > 0) throw userError("annotation-invalid", faults.join("; "));
}
