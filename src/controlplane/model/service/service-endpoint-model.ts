import { istioLabels } from "../../../api/istio/index.ts";
import { localityOfLabels } from "../../../wire/xds/index.ts";
import { canonicalName, canonicalRevision } from "../canonical.ts";
import type { Labels, MeshSettings } from "../facts.ts";

export interface LocalityModel {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

export interface EndpointModel {
  /** An IP address, or a DNS name that the proxy resolves. */
  readonly address: string;
  readonly port: number;
  readonly labels: Labels;
  /** The SPIFFE identity. Empty if unknown. */
  readonly identity: string;
  /** Whether a sidecar in front of the endpoint accepts Istio's mutual TLS. */
  readonly mutualTls: boolean;
  readonly hbone: boolean;
  /** Whether a ztunnel captures the endpoint and reports its telemetry. False for a waypoint, which reports its own. */
  readonly captured: boolean;
  readonly locality: LocalityModel;
  readonly network: string;
  readonly clusterId: string;
  readonly node: string;
  readonly weight: number;
  /** Whether the address is a pod's own. Users who may write a service's endpoints choose all other addresses. */
  readonly ofPod?: true;
  /** Whether the endpoint gets only requests of sessions that it already has. */
  readonly draining?: true;
  /** Whether the endpoint is terminating but still serves, see {@link usedEndpoints}. */
  readonly terminating?: true;
  /** Whether the endpoint is not ready. No client sends to it, see {@link sentEndpoints}. */
  readonly unready?: true;
  /**
   * The workload for telemetry, as `workload;namespace;canonical name;canonical revision;cluster`. Empty if the
   * endpoint is no workload.
   */
  readonly workload: string;
  /**
   * Which clients discover the endpoint. Absent for endpoints that every cluster discovers, whatever is exported. If
   * the mesh does not use multi-cluster services, these are all endpoints.
   */
  readonly discoverable?: Discoverability;
}

/** Which clients discover an endpoint: those of all clusters, or only those of its own cluster. */
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
 * Selects the endpoints that clients use. Terminating endpoints serve only if there are no others, as with kube-proxy
 * (KEP 1669), because otherwise every request would fail. If there are others, they only keep the sessions that they
 * have.
 */
export function usedEndpoints(all: readonly EndpointModel[]): readonly EndpointModel[] {
  return sentEndpoints(all, false);
}

/**
 * The endpoints that proxies get, in the same order. With `withUnready`, they include endpoints that are not ready. A
 * proxy sends no requests to these: they tell it which share of a locality can serve, and it sends the rest of its
 * requests to the next locality.
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
