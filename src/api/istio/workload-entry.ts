import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { readPortNumber, readSpec, readText, refuseUnknown } from "./fields.ts";
import { networkingGroup, networkingVersions } from "./virtual-service.ts";

/** networking.istio.io WorkloadEntry: one endpoint that is no pod. */
export interface WorkloadEntry extends KubernetesObject {
  spec: WorkloadEntrySpec;
}

export interface WorkloadEntrySpec {
  /** An address, a DNS name (where a ServiceEntry resolves names) or `unix://` and a path; absent only with a network. */
  readonly address?: string | undefined;
  /** By port name of the service: the port here. */
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly network?: string | undefined;
  /** `region/zone/subzone`. */
  readonly locality?: string | undefined;
  /** Absent counts as 1. */
  readonly weight?: number | undefined;
  readonly serviceAccount?: string | undefined;
}

export function parseWorkloadEntry(raw: unknown): Parsed<WorkloadEntry> {
  const object = new Reader(raw);
  const reader = readSpec(object);
  const spec = readWorkloadEntry(reader);
  return object.finish(() => ({ ...(raw as WorkloadEntry), spec }));
}

/** A workload as it also stands in a ServiceEntry and in a WorkloadGroup's template. */
export function readWorkloadEntry(reader: Reader): WorkloadEntrySpec {
  const ports = reader.object("ports");
  const numbers: Record<string, number> = {};
  for (const name of Object.keys((ports?.raw as object | undefined) ?? {})) numbers[name] = (ports === undefined ? undefined : readPortNumber(ports, name)) ?? 0;
  const entry: WorkloadEntrySpec = {
    address: readText(reader, "address"),
    ports: numbers,
    labels: reader.stringMap("labels"),
    network: readText(reader, "network"),
    locality: readText(reader, "locality"),
    weight: reader.integer("weight", 0) || undefined,
    serviceAccount: readText(reader, "serviceAccount"),
  };
  refuseUnknown(reader);
  return entry;
}

export const workloadEntryKind = defineKind<WorkloadEntry>({
  group: networkingGroup,
  versions: networkingVersions,
  kind: "WorkloadEntry",
  plural: "workloadentries",
  namespaced: true,
  parse: parseWorkloadEntry,
});
