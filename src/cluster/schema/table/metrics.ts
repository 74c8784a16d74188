import { stringOf } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { arrayOf, objectOf } from "../json.ts";
import { parseQuantity } from "../quantity.ts";
import { at } from "./cell-text.ts";
import { columns, type TableForm } from "./column.ts";

/** The tables of the metrics API. A pod's usage is the sum of the usage of its containers. */
export const metricsTables: Readonly<Record<string, TableForm>> = {
  "metrics.k8s.io/nodes": {
    columns: columns("Name|cpu|memory|Window"),
    cells: (node) => cellsOf(node, [objectOf(node.usage)]),
  },
  "metrics.k8s.io/pods": {
    columns: columns("Name|cpu|memory|Window"),
    cells: (pod) =>
      cellsOf(
        pod,
        arrayOf(pod.containers).map((container) => objectOf(at(container, "usage"))),
      ),
  },
};

function cellsOf(object: UntypedObject, usages: readonly Record<string, unknown>[]): unknown[] {
  const sum = (resource: string): bigint =>
    usages.reduce((total, usage) => total + (parseQuantity(stringOf(usage[resource]))?.nanos ?? 0n), 0n);
  return [
    object.metadata.name,
    `${sum("cpu")}n`,
    `${sum("memory") / (1_024n * 1_000_000_000n)}Ki`,
    stringOf(object["window"]),
  ];
}
