import { stringOf } from "../../../base/index.ts";
import { arrayOf, isObject, objectOf, setOwn, type JsonObject } from "../json.ts";
import { ofWholePod, podAmounts } from "../pod-amounts.ts";
import { quantityText } from "../quantity.ts";
import { fill, type Defaulters } from "./default-types.ts";

const configFileMode = 0o644;
const clientIpAffinitySeconds = 10_800;

/** The tag of an image: `latest` if it has neither a tag nor a digest, and the empty text if it has a digest. */
export function imageTag(image: string): string {
  if (image.includes("@")) return "";
  const last = image.slice(image.lastIndexOf("/") + 1);
  return last.includes(":") ? last.slice(last.lastIndexOf(":") + 1) : "latest";
}

function container(value: JsonObject): void {
  fill(value, "imagePullPolicy", imageTag(stringOf(value.image)) === "latest" ? "Always" : "IfNotPresent");
  fill(value, "terminationMessagePath", "/dev/termination-log");
  fill(value, "terminationMessagePolicy", "File");
  for (const port of arrayOf(value.ports)) if (isObject(port)) fill(port, "protocol", "TCP");
}

function requestsFromLimits(value: unknown): void {
  const resources = isObject(value) && isObject(value.resources) ? value.resources : undefined;
  if (resources === undefined || !isObject(resources.limits)) return;
  const requests = isObject(resources.requests) ? resources.requests : {};
  for (const [name, limit] of Object.entries(resources.limits)) fill(requests, name, limit);
  resources.requests = requests;
}

function pod(value: JsonObject): void {
  const spec = objectOf(value.spec);
  const containers = [...arrayOf(spec.containers), ...arrayOf(spec.initContainers)];
  for (const container of containers) requestsFromLimits(container);
  if (isObject(spec.resources)) wholePodRequests(spec, spec.resources);
  fill(spec, "enableServiceLinks", true);
  if (spec.hostNetwork === true) for (const container of containers) hostPorts(container);
}

/**
 * Fills in the whole-pod requests of a pod that states whole-pod limits. They are the sum of the containers' requests,
 * or else equal to the limits.
 */
function wholePodRequests(spec: JsonObject, resources: JsonObject): void {
  const limits = objectOf(resources.limits);
  if (Object.keys(limits).length === 0) return;
  const requests = isObject(resources.requests) ? resources.requests : {};
  const ofContainers = podAmounts({ ...spec, resources: undefined }, "requests");
  for (const [name, amount] of ofContainers)
    if (name === "cpu" || name === "memory") fill(requests, name, quantityText(amount));
  for (const [name, limit] of Object.entries(limits)) if (ofWholePod.test(name)) fill(requests, name, limit);
  if (Object.keys(requests).length > 0) resources.requests = requests;
}

function hostPorts(value: unknown): void {
  for (const port of arrayOf(objectOf(value).ports)) {
    if (isObject(port) && (port.hostPort === undefined || port.hostPort === 0)) port.hostPort = port.containerPort;
  }
}

function podSpec(value: JsonObject): void {
  fill(value, "dnsPolicy", "ClusterFirst");
  fill(value, "restartPolicy", "Always");
  fill(value, "securityContext", {});
  fill(value, "terminationGracePeriodSeconds", 30);
  fill(value, "schedulerName", "default-scheduler");
  mirrorServiceAccount(value);
}

function mirrorServiceAccount(value: JsonObject): void {
  if (stringOf(value.serviceAccountName) === "" && stringOf(value.serviceAccount) !== "")
    value.serviceAccountName = value.serviceAccount;
  if (stringOf(value.serviceAccountName) !== "") value.serviceAccount = value.serviceAccountName;
}

function probe(value: JsonObject): void {
  for (const [field, seconds] of Object.entries({
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3,
  })) {
    if (value[field] === undefined || value[field] === 0) value[field] = seconds;
  }
}

const volumeSources = new Set(["name"]);

function volume(value: JsonObject): void {
  if (!Object.keys(value).some((key) => !volumeSources.has(key))) value.emptyDir = {};
  const image = value.image;
  if (isObject(image))
    fill(image, "pullPolicy", imageTag(stringOf(image.reference)) === "latest" ? "Always" : "IfNotPresent");
}

function service(value: JsonObject): void {
  const spec = objectOf(value.spec);
  fill(spec, "sessionAffinity", "None");
  if (spec.sessionAffinity === "None") delete spec.sessionAffinityConfig;
  if (
    spec.sessionAffinity === "ClientIP" &&
    objectOf(objectOf(spec.sessionAffinityConfig).clientIP).timeoutSeconds === undefined
  ) {
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: clientIpAffinitySeconds } };
  }
  fill(spec, "type", "ClusterIP");
  for (const port of arrayOf(spec.ports).filter(isObject)) {
    fill(port, "protocol", "TCP");
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === "") port.targetPort = port.port;
  }
  const type = stringOf(spec.type);
  const external =
    type === "NodePort" || type === "LoadBalancer" || (type === "ClusterIP" && arrayOf(spec.externalIPs).length > 0);
  if (external) fill(spec, "externalTrafficPolicy", "Cluster");
  if (type !== "ExternalName") fill(spec, "internalTrafficPolicy", "Cluster");
  if (type !== "LoadBalancer") return;
  fill(spec, "allocateLoadBalancerNodePorts", true);
  for (const ingress of arrayOf(objectOf(objectOf(value.status).loadBalancer).ingress)) {
    if (isObject(ingress) && stringOf(ingress.ip) !== "") fill(ingress, "ipMode", "VIP");
  }
}

function namespace(value: JsonObject): void {
  const metadata = objectOf(value.metadata);
  const name = stringOf(metadata.name);
  if (name === "") return;
  metadata.labels = { ...objectOf(metadata.labels), "kubernetes.io/metadata.name": name };
}

/** Moves the write-only field `stringData` into `data`. */
function secret(value: JsonObject): void {
  fill(value, "type", "Opaque");
  const { stringData } = value;
  delete value.stringData;
  if (!isObject(stringData)) return;
  const data = { ...objectOf(value.data) };
  for (const [key, text] of Object.entries(stringData))
    setOwn(data, key, Buffer.from(stringOf(text)).toString("base64"));
  value.data = data;
}

function node(value: JsonObject): void {
  const spec = objectOf(value.spec);
  if (stringOf(spec.podCIDR) !== "") spec.podCIDRs ??= [spec.podCIDR];
}

function limitRangeItem(value: JsonObject): void {
  if (value.type !== "Container") return;
  const limits = { ...objectOf(value.max), ...objectOf(value.default) };
  value.default = limits;
  value.defaultRequest = { ...objectOf(value.min), ...limits, ...objectOf(value.defaultRequest) };
}

function replicationController(value: JsonObject): void {
  const spec = objectOf(value.spec);
  const labels = objectOf(objectOf(spec.template).metadata).labels;
  const metadata = objectOf(value.metadata);
  if (!isObject(labels)) return;
  if (Object.keys(objectOf(spec.selector)).length === 0) spec.selector = { ...labels };
  if (Object.keys(objectOf(metadata.labels)).length === 0) metadata.labels = { ...labels };
}

const fileMode = (value: JsonObject): void => fill(value, "defaultMode", configFileMode);

export const coreDefaulters: Defaulters = {
  "core.v1.Pod": pod,
  "core.v1.PodSpec": podSpec,
  "core.v1.Container": container,
  "core.v1.EphemeralContainer": container,
  "core.v1.Probe": probe,
  "core.v1.GRPCAction": (value) => {
    value.service ??= "";
  },
  "core.v1.Node": node,
  "core.v1.HTTPGetAction": (value) => {
    fill(value, "path", "/");
    fill(value, "scheme", "HTTP");
  },
  "core.v1.Volume": volume,
  "core.v1.SecretVolumeSource": fileMode,
  "core.v1.ConfigMapVolumeSource": fileMode,
  "core.v1.DownwardAPIVolumeSource": fileMode,
  "core.v1.ProjectedVolumeSource": fileMode,
  "core.v1.ServiceAccountTokenProjection": (value) => fill(value, "expirationSeconds", 3600),
  "core.v1.HostPathVolumeSource": (value) => {
    value.type ??= "";
  },
  "core.v1.ObjectFieldSelector": (value) => fill(value, "apiVersion", "v1"),
  "core.v1.Service": service,
  "core.v1.Secret": secret,
  "core.v1.Namespace": namespace,
  "core.v1.NamespaceStatus": (value) => fill(value, "phase", "Active"),
  "core.v1.NodeStatus": (value) => {
    if (value.allocatable === undefined && isObject(value.capacity)) value.allocatable = { ...value.capacity };
  },
  "core.v1.LimitRangeItem": limitRangeItem,
  "core.v1.ReplicationController": replicationController,
  "core.v1.EndpointPort": (value) => fill(value, "protocol", "TCP"),
  "core.v1.PersistentVolumeStatus": (value) => fill(value, "phase", "Pending"),
  "core.v1.PersistentVolumeClaimStatus": (value) => fill(value, "phase", "Pending"),
  "core.v1.PersistentVolumeSpec": (value) => {
    fill(value, "persistentVolumeReclaimPolicy", "Retain");
    fill(value, "volumeMode", "Filesystem");
  },
  "core.v1.PersistentVolumeClaimSpec": (value) => fill(value, "volumeMode", "Filesystem"),
};
