import type { KindDefinition } from "../../api/index.ts";
import { storedRollout } from "../../api/serin/index.ts";
import { userError } from "../../base/index.ts";
import type { CliContext } from "../context.ts";
import { outputFormat, renderObjects } from "../terminal/output.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import { rolloutKindOf, type Rollout, type RolloutFlags } from "./rollout-objects.ts";

export interface ListFlags extends RolloutFlags {
  readonly output?: string;
  readonly allNamespaces?: boolean;
}

export async function listRollouts<Value extends Rollout>(
  kind: KindDefinition<Value>,
  flags: ListFlags,
  context: CliContext,
): Promise<void> {
  if (flags.allNamespaces === true && flags.namespace !== undefined)
    throw userError("arguments-conflict", `-A means all namespaces, and -n says ${flags.namespace}`, {
      hint: "use one of them",
    });
  const format = outputFormat(flags.output, ["json", "yaml"]);
  const client = await context.connect(flags);
  const { items } = await client.list(
    kind,
    kind.namespaced && flags.namespace !== undefined ? { namespace: flags.namespace } : {},
  );
  if (format !== "table") {
    context.out(await renderObjects(items, format));
    return;
  }
  if (items.length === 0) {
    context.out(`no ${kind.kind} exists\n`);
    return;
  }
  const header = [
    ...(kind.namespaced ? ["NAMESPACE"] : []),
    "NAME",
    "PHASE",
    "PROGRESS",
    ...(kind.namespaced ? ["WEIGHT"] : ["FROM", "TO"]),
    "STEP",
  ];
  const readable = items.map((item) => storedRollout(rolloutKindOf(kind), item));
  const rows = readable.map((item) => [
    ...(kind.namespaced ? [item.metadata.namespace ?? ""] : []),
    item.metadata.name ?? "",
    item.status?.phase ?? "",
    item.status?.progress ?? "",
    ...("from" in item.spec
      ? [item.spec.from.revision, item.spec.to.revision]
      : [item.status?.weight === undefined ? "" : `${item.status.weight} %`]),
    item.status?.cause ?? item.status?.step?.title ?? "",
  ]);
  context.out(fittedTable(header, rows, { columns: context.columns() }));
}
