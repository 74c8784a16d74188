import { matchesLabels } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import {
  deploymentKind,
  podKind,
  serviceKind,
  type PodSpec,
  type Service,
  type ServicePort,
} from "../../api/kubernetes/index.ts";
import { labelsText, listed, type Analyzer, type Report } from "../analyzer.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";
import type { Resource } from "../resource.ts";
import { isControlPlane, isInjected, templateWorkload, type Workload } from "../workloads.ts";

const proxyUser = 1337;

export const multiServiceAnalyzer: Analyzer = {
  name: "deployment.MultiServiceAnalyzer",
  description: "Services that select the same Deployment agree on its ports",
  analyze(inventory, report) {
    for (const { resource, object } of inventory.of(deploymentKind)) {
      const workload = templateWorkload(resource, object.spec?.template);
      if (object.metadata.labels?.[istioLabels.gatewayManaged] !== undefined || !isInjected(workload, inventory))
        continue;
      const services = inventory
        .of(serviceKind)
        .filter(
          ({ object: { metadata, spec } }) =>
            metadata.namespace === workload.namespace && matchesLabels(spec?.selector, workload.labels),
        );
      checkProtocols(workload, services, report);
      checkTargets(workload, services, report);
    }
  },
};

function checkProtocols({ resource, name }: Workload, services: readonly Entry<Service>[], report: Report): void {
  for (const [port, users] of grouped(services, ({ port }) => port)) {
    const protocols = [...new Set(users.map(({ protocol }) => protocol))];
    if (protocols.length < 2) continue;
    report(
      messageTypes.deploymentAssociatedToMultipleServices,
      resource,
      "metadata.name",
      `port ${port} of Deployment ${name} is ${listed(protocols)} in Services ${listed(users.map(({ service }) => service))}, and a proxy supports one protocol per port; give the Services different target ports, or the same protocol`,
    );
  }
}

function checkTargets({ resource, name }: Workload, services: readonly Entry<Service>[], report: Report): void {
  for (const [target, users] of grouped(services, ({ port, targetPort }) =>
    targetPort === undefined || targetPort === 0 || targetPort === "" ? port : targetPort,
  )) {
    const ports = [...new Set(users.map(({ port }) => port))].toSorted((left, right) => left - right);
    if (ports.length < 2) continue;
    report(
      messageTypes.deploymentConflictingPorts,
      resource,
      "metadata.name",
      `targetPort ${target} of Deployment ${name} is reached as ports ${listed(ports.map(String))} of Services ${listed([...new Set(users.map(({ service }) => service))].toSorted())}; the sidecar's inbound routes use only one of them; use the same port in all`,
    );
  }
}

interface PortUser {
  readonly service: string;
  readonly port: number;
  readonly protocol: string;
}

function grouped(
  services: readonly Entry<Service>[],
  keyOf: (port: ServicePort) => number | string,
): ReadonlyMap<string, readonly PortUser[]> {
  const users = services.flatMap(({ object: { metadata, spec } }) =>
    (spec?.ports ?? []).map((port) => ({
      key: String(keyOf(port)),
      user: {
        service: `${metadata.namespace ?? ""}/${metadata.name ?? ""}`,
        port: port.port,
        protocol: port.protocol ?? "TCP",
      },
    })),
  );
  return new Map([...Map.groupBy(users, ({ key }) => key)].map(([key, found]) => [key, found.map(({ user }) => user)]));
}

export const applicationUserAnalyzer: Analyzer = {
  name: "applicationUID.Analyzer",
  description: "no application runs as the user of the sidecar",
  analyze(inventory, report) {
    for (const { resource, object } of inventory.of(podKind)) checkUser(resource, object.spec, "spec", report);
    for (const { resource, object } of inventory.of(deploymentKind))
      checkUser(resource, object.spec?.template.spec, "spec.template.spec", report);
  },
};

function checkUser(resource: Resource, spec: PodSpec | undefined, path: string, report: Report): void {
  if (spec === undefined || isControlPlane(resource)) return;
  const places = spec.securityContext?.runAsUser === proxyUser ? [`${path}.securityContext.runAsUser`] : [];
  for (const [index, { name, securityContext }] of spec.containers.entries()) {
    if (name !== "istio-proxy" && name !== "istio-operator" && securityContext?.runAsUser === proxyUser)
      places.push(`${path}.containers[${index}].securityContext.runAsUser`);
  }
  // A gateway's pod consists of a proxy, whose user id is right.
  const isProxyOnly = spec.containers.every(({ name }) => name === "istio-proxy");
  const [first] = places;
  if (first === undefined || isProxyOnly) return;
  report(
    messageTypes.invalidApplicationUid,
    resource,
    first,
    `runs the application as user ${proxyUser}, which is the sidecar's user: its connections would bypass the mesh, without TLS and policies; choose another number`,
  );
}

/** A port's name may begin with one of these protocols. */
const protocolNames = new Set([
  "http",
  "http2",
  "https",
  "grpc",
  "grpc-web",
  "tcp",
  "tls",
  "udp",
  "mongo",
  "redis",
  "mysql",
  "http_proxy",
  "kubernetes.io/h2c",
  "kubernetes.io/ws",
  "kubernetes.io/wss",
]);
/** The usual ports of protocols in which the server speaks first. A proxy cannot detect such a protocol. */
const serverFirstPorts = new Map([
  [25, "tcp"],
  [3306, "mysql"],
  [27_017, "mongo"],
]);

export const portNameAnalyzer: Analyzer = {
  name: "service.PortNameAnalyzer",
  description: "names of Service ports give their protocols",
  analyze(inventory, report) {
    for (const service of inventory.of(serviceKind))
      if (
        !isControlPlane(service.resource) &&
        service.object.metadata.labels?.[istioLabels.gatewayManaged] === undefined
      )
        checkNames(service, inventory, report);
  },
};

function checkNames(
  { resource, object: { metadata, spec } }: Entry<Service>,
  { options }: Inventory,
  report: Report,
): void {
  const namespace = metadata.namespace ?? "";
  if (
    namespace.startsWith("kube-") ||
    (namespace === options.istioNamespace && metadata.labels?.["app"] === "istiod") ||
    isApiServer(metadata.namespace, metadata.name)
  )
    return;
  const isExternal = spec?.type === "ExternalName";
  for (const [index, port] of (spec?.ports ?? []).entries()) {
    const { name = "", targetPort } = port;
    const path = `spec.ports[${index}].port`;
    if (isExternal && (name === "tcp" || !declaresProtocol(port))) {
      report(
        messageTypes.externalNameServiceTypeInvalidPortName,
        resource,
        path,
        `port ${port.port}${name === "" ? "" : ` ("${name}")`} of an ExternalName Service (${labelsText({ externalName: spec?.externalName ?? "" })}) counts as plain TCP: a sidecar then sends it all traffic to that port, whatever the address; name it after its protocol, such as http-${name === "" ? port.port : name} or tls-${name === "" ? port.port : name}`,
      );
    } else if (!isExternal && !declaresProtocol(port)) {
      const example = `http-${name === "" ? port.port : name}`;
      report(
        messageTypes.portNameIsNotUnderNamingConvention,
        resource,
        path,
        `${name === "" ? `port ${port.port} has no name` : `the name "${name}" of port ${port.port}`}${targetPort === undefined ? "" : ` (targetPort ${targetPort})`} ${name === "" ? "that gives its" : "gives no"} protocol, so proxies guess it from the first bytes, and clients of server-first protocols wait; name it <protocol>-<name>, such as ${example}, or set appProtocol`,
      );
    }
  }
}

function isApiServer(namespace: string | undefined, name: string | undefined): boolean {
  return namespace === "default" && name === "kubernetes";
}

function declaresProtocol({ port, name = "", protocol, appProtocol }: ServicePort): boolean {
  if (protocol === "UDP" || protocol === "SCTP") return true;
  if (appProtocol !== undefined) return protocolNames.has(appProtocol.toLowerCase());
  const lower = name.toLowerCase();
  return serverFirstPorts.has(port) || lower.startsWith("grpc-web") || protocolNames.has(lower.split("-")[0] ?? "");
}
