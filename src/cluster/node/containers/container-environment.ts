import { totalmem } from "node:os";
import type { ConfigMap, Container, EnvVar, Pod, Secret, Service } from "../../../api/kubernetes/index.ts";
import { joinHostPort, ownField, userError } from "../../../base/index.ts";

export interface EnvironmentSources {
  readonly pod: Pod;
  readonly nodeName: string;
  readonly podIp: string;
  readonly hostIp: string;
  configMap(name: string): ConfigMap | undefined;
  secret(name: string): Secret | undefined;
  /** The Services of the pod's namespace, and the Service `kubernetes` in the namespace `default`. */
  services(): readonly Service[];
}

/**
 * The environment variables of a container, as the kubelet makes them: variables of Services, `envFrom`, and `env` with
 * `$(NAME)` expanded. Throws a user error that names the missing object or key.
 */
export function containerEnvironment(container: Container, sources: EnvironmentSources): Record<string, string> {
  const environment = new Map<string, string>();
  for (const service of sources.services()) addServiceVariables(environment, service);
  for (const from of container.envFrom ?? []) addEnvFrom(environment, from, sources);
  for (const variable of container.env ?? []) {
    const value =
      variable.valueFrom === undefined
        ? expandVariables(variable.value ?? "", Object.fromEntries(environment))
        : valueFrom(variable, container, sources);
    if (value !== undefined) environment.set(variable.name, value);
  }
  return Object.fromEntries(environment);
}

function addEnvFrom(
  environment: Map<string, string>,
  from: NonNullable<Container["envFrom"]>[number],
  sources: EnvironmentSources,
): void {
  const prefix = from.prefix ?? "";
  if (from.configMapRef !== undefined) {
    const { name = "", optional } = from.configMapRef;
    const map = sources.configMap(name);
    if (map === undefined && optional !== true) throw missing("configmap", name);
    for (const [key, value] of Object.entries(map?.data ?? {})) environment.set(prefix + key, value);
  }
  if (from.secretRef !== undefined) {
    const { name = "", optional } = from.secretRef;
    const secret = sources.secret(name);
    if (secret === undefined && optional !== true) throw missing("secret", name);
    for (const [key, value] of Object.entries(secret?.data ?? {}))
      environment.set(prefix + key, Buffer.from(value, "base64").toString("utf8"));
  }
}

function missing(kind: string, name: string): Error {
  return userError("config-missing", `${kind} "${name}" not found`);
}

function valueFrom(variable: EnvVar, container: Container, sources: EnvironmentSources): string | undefined {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = variable.valueFrom ?? {};
  if (fieldRef !== undefined) return fieldValue(fieldRef.fieldPath, sources);
  if (resourceFieldRef !== undefined) return resourceValue(resourceFieldRef, container, sources.pod);
  if (configMapKeyRef !== undefined) {
    const { name = "", key, optional } = configMapKeyRef;
    const map = sources.configMap(name);
    const value = ownField(map?.data, key);
    if (value !== undefined || optional === true) return value;
    throw map === undefined
      ? missing("configmap", name)
      : userError("config-missing", `couldn't find key ${key} in ConfigMap ${sources.pod.metadata.namespace}/${name}`);
  }
  if (secretKeyRef !== undefined) {
    const { name = "", key, optional } = secretKeyRef;
    const secret = sources.secret(name);
    const value = ownField(secret?.data, key);
    if (value !== undefined) return Buffer.from(value, "base64").toString("utf8");
    if (optional === true) return undefined;
    throw secret === undefined
      ? missing("secret", name)
      : userError("config-missing", `couldn't find key ${key} in Secret ${sources.pod.metadata.namespace}/${name}`);
  }
  return undefined;
}

/** The value of a downward API field. Throws a user error for an unknown path. */
export function fieldValue(
  path: string,
  sources: Pick<EnvironmentSources, "pod" | "nodeName" | "podIp" | "hostIp">,
): string {
  const { pod } = sources;
  const keyed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (keyed !== null) return ownField(pod.metadata[keyed[1] as "labels" | "annotations"], keyed[2] ?? "") ?? "";
  switch (path) {
    case "metadata.name":
      return pod.metadata.name ?? "";
    case "metadata.namespace":
      return pod.metadata.namespace ?? "";
    case "metadata.uid":
      return pod.metadata.uid ?? "";
    case "metadata.labels":
      return keyValueLines(pod.metadata.labels);
    case "metadata.annotations":
      return keyValueLines(pod.metadata.annotations);
    case "spec.nodeName":
      return sources.nodeName;
    case "spec.serviceAccountName":
      return pod.spec?.serviceAccountName ?? "default";
    case "status.podIP":
    case "status.podIPs":
      return sources.podIp;
    case "status.hostIP":
    case "status.hostIPs":
      return sources.hostIp;
    default:
      throw userError("volume-invalid", `fieldPath "${path}" is not supported`);
  }
}

function keyValueLines(values: Record<string, string> | undefined): string {
  return Object.entries(values ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join("\n");
}

/**
 * The value of a resource field such as `limits.cpu` or `requests.memory`, divided by the divisor and rounded up. A
 * missing limit of CPU or memory counts as the machine's size, and any other missing value as 0.
 */
export function resourceValue(
  reference: { containerName?: string; resource: string; divisor?: string },
  container: Container,
  pod: Pod,
): string {
  const named = reference.containerName;
  const target =
    named === undefined
      ? container
      : [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].find(
          (candidate) => candidate.name === named,
        );
  const [list = "", name = ""] = reference.resource.split(/\.(.*)/s);
  const quantity = ownField(target?.resources?.[list as "limits" | "requests"], name);
  const fallback = list === "limits" ? nodeSize(name) : 0;
  const divisor = reference.divisor === undefined || reference.divisor === "0" ? 1 : parseQuantity(reference.divisor);
  return String(Math.ceil((quantity === undefined ? fallback : parseQuantity(quantity)) / divisor));
}

function nodeSize(resource: string): number {
  if (resource === "cpu") return navigatorCores();
  return resource === "memory" ? totalmem() : 0;
}

function navigatorCores(): number {
  return globalThis.navigator.hardwareConcurrency;
}

const suffixes: Readonly<Record<string, number>> = {
  "": 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** Parses a Kubernetes quantity such as `500m` or `2Gi`. Returns NaN if the text is invalid. */
export function parseQuantity(text: string): number {
  const match = /^([+-]?[\d.]+(?:[eE][+-]?\d+)?)([a-zA-Z]{0,2})$/.exec(text);
  return match === null ? Number.NaN : Number(match[1]) * (suffixes[match[2] ?? ""] ?? Number.NaN);
}

/** Replaces `$(NAME)` by the variable's value if it exists. `$$(NAME)` becomes `$(NAME)`. */
export function expandVariables(text: string, environment: Readonly<Record<string, string>>): string {
  // No name can end after the last closing parenthesis, so search only up to it. Otherwise each `(` would be searched
  // to the end, in quadratic time.
  const end = text.lastIndexOf(")") + 1;
  const expanded = text.slice(0, end).replaceAll(/\$(\$|\(([^)]*)\))/g, (whole, inner: string, name?: string) => {
    if (inner === "$") return "$";
    return ownField(environment, name ?? "") ?? whole;
  });
  return expanded + text.slice(end).replaceAll("$$", () => "$");
}

/** Adds the environment variables for a Service with a cluster IP, in the style of Docker links. */
function addServiceVariables(environment: Map<string, string>, service: Service): void {
  const { clusterIP, ports = [] } = service.spec ?? {};
  if (clusterIP === undefined || clusterIP === "" || clusterIP === "None") return;
  const name = (service.metadata.name ?? "").toUpperCase().replaceAll("-", "_");
  const [first] = ports;
  if (first === undefined) return;
  environment.set(`${name}_SERVICE_HOST`, clusterIP);
  environment.set(`${name}_SERVICE_PORT`, String(first.port));
  environment.set(
    `${name}_PORT`,
    `${(first.protocol ?? "TCP").toLowerCase()}://${joinHostPort(clusterIP, first.port)}`,
  );
  for (const port of ports) {
    const protocol = (port.protocol ?? "TCP").toLowerCase();
    if (port.name !== undefined)
      environment.set(`${name}_SERVICE_PORT_${port.name.toUpperCase().replaceAll("-", "_")}`, String(port.port));
    const link = `${name}_PORT_${port.port}_${protocol.toUpperCase()}`;
    environment.set(link, `${protocol}://${joinHostPort(clusterIP, port.port)}`);
    environment.set(`${link}_PROTO`, protocol);
    environment.set(`${link}_PORT`, String(port.port));
    environment.set(`${link}_ADDR`, clusterIP);
  }
}
