// The metrics API, which metrics-server adds to other clusters. It returns the current resource use of nodes and pods,
// as their nodes measure it.
import type { UntypedObject } from "../../api/index.ts";
import { stringOf, treeOf, messageOf, rfc3339Seconds, type Tree } from "../../base/index.ts";
import { apiVersionOf, type ResourceType } from "../schema/contract.ts";
import { metricsGroup } from "../schema/metrics-types.ts";
import type { StoredRecord } from "../store/index.ts";
import { includeObjectOf, nowText, sendForm, type ResourceContext, type ServerParts } from "./context.ts";
import { answerFormOf } from "./negotiate.ts";
import { nodeTarget } from "./proxy-targets.ts";
import { selectionOf } from "./read.ts";
import { notFound } from "./status.ts";

export function isMetrics(type: ResourceType): boolean {
  return type.group === metricsGroup;
}

/**
 * Answers a get or a list. The answer omits objects without measurements: pods that do not run, and unreachable nodes.
 */
export async function answerMetrics(parts: ServerParts, context: ResourceContext): Promise<void> {
  const { info, query, type } = context;
  const form = answerFormOf(context.request.headers.accept);
  const records = measuredRecords(parts, context);
  const metrics =
    type.plural === "nodes" ? await nodeMetrics(parts, type, records) : await podMetrics(parts, type, records);
  const include = includeObjectOf(query);
  if (info.verb === "list")
    return await sendForm(context, 200, form, parts.encoder.computedList(type, metrics, form, include));
  const [object] = metrics;
  if (object === undefined) {
    const name = type.namespaced ? `${info.namespace}/${info.name}` : info.name;
    throw notFound({ group: metricsGroup, plural: type.kind.toLowerCase() }, name);
  }
  await sendForm(context, 200, form, parts.encoder.object(type, object, form, include));
}

function measuredRecords(parts: ServerParts, context: ResourceContext): readonly StoredRecord[] {
  const { info, type } = context;
  const collection = parts.store.collection(`/${type.plural}`);
  if (info.verb === "get") {
    const record = collection.get(type.namespaced ? info.namespace : "", info.name);
    return record === undefined ? [] : [record];
  }
  // Field selectors of a metrics object select by the fields of the measured pod or node.
  const measured = parts.registry.resource("", "v1", type.plural) ?? type;
  const { namespace, matches } = selectionOf({ ...context, type: measured });
  const all = collection.list(namespace);
  return matches === undefined ? all : all.filter(matches);
}

interface Stats {
  readonly timeMs: number;
  readonly windowMs: number;
  readonly usageNanoCores: number;
  readonly workingSetBytes: number;
}

interface Summary {
  readonly node: Stats | undefined;
  /** The containers of each pod, by the pod's uid. */
  readonly pods: ReadonlyMap<string, readonly (Stats & { readonly name: string })[]>;
}

async function nodeMetrics(
  parts: ServerParts,
  type: ResourceType,
  records: readonly StoredRecord[],
): Promise<UntypedObject[]> {
  const summaries = await summariesOf(
    parts,
    records.map(({ name }) => name),
  );
  return records.flatMap((record) => {
    const stats = summaries.get(record.name)?.node;
    return stats === undefined ? [] : [{ ...headOf(parts, type, record, stats), usage: usageOf(stats) }];
  });
}

async function podMetrics(
  parts: ServerParts,
  type: ResourceType,
  records: readonly StoredRecord[],
): Promise<UntypedObject[]> {
  const nodeOf = (record: StoredRecord): string =>
    (record.object["spec"] as { nodeName?: string } | undefined)?.nodeName ?? "";
  const summaries = await summariesOf(
    parts,
    records.map(nodeOf).filter((name) => name !== ""),
  );
  return records.flatMap((record) => {
    // A node may report only about its own pods, so that it cannot influence the autoscalers of other pods.
    const containers = summaries.get(nodeOf(record))?.pods.get(record.object.metadata.uid ?? "") ?? [];
    const [first] = containers;
    if (first === undefined) return [];
    const used = containers.map((stats) => ({ name: stats.name, usage: usageOf(stats) }));
    return [{ ...headOf(parts, type, record, first), containers: used }];
  });
}

/** The current measurements of the nodes that answer, by node name. */
async function summariesOf(parts: ServerParts, nodes: readonly string[]): Promise<Map<string, Summary>> {
  const found = new Map<string, Summary>();
  const read = async (name: string): Promise<void> => {
    try {
      found.set(name, summaryOf(await parts.nodes.read(nodeTarget(parts, name, "/stats/summary"))));
    } catch (error) {
      parts.log.debug("a node does not report what its pods use", { node: name, error: messageOf(error) });
    }
  };
  await Promise.all([...new Set(nodes)].map(read));
  return found;
}

function listOf(value: unknown): readonly Tree[] {
  return Array.isArray(value) ? value.map(treeOf) : [];
}

/**
 * The valid parts of a node's answer. A pod with an invalid container has no containers here, because the sum of the
 * remaining ones would be wrong.
 */
function summaryOf(value: unknown): Summary {
  const { node, pods } = treeOf(value);
  return {
    node: statsOf(treeOf(node)),
    pods: new Map(
      listOf(pods).map(({ podRef, containers }) => {
        const measured = listOf(containers).flatMap((container) => {
          const stats = statsOf(container);
          return stats === undefined ? [] : [{ name: stringOf(container["name"]), ...stats }];
        });
        const isWhole = measured.length === listOf(containers).length;
        return [stringOf(treeOf(podRef)["uid"]), isWhole ? measured : []];
      }),
    ),
  };
}

/**
 * The usage of a node or a container. Returns undefined if the time or an amount is invalid, because one invalid value
 * would make the whole list unreadable for clients.
 */
function statsOf(container: Tree): Stats | undefined {
  const cpu = treeOf(container["cpu"]);
  const time = stringOf(cpu["time"]);
  const timeMs = /^\d{4}-.*Z$/.test(time) ? Date.parse(time) : NaN;
  const windowMs = amountOf(wholeOf(cpu["windowMs"]));
  const usageNanoCores = amountOf(cpu["usageNanoCores"]);
  const workingSetBytes = amountOf(treeOf(container["memory"])["workingSetBytes"]);
  if (Number.isNaN(timeMs) || windowMs === undefined) return undefined;
  if (usageNanoCores === undefined || workingSetBytes === undefined) return undefined;
  return { timeMs, windowMs, usageNanoCores, workingSetBytes };
}

/** Rounds a measured time, because nodes send fractions of a millisecond. */
function wholeOf(value: unknown): unknown {
  return typeof value === "number" ? Math.round(value) : value;
}

function amountOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function headOf(
  parts: ServerParts,
  type: ResourceType,
  record: StoredRecord,
  { timeMs, windowMs }: Stats,
): UntypedObject {
  return {
    kind: type.kind,
    apiVersion: apiVersionOf(type),
    metadata: {
      name: record.name,
      ...(record.namespace === "" ? {} : { namespace: record.namespace }),
      creationTimestamp: nowText(parts.clock),
      ...(Object.keys(record.labels).length === 0 ? {} : { labels: record.labels }),
    },
    timestamp: rfc3339Seconds(timeMs),
    window: `${windowMs / 1_000}s`,
  };
}

function usageOf({ usageNanoCores, workingSetBytes }: Stats): { cpu: string; memory: string } {
  return {
    cpu: `${Math.round(usageNanoCores)}n`,
    memory: `${Math.round(workingSetBytes / 1_024)}Ki`,
  };
}
