import { silentLogger, type Clock, type Logger } from "../../base/index.ts";
import type { CallCluster } from "../filters/filter-services.ts";
import type { FilterStatistics } from "../filters/filter-statistics.ts";
import { SpanExporter, type SpanTarget } from "./span-exporter.ts";
import type { TracedNode } from "./span-tags.ts";

export interface SpanExportsOptions {
  readonly node: TracedNode;
  readonly callCluster: CallCluster;
  readonly statistics: FilterStatistics;
  readonly clock: Clock;
  readonly log?: Logger;
}

/** Collectors that a proxy sends to at once; what would go to further ones is refused. */
const maxExporters = 32;

/** The exporters of a proxy. Listeners whose spans go to the same collector in the same way share one. */
export class SpanExports {
  readonly #options: SpanExportsOptions;
  readonly #exporters = new Map<string, SpanExporter>();

  constructor(options: SpanExportsOptions) {
    this.#options = options;
  }

  get node(): TracedNode {
    return this.#options.node;
  }

  /** `key` stands for all that the target says; undefined when there are too many. */
  to(key: string, target: SpanTarget): SpanExporter | undefined {
    const known = this.#exporters.get(key);
    if (known !== undefined) return known;
    if (this.#exporters.size >= maxExporters) return undefined;
    const { callCluster, statistics, clock, log = silentLogger } = this.#options;
    const made = new SpanExporter({ target, callCluster, statistics, clock, log });
    this.#exporters.set(key, made);
    return made;
  }

  /** See {@link SpanExporter.flush}. */
  async flush(limitMs: number): Promise<void> {
    await Promise.all([...this.#exporters.values()].map((exporter) => exporter.flush(limitMs)));
  }
}
