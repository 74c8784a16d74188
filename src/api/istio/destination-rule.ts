import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { readSpec, readText, refuseUnknown, requireText } from "./fields.ts";
import { readTrafficPolicy, type TrafficPolicy } from "./traffic-policy.ts";
import { networkingGroup, networkingVersions } from "./virtual-service.ts";

/** networking.istio.io DestinationRule: how to talk to a host once a route has led there. */
export interface DestinationRule extends KubernetesObject {
  spec: DestinationRuleSpec;
}

export interface DestinationRuleSpec {
  /** As written: a short name means one of the rule's namespace; may begin with `*.`. */
  readonly host: string;
  readonly trafficPolicy?: TrafficPolicy | undefined;
  readonly subsets: readonly DestinationSubset[];
  /** Namespaces that see it, `.` its own, `*` all; empty: the mesh's default. */
  readonly exportTo: readonly string[];
  /** The clients that it holds for, of its own namespace; absent: all. */
  readonly workloadSelector?: { readonly matchLabels: Readonly<Record<string, string>> } | undefined;
}

/** Endpoints of the host whose pods have the labels. */
export interface DestinationSubset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly trafficPolicy?: TrafficPolicy | undefined;
}

export function parseDestinationRule(raw: unknown): Parsed<DestinationRule> {
  const object = new Reader(raw);
  const reader = readSpec(object);
  const selector = reader.object("workloadSelector");
  const spec: DestinationRuleSpec = {
    host: requireText(reader, "host"),
    trafficPolicy: readTrafficPolicy(reader.object("trafficPolicy")),
    subsets: reader.list("subsets").map(readSubset),
    exportTo: reader.strings("exportTo"),
    workloadSelector: selector === undefined ? undefined : { matchLabels: selector.stringMap("matchLabels") },
  };
  refuseUnknown(selector);
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as DestinationRule), spec }));
}

function readSubset(reader: Reader): DestinationSubset {
  const subset = { name: readText(reader, "name") ?? "", labels: reader.stringMap("labels"), trafficPolicy: readTrafficPolicy(reader.object("trafficPolicy")) };
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
