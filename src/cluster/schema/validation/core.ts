import { isIP } from "node:net";
import { jsonEqual, ownField, stringOf } from "../../../base/index.ts";
import { arrayOf, childPath, isObject, objectOf, type JsonObject } from "../json.ts";
import { fieldErrors } from "../field-error.ts";
import { isCidr } from "../crd/formats.ts";
import type { Check } from "./check.ts";
import type { KindValidators } from "./kind-validator.ts";
import { limitRange } from "./limit-range.ts";
import { validateLabels } from "../metadata.ts";
import { checkLabelName, checkSubdomain } from "../names.ts";
import { portNameProblems } from "./pod-spec.ts";
import { resourceQuota } from "./resource-quota.ts";

const configKeyPattern = /^[-._a-zA-Z0-9]+$/;
const dataMaxBytes = 1024 * 1024;

function dataKeys(value: unknown, path: string, check: Check): number {
  let bytes = 0;
  for (const [key, text] of Object.entries(objectOf(value))) {
    if (!configKeyPattern.test(key) || key === "." || key === "..") {
      check.invalid(
        `${path}[${key}]`,
        key,
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
      );
    }
    bytes += Buffer.byteLength(stringOf(text));
  }
  return bytes;
}

function immutableData(object: JsonObject, old: JsonObject | undefined, fields: readonly string[], check: Check): void {
  if (old?.immutable !== true) return;
  if (object.immutable !== true) check.forbidden("immutable", "field is immutable when `immutable` is set");
  for (const field of fields)
    if (!jsonEqual(object[field] ?? {}, old[field] ?? {}))
      check.forbidden(field, "field is immutable when `immutable` is set");
}

function configMap(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const bytes = dataKeys(object.data, "data", check) + dataKeys(object.binaryData, "binaryData", check);
  for (const key of Object.keys(objectOf(object.binaryData)))
    if (Object.hasOwn(objectOf(object.data), key))
      check.invalid(`data[${key}]`, key, "duplicate of key present in binaryData");
  if (bytes > dataMaxBytes) check.add(fieldErrors.tooLong("", dataMaxBytes));
  immutableData(object, old, ["data", "binaryData"], check);
}

/** The required keys of typed secrets. */
const secretKeys: Readonly<Record<string, readonly string[]>> = {
  "kubernetes.io/tls": ["tls.crt", "tls.key"],
  "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
  "kubernetes.io/dockercfg": [".dockercfg"],
  "kubernetes.io/ssh-auth": ["ssh-privatekey"],
};

function secret(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const bytes = (dataKeys(object.data, "data", check) * 3) / 4;
  if (bytes > dataMaxBytes) check.add(fieldErrors.tooLong("data", dataMaxBytes));
  for (const key of ownField(secretKeys, stringOf(object.type)) ?? [])
    if (objectOf(object.data)[key] === undefined) check.required(`data[${key}]`);
  if (old !== undefined) check.immutable("type", object.type, old.type);
  immutableData(object, old, ["data"], check);
}

const serviceTypes = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

function service(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  const type = stringOf(spec.type);
  if (type === "") check.required("spec.type");
  else check.oneOf("spec.type", type, serviceTypes);
  const headless = spec.clusterIP === "None";
  if (arrayOf(spec.ports).length === 0 && !headless && type !== "ExternalName") check.required("spec.ports");
  validateServicePorts(arrayOf(spec.ports), check);
  check.add(...validateLabels(spec.selector, "spec.selector"));
  check.oneOf("spec.sessionAffinity", spec.sessionAffinity, ["ClientIP", "None"]);
  if (type === "ExternalName") {
    if (stringOf(spec.externalName) === "") check.required("spec.externalName");
    else
      for (const problem of checkSubdomain(stringOf(spec.externalName).replace(/\.$/, "").toLowerCase()))
        check.invalid("spec.externalName", spec.externalName, problem);
  }
  if (headless && (type === "LoadBalancer" || type === "NodePort"))
    check.invalid("spec.clusterIPs[0]", "None", `may not be set to 'None' for ${type} services`);
  validateServiceAddresses(spec, type, check);
  if (old !== undefined) serviceUpdate(spec, objectOf(old.spec), type, check);
}

function validateServicePorts(ports: readonly unknown[], check: Check): void {
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, raw] of ports.entries()) {
    const at = childPath("spec.ports", index);
    const port = objectOf(raw);
    const name = stringOf(port.name);
    if (name === "" && ports.length > 1) check.required(`${at}.name`);
    if (name !== "") {
      for (const problem of checkLabelName(name)) check.invalid(`${at}.name`, name, problem);
      if (names.has(name)) check.add(fieldErrors.duplicate(`${at}.name`, name));
      names.add(name);
    }
    check.port(`${at}.port`, port.port);
    if (stringOf(port.protocol) === "") check.required(`${at}.protocol`);
    else check.oneOf(`${at}.protocol`, port.protocol, ["SCTP", "TCP", "UDP"]);
    if (typeof port.targetPort === "string")
      for (const problem of portNameProblems(port.targetPort))
        check.invalid(`${at}.targetPort`, port.targetPort, problem);
    else if (port.targetPort !== undefined) check.port(`${at}.targetPort`, port.targetPort);
    const identity = `${String(port.port)}/${stringOf(port.protocol)}`;
    if (numbers.has(identity)) check.add(fieldErrors.duplicate(at, { port: port.port, protocol: port.protocol }));
    numbers.add(identity);
  }
}

const maxAffinitySeconds = 86_400;

function validateServiceAddresses(spec: JsonObject, type: string, check: Check): void {
  for (const [index, address] of arrayOf(spec.externalIPs).entries())
    if (isIP(stringOf(address)) === 0)
      check.invalid(
        childPath("spec.externalIPs", index),
        address,
        "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
      );
  const clusterIp = stringOf(spec.clusterIP);
  if (clusterIp !== "" && clusterIp !== "None" && isIP(clusterIp) === 0)
    check.invalid("spec.clusterIPs[0]", clusterIp, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
  if (clusterIp !== "" && type === "ExternalName")
    check.forbidden("spec.clusterIPs[0]", "may not be set for ExternalName services");
  const ranges = arrayOf(spec.loadBalancerSourceRanges);
  if (ranges.length > 0 && type !== "LoadBalancer")
    check.forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'");
  for (const [index, range] of ranges.entries())
    if (!isCidr(stringOf(range).trim()))
      check.invalid(
        childPath("spec.loadBalancerSourceRanges", index),
        range,
        "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
      );
  check.oneOf("spec.externalTrafficPolicy", spec.externalTrafficPolicy, ["Cluster", "Local"]);
  check.oneOf("spec.trafficDistribution", spec.trafficDistribution, [
    "PreferClose",
    "PreferSameNode",
    "PreferSameZone",
  ]);
  check.oneOf("spec.ipFamilyPolicy", spec.ipFamilyPolicy, ["PreferDualStack", "RequireDualStack", "SingleStack"]);
  check.oneOf("spec.internalTrafficPolicy", spec.internalTrafficPolicy, ["Cluster", "Local"]);
  const { timeoutSeconds } = objectOf(objectOf(spec.sessionAffinityConfig).clientIP);
  if (timeoutSeconds !== undefined && !(Number(timeoutSeconds) > 0 && Number(timeoutSeconds) <= maxAffinitySeconds))
    check.invalid(
      "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
      timeoutSeconds,
      `must be greater than 0 and less than ${maxAffinitySeconds}`,
    );
  if (spec.loadBalancerClass !== undefined && type !== "LoadBalancer")
    check.forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'");
}

function serviceStatus(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  for (const [index, raw] of arrayOf(objectOf(objectOf(object.status).loadBalancer).ingress).entries()) {
    const { ip } = objectOf(raw);
    if (ip !== undefined && isIP(stringOf(ip)) === 0)
      check.invalid(
        `${childPath("status.loadBalancer.ingress", index)}.ip`,
        ip,
        "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
      );
  }
}

function serviceUpdate(spec: JsonObject, old: JsonObject, type: string, check: Check): void {
  if (type === "ExternalName" || old.type === "ExternalName" || stringOf(old.clusterIP) === "") return;
  if (spec.clusterIP !== undefined && spec.clusterIP !== old.clusterIP)
    check.invalid("spec.clusterIPs[0]", [spec.clusterIP], "may not change once set");
  if (
    type === "LoadBalancer" &&
    old.type === "LoadBalancer" &&
    !jsonEqual(spec.loadBalancerClass, old.loadBalancerClass)
  )
    check.invalid("spec.loadBalancerClass", spec.loadBalancerClass, "may not change once set");
}

function namespace(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  for (const [index, finalizer] of arrayOf(objectOf(object.spec).finalizers).entries()) {
    const name = stringOf(finalizer);
    if (!name.includes("/") && name !== "kubernetes")
      check.invalid(
        childPath("spec.finalizers", index),
        name,
        "name is neither a standard finalizer name nor is it fully qualified",
      );
  }
}

function endpoints(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  for (const [index, raw] of arrayOf(object.subsets).entries()) {
    const subset = objectOf(raw);
    const at = childPath("subsets", index);
    if (arrayOf(subset.addresses).length === 0 && arrayOf(subset.notReadyAddresses).length === 0)
      check.required(at, "must specify `addresses` or `notReadyAddresses`");
    for (const [position, address] of arrayOf(subset.addresses).entries()) {
      if (isIP(stringOf(objectOf(address).ip)) === 0)
        check.invalid(
          `${childPath(`${at}.addresses`, position)}.ip`,
          objectOf(address).ip,
          "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        );
    }
    for (const [position, port] of arrayOf(subset.ports).entries())
      check.port(`${childPath(`${at}.ports`, position)}.port`, objectOf(port).port);
  }
}

const changeableInClaim = new Set(["resources", "volumeName", "volumeAttributesClassName"]);

function claim(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  if (arrayOf(spec.accessModes).length === 0) check.required("spec.accessModes", "at least 1 access mode is required");
  if (objectOf(objectOf(spec.resources).requests).storage === undefined) check.required("spec.resources[storage]");
  if (old === undefined) return;
  const before = objectOf(old.spec);
  if (stringOf(before.volumeName) !== "") check.immutable("spec.volumeName", spec.volumeName, before.volumeName);
  const fields = [...Object.keys(spec), ...Object.keys(before)].filter((name) => !changeableInClaim.has(name));
  // A claim without a class may get one later.
  const isFixed = (name: string): boolean => name !== "storageClassName" || before.storageClassName !== undefined;
  if (fields.some((name) => isFixed(name) && !jsonEqual(spec[name], before[name])))
    check.forbidden(
      "spec",
      "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
    );
}

function event(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  const target = objectOf(object.involvedObject ?? object.regarding);
  const namespace = stringOf(objectOf(object.metadata).namespace);
  const expected = stringOf(target.namespace) || "default";
  if (isObject(object.metadata) && namespace !== expected)
    check.invalid("involvedObject.namespace", target.namespace, "does not match event.namespace");
}

export const coreValidators: KindValidators = {
  "/configmaps": configMap,
  "/secrets": secret,
  "/services": service,
  "/services/status": serviceStatus,
  "/namespaces": namespace,
  "/endpoints": endpoints,
  "/persistentvolumeclaims": claim,
  "/events": event,
  "/limitranges": limitRange,
  "/resourcequotas": resourceQuota,
};
