import type { ConnectionPool, ServerTls, SidecarIngress } from "../../../api/istio/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import { formatAuthority } from "../../../wire/hbone/index.ts";
import {
  compareText,
  factsKey,
  hostnameOf,
  type AppProtocol,
  type MeshSettings,
  type PodFacts,
  type SidecarFacts,
  type SidecarProxyFacts,
} from "../../model/facts.ts";
import { anyAddress } from "../../model/ip-address.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { istioPortProtocol } from "../../model/service/service-entry-model.ts";
import { WorkloadServices, type ServedEntry, type ServedService } from "../../model/service/workload-services.ts";
import { sidecarFor } from "../../model/scope-choice.ts";

export interface InboundTarget {
  /** The port on which the application listens. For a Sidecar's ingress, the port to which clients connect. */
  readonly port: number;
  /** The service's port, for telemetry. */
  readonly servicePort: number;
  readonly protocol: AppProtocol;
  /** The service's host, or `name.namespace` of a Sidecar. */
  readonly host: string;
  /** All services with this target. A Sidecar's ingress may have a port that no service of the workload has. */
  readonly services: readonly { readonly host: string; readonly name: string; readonly namespace: string }[];
  readonly bind: string;
  /** Whether the port has its own listener instead of a chain of the virtual listener. */
  readonly bindsToPort: boolean;
  /**
   * The application's address, as `address:port` or `unix://path`. Absent means that connections keep their original
   * destination.
   */
  readonly endpoint?: string;
  readonly tls?: ServerTls;
  readonly connectionPool?: ConnectionPool;
  readonly sidecar?: string;
}

export interface Workload {
  readonly pod: PodFacts;
  readonly sidecar: SidecarProxyFacts;
  readonly mesh: MeshSettings;
}

const loopbacks: Readonly<Record<"ipv4" | "ipv6", string>> = { ipv4: "127.0.0.1", ipv6: "::1" };

/**
 * Finds the ports of a workload that its sidecar serves: those of a Sidecar's ingress if it has any, or else those of
 * the workload's services.
 */
export class InboundTargets {
  readonly #inputs: MeshInputs;
  readonly #services: WorkloadServices;

  constructor(inputs: MeshInputs) {
    this.#inputs = inputs;
    this.#services = new WorkloadServices(inputs);
  }

  of(workload: Workload, reader: CollectionReader): readonly InboundTarget[] {
    const sidecar = sidecarFor(workload.pod, workload.mesh, this.#inputs, reader);
    if (sidecar !== undefined && sidecar.spec.ingress.length > 0) {
      const ofServices = onePerPort(this.#serviceTargets(workload, reader));
      return onePerPort(
        sidecar.spec.ingress.map((ingress) => ingressTarget(ingress, { sidecar, ofServices }, workload)),
      );
    }
    // Without redirection, the application itself listens on its ports.
    if (workload.sidecar.interception === "NONE") return [];
    const pool = sidecar?.spec.inboundConnectionPool;
    return onePerPort(
      this.#serviceTargets(workload, reader).map((target) =>
        pool === undefined ? target : { ...target, connectionPool: pool },
      ),
    );
  }

  /** The ports of the services that the workload serves, in the order of the services' ages, the oldest first. */
  #serviceTargets(workload: Workload, reader: CollectionReader): readonly InboundTarget[] {
    const { pod } = workload;
    const registered = [
      ...this.#services.servicesOf(pod, reader).map((served) => ({
        createdAt: served.service.createdAt,
        name: served.service.name,
        targets: serviceTargets(served, workload),
      })),
      ...this.#services.entriesOf(pod, reader).map((served) => ({
        createdAt: served.entry.createdAt,
        name: served.entry.name,
        targets: entryTargets(served, workload),
      })),
    ];
    registered.sort(
      (left, right) => compareText(left.createdAt, right.createdAt) || compareText(left.name, right.name),
    );
    return registered.flatMap(({ targets }) => targets);
  }
}

/** Keeps the first target of each port, and adds the services of the port's other targets to it. */
function onePerPort(targets: readonly InboundTarget[]): readonly InboundTarget[] {
  const byPort = Map.groupBy(targets, (target) => target.port);
  const first = [...byPort.values()].flatMap((same) => {
    const [counts] = same;
    return counts === undefined ? [] : { ...counts, services: same.flatMap((target) => target.services) };
  });
  return first.sort((left, right) => left.port - right.port);
}

export function wildcardOf(pod: Pick<PodFacts, "addresses">): string {
  return pod.addresses[0]?.includes(":") === true ? "::" : anyAddress;
}

function serviceTargets({ service, targetOf }: ServedService, { pod, mesh }: Workload): readonly InboundTarget[] {
  const host = hostnameOf(service, mesh.domain);
  const { name, namespace } = service;
  return service.ports.flatMap((port) => {
    const target = targetOf(port);
    if (port.protocol !== "TCP" || target === undefined) return [];
    return {
      ...loopback(target, mesh),
      port: target,
      servicePort: port.port,
      protocol: port.appProtocol,
      host,
      services: [{ host, name, namespace }],
      bind: wildcardOf(pod),
      bindsToPort: false,
    };
  });
}

/** The mesh config may say that applications listen only on their loopback address. */
function loopback(port: number, { inboundTrafficPolicy }: MeshSettings): { readonly endpoint?: string } {
  return inboundTrafficPolicy === "LOCALHOST" ? { endpoint: `127.0.0.1:${port}` } : {};
}

function entryTargets({ entry, targetOf }: ServedEntry, { pod }: Workload): readonly InboundTarget[] {
  const { namespace, spec } = entry;
  return spec.hosts.flatMap((host) =>
    spec.ports
      .filter((port) => port.protocol !== "UDP")
      .map((port) => ({
        port: targetOf(port),
        servicePort: port.number,
        protocol: istioPortProtocol(port),
        host,
        services: [{ host, name: host, namespace }],
        bind: wildcardOf(pod),
        bindsToPort: false,
      })),
  );
}

interface IngressOf {
  readonly sidecar: SidecarFacts;
  readonly ofServices: readonly InboundTarget[];
}

function ingressTarget(
  ingress: SidecarIngress,
  { sidecar, ofServices }: IngressOf,
  { pod, sidecar: proxy }: Workload,
): InboundTarget {
  const endpoint = endpointOf(ingress.defaultEndpoint, pod);
  const connectionPool = ingress.connectionPool ?? sidecar.spec.inboundConnectionPool;
  const host = `${sidecar.name}.${sidecar.namespace}`;
  const [service] = ofServices.find(({ port }) => port === ingress.port.number)?.services ?? [];
  return {
    port: ingress.port.number,
    servicePort: ingress.port.number,
    // The sidecar terminates the TLS, so HTTPS is HTTP from here on.
    protocol: ingress.tls !== undefined && ingress.port.protocol === "HTTPS" ? "http" : istioPortProtocol(ingress.port),
    host,
    services: service === undefined ? [] : [service],
    bind: ingress.bind ?? pod.addresses[0] ?? wildcardOf(pod),
    bindsToPort: ingress.captureMode === "NONE" || (ingress.captureMode === "DEFAULT" && proxy.interception === "NONE"),
    sidecar: factsKey(sidecar),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(ingress.tls === undefined ? {} : { tls: ingress.tls }),
    ...(connectionPool === undefined ? {} : { connectionPool }),
  };
}

/**
 * The address of the application behind a port. The wildcard address means the pod's own address. A loopback address
 * means that of the pod's address family, unless the pod has both. Without an address, connections keep their original
 * destination.
 */
function endpointOf(endpoint: string | undefined, pod: PodFacts): string | undefined {
  if (endpoint?.startsWith(":") === true && !endpoint.startsWith("::")) return undefined;
  const [, host, port] = /^(?:\[?)(0\.0\.0\.0|::|127\.0\.0\.1|::1)\]?:(\d+)$/.exec(endpoint ?? "") ?? [];
  if (host === undefined || port === undefined) return endpoint;
  const isSix = host.includes(":");
  const ofFamily = pod.addresses.find((candidate) => candidate.includes(":") === isSix);
  if (Object.values(loopbacks).includes(host)) {
    const hasFamily = ofFamily !== undefined || pod.addresses.length === 0;
    return formatAuthority(hasFamily ? host : loopbacks[isSix ? "ipv4" : "ipv6"], Number(port));
  }
  return formatAuthority(ofFamily ?? pod.addresses[0] ?? "", Number(port));
}
