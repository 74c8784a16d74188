import { istioLabels } from "../../../api/istio/index.ts";
import { localityOfLabels } from "../../../wire/xds/index.ts";
import { canonicalName, canonicalRevision } from "../canonical.ts";
import type { Labels, MeshSettings } from "../facts.ts";

export interface LocalityModel {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** One endpoint of one port of a service. */
export interface EndpointModel {
  /** An IP address, or a DNS name that the proxy resolves. */
  readonly address: string;
  readonly port: number;
  readonly labels: Labels;
  /** The endpoint's SPIFFE identity. Empty if unknown. */
  readonly identity: string;
  /** Whether a sidecar in front of the endpoint accepts Istio's mutual TLS. */
  readonly mutualTls: boolean;
  readonly hbone: boolean;
  /** Whether a ztunnel captures the endpoint and reports telemetry for it. A waypoint reports its own telemetry. */
  readonly captured: boolean;
  readonly locality: LocalityModel;
  readonly network: string;
  readonly clusterId: string;
  readonly node: string;
  readonly weight: number;
  /** Set if the address is a pod's own. Other addresses come from users who may write the service's endpoints. */
  readonly ofPod?: true;
  /** Set if the endpoint gets only requests of sessions that it already has. */
  readonly draining?: true;
  /** Set if the endpoint is terminating and still serves, see {@link usedEndpoints}. */
  readonly terminating?: true;
  /** Set if the endpoint is not ready. No client uses it, see {@link sentEndpoints}. */
  readonly unready?: true;
  /**
   * `workload;namespace;canonical name;canonical revision;cluster` for telemetry. Empty if the endpoint is not a
   * workload.
   */
  readonly workload: string;
  /**
   * Absent for endpoints that every cluster discovers, whatever is exported. Without multi-cluster services, these are
   * all endpoints.
   */
  readonly discoverable?: Discoverability;
}

/** Which clients discover an endpoint: those of all clusters, or those of its own cluster only. */
export type Discoverability = "mesh" | "cluster";

export function isDiscoverableFrom(
  clusterId: string,
  endpoint: Pick<EndpointModel, "discoverable" | "clusterId">,
): boolean {
  return endpoint.discoverable !== "cluster" || endpoint.clusterId === clusterId;
}

export function endpointsKey(service: string, port: number): string {
  return `${service}|${port}`;
}

export const nowhere: LocalityModel = { region: "", zone: "", subzone: "" };

export function identityOf(mesh: MeshSettings, namespace: string, account: string): string {
  return `spiffe://${mesh.trustDomain}/ns/${namespace}/sa/${account}`;
}

export function workloadText(name: string, namespace: string, labels: Labels, clusterId: string): string {
  const revision = canonicalRevision(labels);
  return [name, namespace, canonicalName(labels, name), revision === "latest" ? "" : revision, clusterId].join(";");
}

export function localityFromLabel(labels: Labels): LocalityModel | undefined {
  const text = localityOfLabels(labels);
  return text === undefined ? undefined : localityFromText(text);
}

export function localityFromText(text: string): LocalityModel {
  const [region = "", zone = "", subzone = ""] = text.split("/");
  return { region, zone, subzone };
}

export function localityText({ region, zone, subzone }: LocalityModel): string {
  return `${region}/${zone}/${subzone}`;
}

/**
 * Whether the endpoint's label says that its sidecar accepts Istio's mutual TLS. A WorkloadEntry with an account needs
 * no label.
 */
export function takesIstioTls({ labels, mutualTls }: EndpointModel): boolean {
  return mutualTls || labels[istioLabels.tlsMode] === "istio";
}

/**
 * Selects the endpoints that clients use, among those that could serve a request. Terminating endpoints serve only if
 * there are no others, as with kube-proxy (KEP 1669), because without any endpoint every request would fail. Otherwise
 * they only keep the sessions that they have.
 */
export function usedEndpoints(all: readonly EndpointModel[]): readonly EndpointModel[] {
  return sentEndpoints(all, false);
}

/**
 * The endpoints that proxies get, in the same order. They include endpoints that are not ready, to which a proxy sends
 * no requests: it learns by them which part of a locality can serve, and sends the rest of its requests to the next
 * locality.
 */
export function sentEndpoints(all: readonly EndpointModel[], withUnready: boolean): readonly EndpointModel[] {
  if (!all.some(({ unready, terminating }) => unready === true || terminating === true)) return all;
  const allEnd = all.every(({ unready, terminating }) => unready === true || terminating === true);
  return all.flatMap((endpoint) => {
    if (endpoint.unready === true) return withUnready ? endpoint : [];
    if (endpoint.terminating !== true) return endpoint;
    if (!allEnd) return endpoint.draining === true ? endpoint : [];
    const { draining: _sessionsOnly, ...used } = endpoint;
    return used;
  });
}
