import { X509Certificate } from "node:crypto";
import type { CertificateManager, ConnectionTracker } from "../dataplane/index.ts";
import { formatAuthority } from "../wire/hbone/index.ts";
import type { ZtunnelConfig } from "./config.ts";
import type { LiveConnection } from "./proxy/pod-context.ts";
import type { MeshState } from "./state/mesh-state.ts";
import { serviceKey, type GatewayAddress, type Service, type Workload } from "./state/model.ts";
import type { PodManager } from "./zds/pod-manager.ts";

export interface AdminSources {
  readonly config: ZtunnelConfig;
  readonly state: MeshState;
  readonly certificates: CertificateManager;
  readonly tracker: ConnectionTracker<LiveConnection>;
  readonly pods: PodManager;
}

/** `/config_dump` in the form that istioctl's `ztunnel-config` reads. */
export function configDump(sources: AdminSources): unknown {
  const { state, config } = sources;
  return {
    version: { version: config.version, revision: config.revision },
    config: { ...config, ports: config.ports },
    workloads: state.workloads().map(workloadDump).sort(byUid),
    services: state
      .services()
      .map((service) => serviceDump(service, state))
      .sort((a, b) => compare(a.hostname, b.hostname)),
    policies: [...state.policies()].sort((a, b) => compare(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`)),
    certificates: sources.certificates.statuses().map(certificateDump),
    workloadState: Object.fromEntries(sources.pods.list().map((pod) => [pod.uid, podDump(sources, pod)])),
  };
}

/** `/connections`: each live one. */
export function connectionsDump(tracker: ConnectionTracker<LiveConnection>, nowMs: number): unknown {
  return tracker.list().map(({ id, openedAtMs, draining, details }) => ({
    id,
    pod: details.pod.uid,
    direction: details.direction,
    protocol: details.protocol,
    src: text(details.source),
    dst: text(details.destination),
    ...(details.hboneTarget === undefined ? {} : { hboneTarget: details.hboneTarget }),
    ageMs: Math.max(0, nowMs - openedAtMs),
    state: draining ? "draining" : "active",
  }));
}

function podDump(sources: AdminSources, pod: ReturnType<PodManager["list"]>[number]): unknown {
  const own = sources.tracker.list().filter((connection) => pod.owns(connection.details));
  const of = (direction: "inbound" | "outbound") =>
    own
      .filter((connection) => connection.details.direction === direction)
      .map(({ details }) => ({
        src: text(details.source),
        originalDst: details.hboneTarget ?? text(details.destination),
        actualDst: text(details.destination),
        protocol: details.protocol,
      }));
  return {
    state: pod.state === "serving" ? "Up" : "Draining",
    connections: { inbound: of("inbound"), outbound: of("outbound") },
    info: pod.info,
  };
}

function workloadDump(workload: Workload) {
  return {
    ...workload,
    services: [...workload.services.keys()],
    ...gatewayField("waypoint", workload.waypoint),
    ...gatewayField("networkGateway", workload.networkGateway),
  };
}

function serviceDump(service: Service, state: MeshState) {
  return {
    ...service,
    vips: service.vips.map((vip) => `${vip.network}/${vip.address}`),
    ports: Object.fromEntries(service.ports),
    endpoints: Object.fromEntries(
      [...state.endpoints(service)].map(([uid, endpoint]) => [
        uid,
        {
          workloadUid: uid,
          service: serviceKey(service),
          port: Object.fromEntries(endpoint.ports),
          status: endpoint.workload.status,
        },
      ]),
    ),
    ...gatewayField("waypoint", service.waypoint),
    weightedWaypoints: service.weightedWaypoints.map((one) => ({
      destination: gatewayDump(one.destination),
      weight: one.weight,
    })),
  };
}

function gatewayField(name: string, gateway: GatewayAddress | undefined): Record<string, unknown> {
  return gateway === undefined ? {} : { [name]: gatewayDump(gateway) };
}

/** Prints both kinds of destination in upstream's form, because `istioctl ztunnel-config` reads nothing else. */
function gatewayDump(gateway: GatewayAddress): unknown {
  const { destination, hboneMtlsPort } = gateway;
  return {
    destination:
      "address" in destination
        ? `${destination.network}/${destination.address}`
        : `${destination.namespace}/${destination.hostname}`,
    hboneMtlsPort,
  };
}

function certificateDump(status: ReturnType<CertificateManager["statuses"]>[number]): unknown {
  const { certificate } = status;
  return {
    identity: status.identity,
    state: status.state,
    ...(status.error === undefined ? {} : { error: status.error }),
    certChain: certificate === undefined ? [] : [one(certificate.chainPem)],
    rootCerts: certificate === undefined ? [] : [one(certificate.rootsPem)],
  };
}

function one(pem: string): unknown {
  const parsed = new X509Certificate(pem);
  return {
    pem: Buffer.from(pem).toString("base64"),
    serialNumber: BigInt(`0x${parsed.serialNumber}`).toString(),
    validFrom: parsed.validFromDate.toISOString(),
    expirationTime: parsed.validToDate.toISOString(),
  };
}

function text(address: { readonly address: string; readonly port: number }): string {
  return formatAuthority(address.address, address.port);
}

function byUid(a: { readonly uid: string }, b: { readonly uid: string }): number {
  return compare(a.uid, b.uid);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
