import { istioLabels } from "../../api/istio/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import type { Labels } from "./facts.ts";

export const waypointClassName = "istio-waypoint";
const hbonePort = 15_008;

/** The waypoint that an object's traffic goes through. */
export interface WaypointReference {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}

/**
 * The waypoint of a Service or a pod: its own label `istio.io/use-waypoint` beats its namespace's, `none` means none. It
 * counts only when that Gateway and its Service are there, and it takes this type of traffic (`istio.io/waypoint-for`, `service` when absent).
 */
export function waypointOf(
  subject: { readonly namespace: string; readonly labels: Labels },
  traffic: "service" | "workload",
  inputs: MeshInputs,
  reader: CollectionReader,
): WaypointReference | undefined {
  const wanted = wantedWaypoint(subject.labels, subject.namespace) ?? wantedWaypoint(reader.get(inputs.namespaces, subject.namespace)?.labels ?? {}, subject.namespace);
  if (wanted === undefined || wanted.name === "none") return undefined;
  const gateway = reader.get(inputs.gateways, `${wanted.namespace}/${wanted.name}`);
  if (gateway === undefined || gateway.spec.gatewayClassName !== waypointClassName) return undefined;
  // A waypoint that nobody has deployed must not swallow the traffic.
  if (reader.get(inputs.services, `${wanted.namespace}/${wanted.name}`) === undefined) return undefined;
  const takes = gateway.labels[istioLabels.waypointFor] ?? "service";
  if (takes !== traffic && takes !== "all") return undefined;
  const listener = gateway.spec.listeners.find((candidate) => candidate.protocol === "HBONE");
  return { ...wanted, port: listener?.port ?? hbonePort };
}

function wantedWaypoint(labels: Labels, namespace: string): { readonly namespace: string; readonly name: string } | undefined {
  const name = labels[istioLabels.useWaypoint];
  if (name === undefined || name === "") return undefined;
  return { name, namespace: labels[istioLabels.useWaypointNamespace] ?? namespace };
}
