import { silentLogger, type Clock, type Logger } from "../../base/index.ts";
import type { CallCluster } from "../terms/call-cluster.ts";
import type { FilterStatistics } from "../terms/filter-statistics.ts";
import { BatchExporter, type ExportTarget } from "./batch-exporter.ts";
import type { TracedNode } from "./traced-node.ts";

export interface CollectorExportsOptions {
  readonly node: TracedNode;
  readonly callCluster: CallCluster;
  readonly statistics: FilterStatistics;
  readonly clock: Clock;
  readonly log?: Logger;
}

/** The maximum number of collectors to which a proxy sends. Further ones are refused. */
const maxExporters = 32;

/**
 * The exporters of a proxy. Listeners share an exporter if they send spans or logs to the same collector in the same
 * form.
 */
export class CollectorExports {
  readonly #options: CollectorExportsOptions;
  readonly #exporters = new Map<string, BatchExporter<never>>();

  constructor(options: CollectorExportsOptions) {
    this.#options = options;
  }

  get node(): TracedNode {
    return this.#options.node;
  }

  /**
   * Returns the exporter for a target. `key` identifies the target and the form of its items. Undefined if there are
   * too many exporters.
   */
  to<Item>(key: string, target: ExportTarget<Item>): BatchExporter<Item> | undefined {
    const known = this.#exporters.get(key) as BatchExporter<Item> | undefined;
    if (known !== undefined) return known;
    if (this.#exporters.size >= maxExporters) return undefined;
    const { callCluster, statistics, clock, log = silentLogger } = this.#options;
    const made = new BatchExporter<Item>({ target, callCluster, statistics, clock, log });
    this.#exporters.set(key, made as unknown as BatchExporter<never>);
    return made;
  }

  async flush(limitMs: number): Promise<void> {
    await Promise.all([...this.#exporters.values()].map((exporter) => exporter.flush(limitMs)));
  }
}
