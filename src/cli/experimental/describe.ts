import { matchesLabels } from "../../api/index.ts";
import { gatewayKind, type Gateway } from "../../api/gateway/index.ts";
import { istioAnnotations, istioLabels } from "../../api/istio/index.ts";
import {
  podKind,
  serviceKind,
  type Container,
  type Pod,
  type Service,
  type ServicePort,
} from "../../api/kubernetes/index.ts";
import { nearestName, userError } from "../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import { istioNamespaceOf, namespaceOf } from "../flags.ts";
import { findPods, isRunning, parseResourceName } from "../proxies/pods.ts";
import { hasProxy, type AdminFlags } from "../proxies/proxy-admin.ts";
import { describeAuthorization, requiresMutualTls } from "./describe-authorization.ts";
import { describeDestinationRules, plainTextRules, describeExposure, describeRoutes } from "./describe-routing.ts";
import { readMeshObjects, shownName, type MeshObjects } from "./mesh-objects.ts";

export interface DescribeFlags extends AdminFlags {
  readonly ignoreUnmeshed?: boolean;
}

const separator = "--------------------";

export async function describePod(name: string, flags: DescribeFlags, context: CliContext): Promise<void> {
  const client = await context.connect(flags);
  const [pod] = await findPods(client, name, flags, context);
  if (pod === undefined) throw userError("object-missing", `${name} has no pods`);
  const namespace = pod.metadata.namespace ?? "";
  const objects = await readMeshObjects(client);
  const spokenOf = await namespaceOf(flags, context);
  const lines = podLines(pod, spokenOf, flags);
  if (isRunning(pod)) {
    const services = objects.services.filter(
      ({ metadata, spec }) => metadata.namespace === namespace && matchesLabels(spec?.selector, pod.metadata.labels),
    );
    for (const service of services) lines.push(separator, ...serviceLines(service, pod, objects, spokenOf));
    if (services.length === 0) lines.push(separator, "No service selects this pod");
    const authorization = await describeAuthorization(pod, objects, istioNamespaceOf(flags), flags, context);
    lines.push(separator, ...authorization, ...mutualTlsConflicts(services, pod, objects, istioNamespaceOf(flags)));
  }
  context.out(`${lines.join("\n")}\n`);
}

export async function describeService(text: string, flags: DescribeFlags, context: CliContext): Promise<void> {
  const client = await context.connect(flags);
  const { name, namespace } = await parseResourceName(text.replace(/^(services?|svc)\//, ""), flags, context);
  const service = (await client.get(serviceKind, name, namespace)) ?? (await unknownService(client, name, namespace));
  const objects = await readMeshObjects(client);
  const { items } = await client.list(podKind, { namespace });
  const pods = items.filter((pod) => matchesLabels(service.spec?.selector, pod.metadata.labels));
  const meshed = pods.filter((pod) => isRunning(pod) && (hasProxy(pod) || isCaptured(pod)));
  const spokenOf = await namespaceOf(flags, context);
  const lines = serviceLines(service, meshed[0] ?? pods[0], objects, spokenOf);
  lines.push(...(await waypointFaults(client, service)));
  const { type, externalName } = service.spec ?? {};
  if (type === "ExternalName")
    lines.push(`   ExternalName: another name of ${externalName ?? ""}, whose configuration applies`);
  else if (pods.length === 0) lines.push(`Service "${shownName(service.metadata, spokenOf)}" has no pods.`);
  else if (meshed.length === 0) {
    lines.push(
      `Service "${shownName(service.metadata, spokenOf)}" has no Istio pods.  (${pods.length} pods in service).`,
      `Use \`${context.programName} kube-inject\` or redeploy with Istio automatic sidecar injection.`,
    );
  }
  context.out(`${lines.join("\n")}\n`);
}

async function unknownService(client: KubeClient, name: string, namespace: string): Promise<never> {
  const { items } = await client.list(serviceKind, { namespace });
  const near = nearestName(
    name,
    items.map(({ metadata }) => metadata.name ?? ""),
  );
  throw userError(
    "object-missing",
    `there is no service "${name}" in namespace ${namespace}${near === undefined ? "" : `; did you mean ${near}?`}`,
    { hint: `kubectl -n ${namespace} get services` },
  );
}

/** DestinationRules by which clients connect without the mutual TLS that the pod requires. */
function mutualTlsConflicts(
  services: readonly Service[],
  pod: Pod,
  objects: MeshObjects,
  rootNamespace: string,
): string[] {
  if (!requiresMutualTls(pod, objects, rootNamespace)) return [];
  return services
    .flatMap((service) => plainTextRules(service, objects))
    .map(
      ({ name, mode }) =>
        `WARNING: DestinationRule ${name} sets the TLS mode ${mode}, and the pod requires mutual TLS (STRICT): it refuses these clients. Set ISTIO_MUTUAL, or remove the mode`,
    );
}

function isCaptured({ metadata }: Pod): boolean {
  return metadata.annotations?.[istioAnnotations.ambientRedirection] === "enabled";
}

/** The user id under which a sidecar runs. */
const reservedUser = 1337;

function podLines(pod: Pod, spokenOf: string, { ignoreUnmeshed }: DescribeFlags): string[] {
  const { metadata, spec, status } = pod;
  const containers = spec?.containers ?? [];
  const ports = [...containers, ...(spec?.initContainers ?? []).filter(({ name }) => name === "istio-proxy")].flatMap(
    portTexts,
  );
  const name = shownName(metadata, spokenOf);
  const lines = [
    `Pod: ${name}`,
    `   Pod Revision: ${metadata.annotations?.[istioLabels.revision] ?? metadata.labels?.[istioLabels.revision] ?? "default"}`,
    ports.length === 0 ? "   Pod does not expose ports" : `   Pod Ports: ${ports.join(", ")}`,
  ];
  if (
    containers.some(
      (container) => container.name !== "istio-proxy" && container.securityContext?.["runAsUser"] === reservedUser,
    )
  )
    lines.unshift("WARNING: User ID (UID) 1337 is reserved for the sidecar proxy.");
  if (!isRunning(pod)) return [...lines, `   Pod is not Running (${status?.phase ?? "Unknown"})`];
  for (const container of status?.containerStatuses ?? [])
    if (!container.ready) lines.push(`WARNING: Pod ${name} Container ${container.name} NOT READY`);
  if (isCaptured(pod)) lines.push("   Ambient: its traffic goes through its node's ztunnel");
  else if (!hasProxy(pod) && ignoreUnmeshed !== true)
    lines.push(`WARNING: ${name} is not part of mesh; no Istio sidecar`);
  return lines;
}

function portTexts({ name, ports = [] }: Container): string[] {
  return ports.map(
    ({ containerPort, protocol = "TCP" }) => `${containerPort}${protocol === "TCP" ? "" : `/${protocol}`} (${name})`,
  );
}

/** Describes the service. Leaves out the namespace of a name if it is `spokenOf`. */
function serviceLines(service: Service, pod: Pod | undefined, objects: MeshObjects, spokenOf: string): string[] {
  const lines = [`Service: ${shownName(service.metadata, spokenOf)}`];
  const ports = service.spec?.ports ?? [];
  const tcpPorts = ports.filter(({ protocol = "TCP" }) => protocol === "TCP");
  for (const port of tcpPorts) {
    const target = targetPort(port, pod);
    lines.push(
      `   Port: ${port.name ?? ""} ${port.port}/${protocolOf(port)} ${target === undefined ? `targets the pod port "${String(port.targetPort)}", which the pod has not` : `targets pod port ${target}`}`,
    );
  }
  const rules = [
    ...describeDestinationRules(service, pod, objects, spokenOf),
    ...describeRoutes(service, pod, objects, spokenOf),
  ];
  lines.push(...waypointLines(service));
  if (ports.length < 2) lines.push(...rules);
  // As in istioctl, show the rules below each port if there are several.
  else for (const { port } of tcpPorts) lines.push(`${port}:`, ...rules.map((line) => `   ${line}`));
  return [...lines, ...describeExposure(service, objects, spokenOf)];
}

interface NamedWaypoint {
  readonly name: string;
  readonly namespace: string;
}

/** The waypoint that the service's own labels name. With `none`, the service does not use its namespace's waypoint. */
function waypointOf({ metadata: { labels = {}, namespace = "" } }: Service): NamedWaypoint | "none" | undefined {
  const name = labels[istioLabels.useWaypoint] ?? "";
  if (name === "") return undefined;
  return name === "none" ? name : { name, namespace: labels[istioLabels.useWaypointNamespace] ?? namespace };
}

function waypointLines(service: Service): string[] {
  const waypoint = waypointOf(service);
  if (waypoint === undefined) return [];
  return [`   Waypoint: ${waypoint === "none" ? waypoint : `${waypoint.name}.${waypoint.namespace}`}`];
}

/** What is wrong with the waypoint that the service names. Empty if nothing is, or if the user may not read it. */
async function waypointFaults(client: KubeClient, service: Service): Promise<string[]> {
  const waypoint = waypointOf(service);
  if (waypoint === undefined || waypoint === "none") return [];
  const { name, namespace: home } = waypoint;
  let found: Gateway | undefined;
  try {
    found = await client.get(gatewayKind, name, home);
  } catch (error) {
    if (isKubeCode(error, "forbidden")) return [];
    throw error;
  }
  if (found === undefined)
    return [`   WARNING: waypoint ${name}.${home} does not exist, so traffic bypasses it and its policies`];
  const programmed = found.status?.conditions?.find(({ type }) => type === "Programmed");
  return programmed?.status === "True"
    ? []
    : [`   WARNING: waypoint ${name}.${home} is not programmed: ${programmed?.message ?? "it has no status"}`];
}

function targetPort({ port, targetPort: target = port }: ServicePort, pod: Pod | undefined): number | undefined {
  if (typeof target === "number") return target;
  return pod?.spec?.containers.flatMap(({ ports = [] }) => ports).find(({ name }) => name === target)?.containerPort;
}

const protocols = ["http2", "https", "http", "grpc-web", "grpc", "tcp", "tls", "mongo", "mysql", "redis", "udp"];
const usualPorts: Readonly<Record<number, string>> = { 3306: "MySQL", 27_017: "Mongo" };

/**
 * The protocol that `appProtocol` declares, or else the port's name. Without both, proxies detect it from the traffic.
 */
function protocolOf({ name = "", appProtocol, port }: ServicePort): string {
  const declared = (
    appProtocol ??
    protocols.find((known) => name === known || name.startsWith(`${known}-`)) ??
    ""
  ).replace("kubernetes.io/", "");
  if (declared === "") return usualPorts[port] ?? "auto-detect";
  return declared === "grpc-web" ? "GRPC-Web" : declared.toUpperCase();
}
