import { defineKind } from "../../kind.ts";
import type { KubernetesObject } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import { areRepeated, type Reader } from "../../reader.ts";
import { checkLabels, checkSelectorLabels, readExportTo } from "../checks.ts";
import { isDnsLabel, wildcardDomainFault } from "../domain-names.ts";
import { openObject, refuseDryRun, refuseUnknown, requireText } from "../fields.ts";
import { networkingGroup, networkingVersions } from "../networking-group.ts";
import { readTrafficPolicy, type TrafficPolicy } from "./traffic-policy.ts";

export interface DestinationRule extends KubernetesObject {
  spec: DestinationRuleSpec;
}

export interface DestinationRuleSpec {
  /** The host as the user wrote it. A short name belongs to the rule's namespace. It may begin with `*.`. */
  readonly host: string;
  readonly trafficPolicy?: TrafficPolicy | undefined;
  readonly subsets: readonly DestinationSubset[];
  /**
   * The namespaces that see the rule. `.` means its own namespace, and `*` all. An empty list means the mesh's default.
   */
  readonly exportTo: readonly string[];
  /** The clients that the rule applies to, within the rule's namespace. Absent means all clients. */
  readonly workloadSelector?: { readonly matchLabels: Readonly<Record<string, string>> } | undefined;
}

export interface DestinationSubset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly trafficPolicy?: TrafficPolicy | undefined;
}

export function parseDestinationRule(raw: unknown): Parsed<DestinationRule> {
  const opened = openObject(raw);
  const { object, spec: reader, namespace } = opened;
  refuseDryRun(opened);
  const selector = reader.object("workloadSelector");
  const host = requireText(reader, "host");
  const fault = host === "" ? undefined : wildcardDomainFault(host);
  if (fault !== undefined) reader.error(fault, "host");
  const spec: DestinationRuleSpec = {
    host,
    trafficPolicy: readTrafficPolicy(reader.object("trafficPolicy"), namespace),
    subsets: reader.objects("subsets").map((entry) => readSubset(entry, namespace)),
    exportTo: readExportTo(reader, { namespace, ownNamespaceOnly: selector !== undefined }),
    workloadSelector: selector === undefined ? undefined : { matchLabels: selector.stringMap("matchLabels") },
  };
  const repeated = areRepeated(spec.subsets.map(({ name }) => name));
  for (const [index, { name }] of spec.subsets.entries()) {
    if (repeated[index] === true) reader.error(`appears twice, got "${name}"; rename one`, `subsets[${index}].name`);
  }
  if (spec.workloadSelector !== undefined)
    checkSelectorLabels(reader, "workloadSelector.matchLabels", spec.workloadSelector.matchLabels);
  refuseUnknown(selector);
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as DestinationRule), spec }));
}

function readSubset(reader: Reader, namespace: string): DestinationSubset {
  const subset = {
    name: requireText(reader, "name"),
    labels: reader.stringMap("labels"),
    trafficPolicy: readTrafficPolicy(reader.object("trafficPolicy"), namespace),
  };
  if (subset.name !== "" && !isDnsLabel(subset.name))
    reader.error(`must be letters, digits and dashes, got "${subset.name}"`, "name");
  checkLabels(reader, "labels", subset.labels);
  refuseUnknown(reader);
  return subset;
}

export const destinationRuleKind = defineKind<DestinationRule>({
  group: networkingGroup,
  versions: networkingVersions,
  kind: "DestinationRule",
  plural: "destinationrules",
  namespaced: true,
  parse: parseDestinationRule,
});
