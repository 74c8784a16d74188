import { isAddress } from "../../../base/index.ts";
import { defineKind } from "../../kind.ts";
import type { KubernetesObject } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import type { Reader } from "../../reader.ts";
import { checkLabels, checkPortName, domainOrAddressFault, unixPathFault, unixPrefix } from "../checks.ts";
import { maxUint32, openObject, readPortNumber, readText, refuseDryRun, refuseUnknown } from "../fields.ts";
import { networkingGroup, networkingVersions } from "../networking-group.ts";

export interface WorkloadEntry extends KubernetesObject {
  spec: WorkloadEntrySpec;
  status?: WorkloadEntryStatus;
}

export interface WorkloadEntryStatus {
  readonly conditions?: readonly IstioCondition[];
  readonly observedGeneration?: number | string;
}

/** A condition of Istio's own kinds (meta/v1alpha1). 64-bit numbers may be strings. */
export interface IstioCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastProbeTime?: string;
  readonly lastTransitionTime?: string;
  readonly observedGeneration?: number | string;
}

export interface WorkloadEntrySpec {
  /**
   * An address, a DNS name (if a ServiceEntry resolves names), or `unix://` and a path. Absent only if a network is
   * set.
   */
  readonly address?: string | undefined;
  /** The workload's port numbers, keyed by the name of the service's port. */
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly network?: string | undefined;
  /** `region/zone/subzone`. */
  readonly locality?: string | undefined;
  /** Absent means 1. */
  readonly weight?: number | undefined;
  readonly serviceAccount?: string | undefined;
}

export interface WorkloadEntryRules {
  /** Whether the address may be a DNS name, because the ServiceEntry resolves names. */
  readonly allowNames: boolean;
  readonly servicePorts?: readonly string[];
  /** Whether the entry is a WorkloadGroup's template. It may have no address, because the workload adds it. */
  readonly isTemplate?: boolean;
}

function parseWorkloadEntry(raw: unknown): Parsed<WorkloadEntry> {
  const opened = openObject(raw);
  const { object, spec: reader } = opened;
  refuseDryRun(opened);
  const spec = readWorkloadEntry(reader, { allowNames: true });
  return object.finish(() => ({ ...(raw as WorkloadEntry), spec }));
}

export function readWorkloadEntry(reader: Reader, rules: WorkloadEntryRules): WorkloadEntrySpec {
  const ports = reader.object("ports");
  const names = Object.keys((ports?.raw as object | undefined) ?? {});
  const entry: WorkloadEntrySpec = {
    address: readText(reader, "address"),
    ports: Object.fromEntries(
      names.map((name) => [name, (ports === undefined ? undefined : readPortNumber(ports, name)) ?? 0]),
    ),
    labels: reader.stringMap("labels"),
    network: readText(reader, "network"),
    locality: readText(reader, "locality"),
    weight: reader.integer("weight", 0, maxUint32) || undefined,
    serviceAccount: readText(reader, "serviceAccount"),
  };
  checkAddress(reader, entry, rules);
  for (const name of names) {
    checkPortName(reader, `ports.${name}`, name);
    if (rules.servicePorts?.includes(name) === false)
      reader.error(
        `must be the name of a port of the ServiceEntry (${rules.servicePorts.join(", ")}), got "${name}"`,
        `ports.${name}`,
      );
  }
  checkLabels(reader, "labels", entry.labels);
  refuseUnknown(reader);
  return entry;
}

function checkAddress(reader: Reader, entry: WorkloadEntrySpec, rules: WorkloadEntryRules): void {
  const { address, network } = entry;
  if (address === undefined) {
    if (rules.isTemplate === true) return;
    if (network === undefined) reader.error("is required, unless there is a network", "address");
    else reader.warn(`is not set: the endpoint is reached through the gateway of the network "${network}"`, "address");
    return;
  }
  if (address.startsWith(unixPrefix)) {
    const fault = unixPathFault(address.slice(unixPrefix.length));
    if (fault !== undefined) reader.error(fault, "address");
    if (Object.keys(entry.ports).length > 0) reader.error("must not be set for a unix socket", "ports");
    if (rules.servicePorts !== undefined && rules.servicePorts.length !== 1)
      reader.error("needs exactly one port in the ServiceEntry when it is a unix socket", "address");
    return;
  }
  if (isAddress(address)) return;
  const fault = rules.allowNames
    ? domainOrAddressFault(address)
    : `must be an IP address, got "${address}"; use the resolution DNS for names`;
  if (fault !== undefined) reader.error(fault, "address");
}

export const workloadEntryKind = defineKind<WorkloadEntry>({
  group: networkingGroup,
  versions: networkingVersions,
  kind: "WorkloadEntry",
  plural: "workloadentries",
  namespaced: true,
  parse: parseWorkloadEntry,
});
