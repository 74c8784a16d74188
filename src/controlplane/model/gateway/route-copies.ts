import { copiedLength, maxCopiedLength } from "../../../api/istio/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import type { HttpRouteFacts } from "../facts.ts";
import { memos } from "../memos.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import type { ParentAttachment, ServiceParent } from "./route-attachment.ts";

type Rules = HttpRouteFacts["spec"]["rules"];

/**
 * How many routes a proxy may get from one HTTPRoute or GRPCRoute: one for each match, multiplied by the hostnames of
 * its listeners or by the ports of its Services. Without this limit, a route of 8 kB could make 65,536 of them.
 */
export const maxRouteCopies = 16_384;

const lengths = memos.memo<Rules, number>("lengths-of-http-routes");

/** The length of the rules as JSON in which each match repeats the rest of its rule. */
function lengthOf(rules: Rules): number {
  return rules.reduce(
    (sum, rule) =>
      sum + copiedLength({ matches: rule.matches }) + Math.max(1, rule.matches.length) * copiedLength(rule, "matches"),
    0,
  );
}

/**
 * The parents of a route, in which those are refused for which a proxy would need too many routes: each hostname of
 * each listener, and each port of a Service, has a copy of all rules.
 */
export function withinCopies(
  { spec: { rules } }: HttpRouteFacts,
  parents: readonly ParentAttachment[],
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly ParentAttachment[] {
  const length = lengths.of(rules, lengthOf);
  const matches = rules.reduce((sum, rule) => sum + Math.max(1, rule.matches.length), 0);
  const most = Math.min(Math.floor(maxCopiedLength / length), Math.floor(maxRouteCopies / Math.max(1, matches)));
  let total = 0;
  return parents.map((parent) => {
    if (parent.refused !== undefined) return parent;
    const copies =
      parent.service === undefined
        ? parent.listeners.reduce((sum, { hostnames }) => sum + hostnames.length, 0)
        : portsOf(parent.service, inputs, reader);
    if (total + copies <= most) {
      total += copies;
      return parent;
    }
    const message = `with this parent, the ${matches} matches (${length} characters with their rules) have ${total + copies} copies, one for each hostname of each listener and each port of a Service; at most ${maxRouteCopies} matches and ${maxCopiedLength} characters may be in all copies together; name fewer parents, ports or hostnames, or divide the route`;
    return { ...parent, listeners: [], refused: { reason: "UnsupportedValue", message } };
  });
}

function portsOf({ registry, key, port }: ServiceParent, inputs: MeshInputs, reader: CollectionReader): number {
  const entry = registry === "Kubernetes" ? undefined : reader.get(inputs.serviceEntries, key)?.spec;
  const hosts = entry?.hosts.length ?? 1;
  if (port !== undefined) return hosts;
  return hosts * (entry?.ports.length ?? reader.get(inputs.services, key)?.ports.length ?? 1);
}
