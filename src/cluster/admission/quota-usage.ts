import type { UntypedObject } from "../../api/index.ts";
import type { Quantity } from "../schema/quantity.ts";
import { amountsOf, podAmountsWithOverhead, podSpecOf, type AmountField, type Amounts } from "../schema/pod-amounts.ts";

export const podsKey = "/pods";
export const claimsKey = "/persistentvolumeclaims";
export const servicesKey = "/services";

const oneObject: Quantity = { nanos: 1_000_000_000n, format: "decimal" };
/** Kinds that quotas can count by their plural alone, in addition to the newer form `count/<plural>`. */
const countedByPlural = new Set(["configmaps", "replicationcontrollers", "resourcequotas", "secrets"]);
const ofServices = new Set(["services", "services.loadbalancers", "services.nodeports"]);
const classSuffix = ".storageclass.storage.k8s.io/";
/** Resources whose requests quotas may name with or without the prefix `requests.`. */
const plainRequest = /^(cpu|memory|ephemeral-storage|hugepages-.*)$/;

/** The collection whose objects a quota's resource counts. */
export function collectionOf(resource: string): string {
  if (resource.startsWith("count/")) {
    const [, plural = "", group = ""] = /^count\/([^.]*)\.?(.*)$/.exec(resource) ?? [];
    return `${group}/${plural}`;
  }
  if (countedByPlural.has(resource)) return `/${resource}`;
  if (ofServices.has(resource)) return servicesKey;
  if (resource === "persistentvolumeclaims" || resource === "requests.storage" || resource.includes(classSuffix))
    return claimsKey;
  return podsKey;
}

/** The resources that an object uses, by their names in quotas. */
export function usageOf(storageKey: string, object: UntypedObject): Map<string, Quantity> {
  const slash = storageKey.indexOf("/");
  const [group, plural] = [storageKey.slice(0, slash), storageKey.slice(slash + 1)];
  const usage = new Map<string, Quantity>([[`count/${plural}${group === "" ? "" : `.${group}`}`, oneObject]]);
  if (storageKey === podsKey) addPod(usage, object);
  else if (storageKey === claimsKey) addClaim(usage, object);
  else if (storageKey === servicesKey) addService(usage, object);
  else if (group === "" && countedByPlural.has(plural)) usage.set(plural, oneObject);
  return usage;
}

function addPod(usage: Map<string, Quantity>, pod: UntypedObject): void {
  const { phase } = (pod["status"] ?? {}) as { phase?: string };
  // A pod that has ended uses no resources, but it still counts as an object.
  if (phase === "Succeeded" || phase === "Failed") return;
  usage.set("pods", oneObject);
  const spec = podSpecOf(pod);
  const [requests, limits] = [podAmountsWithOverhead(spec, "requests"), podAmountsWithOverhead(spec, "limits")];
  for (const [name, quantity] of quotaNames(requests, limits)) usage.set(name, quantity);
}

/** Requests and limits under the names that quotas use. `cpu` is the same as `requests.cpu`. */
export function quotaNames(requests: Amounts, limits: Amounts): Map<string, Quantity> {
  const named = new Map<string, Quantity>();
  for (const [name, quantity] of requests) {
    if (plainRequest.test(name)) named.set(name, quantity);
    named.set(`requests.${name}`, quantity);
  }
  for (const [name, quantity] of limits) named.set(`limits.${name}`, quantity);
  return named;
}

function addClaim(usage: Map<string, Quantity>, claim: UntypedObject): void {
  const spec = (claim["spec"] ?? {}) as {
    storageClassName?: string;
    resources?: Partial<Record<AmountField, Record<string, string>>>;
  };
  const storage = amountsOf(spec.resources?.requests).get("storage");
  const prefixes = ["", ...(spec.storageClassName === undefined ? [] : [`${spec.storageClassName}${classSuffix}`])];
  for (const prefix of prefixes) {
    usage.set(`${prefix}persistentvolumeclaims`, oneObject);
    if (storage !== undefined) usage.set(`${prefix}requests.storage`, storage);
  }
}

function addService(usage: Map<string, Quantity>, service: UntypedObject): void {
  const {
    type,
    ports = [],
    allocateLoadBalancerNodePorts,
  } = (service["spec"] ?? {}) as {
    type?: string;
    ports?: readonly { nodePort?: number }[];
    allocateLoadBalancerNodePorts?: boolean;
  };
  usage.set("services", oneObject);
  if (type === "LoadBalancer") usage.set("services.loadbalancers", oneObject);
  if (type !== "LoadBalancer" && type !== "NodePort") return;
  const isEach = type === "NodePort" || allocateLoadBalancerNodePorts !== false;
  const nodePorts = isEach ? ports.length : ports.filter(({ nodePort = 0 }) => nodePort !== 0).length;
  usage.set("services.nodeports", { nanos: BigInt(nodePorts) * oneObject.nanos, format: "decimal" });
}
