import { canonicalName, canonicalRevision } from "../canonical.ts";
import type { Labels, MeshSettings } from "../facts.ts";

export interface LocalityModel {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** One endpoint of one port of a service. */
export interface EndpointModel {
  /** An address, or a name that the proxy must resolve. */
  readonly address: string;
  readonly port: number;
  readonly labels: Labels;
  /** Its SPIFFE identity; empty when nobody knows. */
  readonly identity: string;
  /** Whether a sidecar takes Istio's mutual TLS in front of it. */
  readonly mutualTls: boolean;
  readonly hbone: boolean;
  /** By a ztunnel, which tells peers of it; a waypoint speaks for itself. */
  readonly captured: boolean;
  readonly locality: LocalityModel;
  readonly network: string;
  readonly clusterId: string;
  readonly node: string;
  readonly weight: number;
  /** `workload;namespace;canonical name;canonical revision;cluster`, for telemetry; empty for what is no workload. */
  readonly workload: string;
}

export const nowhere: LocalityModel = { region: "", zone: "", subzone: "" };
export const tlsModeLabel = "security.istio.io/tlsMode";
/** The first that a workload has counts. */
const localityLabels = ["topology.istio.io/locality", "istio-locality"] as const;

export function identityOf(mesh: MeshSettings, namespace: string, account: string): string {
  return `spiffe://${mesh.trustDomain}/ns/${namespace}/sa/${account}`;
}

export function workloadText(name: string, namespace: string, labels: Labels, clusterId: string): string {
  const revision = canonicalRevision(labels);
  return [name, namespace, canonicalName(labels, name), revision === "latest" ? "" : revision, clusterId].join(";");
}

/** The label writes `region.zone.subzone`, as slashes may be in no label. */
export function localityFromLabel(labels: Labels): LocalityModel | undefined {
  const text = localityLabels.map((name) => labels[name]).find((value) => value !== undefined);
  return text === undefined || text === ""
    ? undefined
    : localityFromText(text.includes("/") ? text : text.replaceAll(".", "/"));
}

export function localityFromText(text: string): LocalityModel {
  const [region = "", zone = "", subzone = ""] = text.split("/");
  return { region, zone, subzone };
}

export function localityText({ region, zone, subzone }: LocalityModel): string {
  return `${region}/${zone}/${subzone}`;
}

/** Whether a sidecar says of itself that it takes Istio's mutual TLS. */
export function takesIstioTls({ labels }: EndpointModel): boolean {
  return labels[tlsModeLabel] === "istio";
}
