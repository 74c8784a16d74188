import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { readSpec, refuseUnknown } from "./fields.ts";
import { readIstioPort, type IstioPort } from "./istio-port.ts";
import { networkingGroup, networkingVersions } from "./virtual-service.ts";
import { readWorkloadEntry, type WorkloadEntrySpec } from "./workload-entry.ts";

/** networking.istio.io ServiceEntry: a service that Kubernetes does not know. */
export interface ServiceEntry extends KubernetesObject {
  spec: ServiceEntrySpec;
}

export interface ServiceEntrySpec {
  readonly hosts: readonly string[];
  /** Addresses or CIDRs by which clients reach it; empty: by automatic ones or by name. */
  readonly addresses: readonly string[];
  readonly ports: readonly IstioPort[];
  readonly location: "MESH_EXTERNAL" | "MESH_INTERNAL";
  readonly resolution: "NONE" | "STATIC" | "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS";
  readonly endpoints: readonly WorkloadEntrySpec[];
  /** Pods and WorkloadEntries of its namespace that are its endpoints, instead of `endpoints`. */
  readonly workloadSelector?: { readonly labels: Readonly<Record<string, string>> } | undefined;
  /** Namespaces that see it, `.` its own, `*` all; empty: the mesh's default. */
  readonly exportTo: readonly string[];
  readonly subjectAltNames: readonly string[];
}

export function parseServiceEntry(raw: unknown): Parsed<ServiceEntry> {
  const object = new Reader(raw);
  const reader = readSpec(object);
  const selector = reader.object("workloadSelector");
  const spec: ServiceEntrySpec = {
    hosts: reader.strings("hosts"),
    addresses: reader.strings("addresses"),
    ports: reader.list("ports").map(readIstioPort),
    location: reader.oneOf("location", ["MESH_EXTERNAL", "MESH_INTERNAL"]) ?? "MESH_EXTERNAL",
    resolution: reader.oneOf("resolution", ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]) ?? "NONE",
    endpoints: reader.list("endpoints").map(readWorkloadEntry),
    workloadSelector: selector === undefined ? undefined : { labels: selector.stringMap("labels") },
    exportTo: reader.strings("exportTo"),
    subjectAltNames: reader.strings("subjectAltNames"),
  };
  refuseUnknown(selector);
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as ServiceEntry), spec }));
}

export const serviceEntryKind = defineKind<ServiceEntry>({
  group: networkingGroup,
  versions: networkingVersions,
  kind: "ServiceEntry",
  plural: "serviceentries",
  namespaced: true,
  parse: parseServiceEntry,
});
