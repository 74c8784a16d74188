import { X509Certificate } from "node:crypto";
import { rfc3339Seconds } from "../base/index.ts";
import type { CertificateManager } from "../dataplane/index.ts";
import type { ZtunnelConfig } from "./config.ts";
import { isOwnPod } from "./own-pod.ts";
import type { ConnectionEntry, PodEntry, Serving } from "./serving.ts";
import type { MeshState } from "./state/mesh-state.ts";
import { policyKey, serviceKey, type GatewayAddress, type Service, type Workload } from "./state/model.ts";

export interface AdminSources {
  readonly config: ZtunnelConfig;
  readonly certificates: Pick<CertificateManager, "statuses">;
  readonly serving: Pick<Serving, "state" | "pods">;
}

/** `/config_dump` in the form that istioctl's `ztunnel-config` reads. */
export async function configDump({ config, certificates, serving }: AdminSources): Promise<unknown> {
  const { state } = serving;
  return {
    version: { version: config.version, revision: config.revision },
    config: { ...config, ports: config.ports },
    workloads: state.workloads().map(workloadDump).sort(byUid),
    services: state
      .services()
      .map((service) => serviceDump(service, state))
      .sort((a, b) => compare(a.hostname, b.hostname)),
    policies: [...state.policies()].sort((a, b) => compare(policyKey(a), policyKey(b))),
    certificates: certificates.statuses().map(certificateDump),
    workloadState: Object.fromEntries(
      (await serving.pods()).filter(({ uid }) => !isOwnPod(uid)).map((pod) => [pod.uid, podDump(pod)]),
    ),
  };
}

export function connectionsDump(connections: readonly ConnectionEntry[], nowMs: number): unknown {
  return connections.map((connection) => ({
    id: connection.id,
    pod: connection.pod,
    direction: connection.direction,
    protocol: connection.protocol,
    src: connection.source,
    dst: connection.destination,
    ...(connection.hboneTarget === undefined ? {} : { hboneTarget: connection.hboneTarget }),
    ageMs: Math.max(0, nowMs - connection.openedAtMs),
    state: connection.draining ? "draining" : "active",
  }));
}

function podDump({ state, info, connections }: PodEntry): unknown {
  const connectionsOf = (direction: "inbound" | "outbound") =>
    connections
      .filter((connection) => connection.direction === direction)
      .map(({ source, destination, hboneTarget, protocol }) => ({
        src: source,
        originalDst: hboneTarget ?? destination,
        actualDst: destination,
        protocol,
      }));
  return {
    state: state === "serving" ? "Up" : "Draining",
    connections: { inbound: connectionsOf("inbound"), outbound: connectionsOf("outbound") },
    info,
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
    weightedWaypoints: service.weightedWaypoints.map((weighted) => ({
      destination: gatewayDump(weighted.destination),
      weight: weighted.weight,
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
    destination: "address" in destination ? `${destination.network}/${destination.address}` : serviceKey(destination),
    hboneMtlsPort,
  };
}

function certificateDump(status: ReturnType<CertificateManager["statuses"]>[number]): unknown {
  const { certificate } = status;
  return {
    identity: status.identity,
    state: status.state,
    ...(status.error === undefined ? {} : { error: status.error }),
    certChain: certificate === undefined ? [] : [chainDump(certificate.chainPem)],
    rootCerts: certificate === undefined ? [] : [chainDump(certificate.rootsPem)],
  };
}

function chainDump(pem: string): unknown {
  const parsed = new X509Certificate(pem);
  return {
    pem: Buffer.from(pem).toString("base64"),
    serialNumber: BigInt(`0x${parsed.serialNumber}`).toString(),
    validFrom: rfc3339Seconds(parsed.validFromDate.getTime()),
    expirationTime: rfc3339Seconds(parsed.validToDate.getTime()),
  };
}

function byUid(a: { readonly uid: string }, b: { readonly uid: string }): number {
  return compare(a.uid, b.uid);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
