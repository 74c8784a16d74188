import { jsonEqual, stringOf } from "../../../base/index.ts";
import { isCidr } from "../crd/formats.ts";
import { fieldErrors } from "../field-error.ts";
import { arrayOf, objectOf, withPaths, type JsonObject } from "../json.ts";
import { validateLabels } from "../metadata.ts";
import { checkLabelName, checkQualifiedName, checkSubdomain } from "../names.ts";
import { addressProblems, type Check } from "./check.ts";
import type { KindValidators } from "./kind-validator.ts";
import { validatePortOrName, validateProtocol } from "./ports.ts";

/**
 * Why an address cannot receive traffic from outside the cluster. Kubernetes applies these rules to endpoints too. The
 * lab does not. Its API server may listen on loopback, and the endpoint of the Service `kubernetes` then has a loopback
 * address.
 */
function externalAddressProblems(address: string): string[] {
  const problems = addressProblems(address);
  if (problems.length > 0) return problems;
  return unreachable.flatMap(([pattern, problem]) => (pattern.test(address) ? problem : []));
}

const unreachable: readonly (readonly [pattern: RegExp, problem: string])[] = [
  [/^0\.0\.0\.0$/, "may not be unspecified (0.0.0.0)"],
  [/^::$/, "may not be unspecified (::)"],
  [/^127\.|^::1$/, "may not be in the loopback range (127.0.0.0/8, ::1/128)"],
  [/^169\.254\.|^fe[89ab]/i, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"],
  [/^224\.0\.0\.|^ff02:/i, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"],
];

const serviceTypes = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

function service(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  const type = stringOf(spec.type);
  if (type === "") check.required("spec.type");
  else check.oneOf("spec.type", type, serviceTypes);
  const headless = spec.clusterIP === "None";
  if (arrayOf(spec.ports).length === 0 && !headless && type !== "ExternalName") check.required("spec.ports");
  validateServicePorts(arrayOf(spec.ports), type, check);
  check.add(...validateLabels(spec.selector, "spec.selector"));
  check.oneOf("spec.sessionAffinity", spec.sessionAffinity, ["ClientIP", "None"]);
  if (type === "ExternalName") {
    if (stringOf(spec.externalName) === "") check.required("spec.externalName");
    else
      check.follows("spec.externalName", spec.externalName, (name) =>
        checkSubdomain(name.replace(/\.$/, "").toLowerCase()),
      );
  }
  if (headless && (type === "LoadBalancer" || type === "NodePort"))
    check.invalid("spec.clusterIPs[0]", "None", `may not be set to 'None' for ${type} services`);
  validateServiceAddresses(spec, type, check);
  if (old !== undefined) serviceUpdate(spec, objectOf(old.spec), type, check);
}

function validateServicePorts(ports: readonly unknown[], type: string, check: Check): void {
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [at, raw] of withPaths(ports, "spec.ports")) {
    const port = objectOf(raw);
    const name = stringOf(port.name);
    if (name === "" && ports.length > 1) check.required(`${at}.name`);
    if (name !== "") {
      check.follows(`${at}.name`, name, checkLabelName);
      check.unique(`${at}.name`, name, names);
    }
    check.port(`${at}.port`, port.port);
    if (stringOf(port.protocol) === "") check.required(`${at}.protocol`);
    else validateProtocol(port.protocol, `${at}.protocol`, check);
    if (port.targetPort !== undefined) validatePortOrName(port.targetPort, `${at}.targetPort`, check);
    if (Number(port.nodePort ?? 0) !== 0 && (type === "ClusterIP" || type === "ExternalName"))
      check.forbidden(`${at}.nodePort`, `may not be used when \`type\` is '${type}'`);
    if (port.appProtocol !== undefined) check.follows(`${at}.appProtocol`, port.appProtocol, checkQualifiedName);
    const identity = `${String(port.port)}/${stringOf(port.protocol)}`;
    if (numbers.has(identity)) check.add(fieldErrors.duplicate(at, { port: port.port, protocol: port.protocol }));
    numbers.add(identity);
  }
}

const maxAffinitySeconds = 86_400;

function validateServiceAddresses(spec: JsonObject, type: string, check: Check): void {
  for (const [at, address] of withPaths(arrayOf(spec.externalIPs), "spec.externalIPs"))
    check.follows(at, address, externalAddressProblems);
  const clusterIp = stringOf(spec.clusterIP);
  if (clusterIp !== "" && clusterIp !== "None") check.address("spec.clusterIPs[0]", clusterIp);
  if (clusterIp !== "" && type === "ExternalName")
    check.forbidden("spec.clusterIPs", "may not be set for ExternalName services");
  const ranges = arrayOf(spec.loadBalancerSourceRanges);
  if (ranges.length > 0 && type !== "LoadBalancer")
    check.forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'");
  for (const [at, range] of withPaths(ranges, "spec.LoadBalancerSourceRanges"))
    if (!isCidr(stringOf(range).trim()))
      check.invalid(at, range, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
  check.oneOf("spec.externalTrafficPolicy", spec.externalTrafficPolicy, ["Cluster", "Local"]);
  check.oneOf("spec.trafficDistribution", spec.trafficDistribution, [
    "PreferClose",
    "PreferSameZone",
    "PreferSameNode",
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
  for (const field of ["loadBalancerClass", "allocateLoadBalancerNodePorts"])
    if (spec[field] !== undefined && type !== "LoadBalancer")
      check.forbidden(`spec.${field}`, "may only be used when `type` is 'LoadBalancer'");
  if (spec.loadBalancerClass !== undefined)
    check.follows("spec.loadBalancerClass", spec.loadBalancerClass, checkQualifiedName);
  validateTraffic(spec, type, check);
}

/** Validates the fields that only Services with access from outside the cluster may have, and the cluster IPs. */
function validateTraffic(spec: JsonObject, type: string, check: Check): void {
  const { externalTrafficPolicy, healthCheckNodePort, ipFamilies } = spec;
  const isExternal =
    type === "NodePort" || type === "LoadBalancer" || (type === "ClusterIP" && arrayOf(spec.externalIPs).length > 0);
  if (externalTrafficPolicy !== undefined && !isExternal)
    check.invalid(
      "spec.externalTrafficPolicy",
      externalTrafficPolicy,
      "may only be set for externally-accessible services",
    );
  if (Number(healthCheckNodePort ?? 0) !== 0 && (type !== "LoadBalancer" || externalTrafficPolicy !== "Local"))
    check.invalid(
      "spec.healthCheckNodePort",
      healthCheckNodePort,
      "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
    );
  const families = new Set<unknown>();
  for (const [at, family] of withPaths(arrayOf(ipFamilies), "spec.ipFamilies")) {
    check.oneOf(at, family, ["IPv4", "IPv6"]);
    check.unique(at, family, families);
  }
  const addresses = arrayOf(spec.clusterIPs).map(stringOf);
  if (addresses.length > 1 && addresses.includes("None"))
    check.invalid("spec.clusterIPs", addresses, "'None' must be the first and only value");
  if (addresses.length > 2) check.invalid("spec.clusterIPs", addresses, "may only hold up to 2 values");
  // Skip the first address, because it is checked as `clusterIP`.
  for (const [at, address] of withPaths(addresses, "spec.clusterIPs").slice(1))
    if (address !== "None") check.address(at, address);
}

function serviceStatus(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  const { ingress } = objectOf(objectOf(object.status).loadBalancer);
  for (const [at, raw] of withPaths(arrayOf(ingress), "status.loadBalancer.ingress")) {
    const { ip } = objectOf(raw);
    if (ip !== undefined) check.address(`${at}.ip`, ip);
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

function endpoints(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  for (const [at, raw] of withPaths(arrayOf(object.subsets), "subsets")) {
    const subset = objectOf(raw);
    if (arrayOf(subset.addresses).length === 0 && arrayOf(subset.notReadyAddresses).length === 0)
      check.required(at, "must specify `addresses` or `notReadyAddresses`");
    for (const list of ["addresses", "notReadyAddresses"])
      for (const [place, address] of withPaths(arrayOf(subset[list]), `${at}.${list}`))
        validateEndpointAddress(objectOf(address), place, check);
    const ports = arrayOf(subset.ports);
    for (const [place, port] of withPaths(ports, `${at}.ports`))
      validateEndpointPort(objectOf(port), place, check, ports.length > 1);
  }
}

function validateEndpointAddress({ ip, hostname, nodeName }: JsonObject, at: string, check: Check): void {
  check.address(`${at}.ip`, ip);
  if (stringOf(hostname) !== "") check.follows(`${at}.hostname`, hostname, checkLabelName);
  if (nodeName !== undefined) check.follows(`${at}.nodeName`, nodeName, checkSubdomain);
}

function validateEndpointPort(port: JsonObject, at: string, check: Check, needsName: boolean): void {
  const name = stringOf(port.name);
  if (name === "" && needsName) check.required(`${at}.name`);
  if (name !== "") check.follows(`${at}.name`, name, checkLabelName);
  check.port(`${at}.port`, port.port);
  validateProtocol(port.protocol, `${at}.protocol`, check);
}

export const serviceValidators: KindValidators = {
  "/services": service,
  "/services/status": serviceStatus,
  "/endpoints": endpoints,
};
