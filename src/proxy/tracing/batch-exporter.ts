import { messageOf, transientError, type Clock, type Logger } from "../../base/index.ts";
import type { CallCluster, ClusterAnswer, ClusterRequest } from "../terms/call-cluster.ts";
import type { FilterStatistics } from "../terms/filter-statistics.ts";
import { grpcFrame } from "../terms/grpc-call.ts";

/** The maximum size of one message to a collector: the size that a gRPC server accepts by default. */
export const maxExportBytes = 4 * 1024 * 1024;

/**
 * A message, and how many of the items are in it, from the first one on. 0 if the first item alone is larger than
 * {@link maxExportBytes}.
 */
export interface EncodedBatch {
  readonly message: Buffer;
  readonly taken: number;
}

/** Encodes items for a collector, as many as fit into {@link maxExportBytes}. The first call loads the encoder. */
export type EncodeBatch<Item> = (items: readonly Item[]) => Promise<EncodedBatch>;

export interface ExportTarget<Item> {
  /** The prefix of the statistics' names, such as `tracing.zipkin`, and the word for the items in these names. */
  readonly statPrefix: string;
  readonly items: "spans" | "logs";
  readonly encode: EncodeBatch<Item>;
  /** The request, without its body and without the fields that the exporter adds. */
  readonly request: Pick<ClusterRequest, "cluster" | "protocol" | "path" | "authority" | "headers" | "timeoutMs">;
  readonly isGrpc: boolean;
}

export interface BatchExporterOptions<Item> {
  readonly target: ExportTarget<Item>;
  readonly callCluster: CallCluster;
  readonly statistics: FilterStatistics;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The maximum number of waiting items. Further items are dropped and counted. */
const maxWaiting = 2048;
const maxBatch = 512;
/** The pause between two requests while few items arrive. */
const flushIntervalMs = 1000;
const maxAnswerBytes = 65_536;
const firstError = 300;

/**
 * Sends spans or log lines to a collector in batches, one request at a time. As in Envoy, a batch that the collector
 * does not accept is dropped and counted.
 */
export class BatchExporter<Item> {
  readonly #options: BatchExporterOptions<Item>;
  readonly #aborted = new AbortController();
  #waiting: Item[] = [];
  #sending: Promise<void> | undefined;
  #timer: Disposable | undefined;
  #isFailing = false;
  /** Whether items of the last batch are left that did not fit into its message. They are sent next. */
  #hasRest = false;

  constructor(options: BatchExporterOptions<Item>) {
    this.#options = options;
  }

  /** Loads the encoder in advance, so that the first items do not wait for it. */
  prepare(): void {
    this.#options.target
      .encode([])
      .catch((error: unknown) =>
        this.#options.log.warn(`${this.#options.target.items} cannot be written`, { error: messageOf(error) }),
      );
  }

  add(item: Item): void {
    if (this.#waiting.length >= maxWaiting) {
      this.#count(`${this.#options.target.items}_dropped`, 1);
      return;
    }
    this.#waiting.push(item);
    if (this.#waiting.length >= maxBatch) this.#send();
    else this.#wait();
  }

  /** Sends all waiting items. Resolves when they are sent or dropped, or after `limitMs`. */
  async flush(limitMs: number): Promise<void> {
    using _limit = this.#options.clock.after(limitMs, () => this.#aborted.abort());
    while ((this.#waiting.length > 0 || this.#sending !== undefined) && !this.#aborted.signal.aborted) {
      this.#send();
      await this.#sending;
    }
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #wait(): void {
    this.#timer ??= this.#options.clock.after(flushIntervalMs, () => {
      this.#timer = undefined;
      this.#send();
    });
  }

  #send(): void {
    if (this.#sending !== undefined || this.#waiting.length === 0) return;
    const batch = this.#waiting.slice(0, maxBatch);
    this.#waiting = this.#waiting.slice(batch.length);
    this.#sending = this.#export(batch).finally(() => {
      this.#sending = undefined;
      if (this.#waiting.length >= maxBatch || (this.#hasRest && this.#waiting.length > 0)) this.#send();
      else if (this.#waiting.length > 0) this.#wait();
    });
  }

  async #export(batch: readonly Item[]): Promise<void> {
    const { target, callCluster, log } = this.#options;
    this.#hasRest = false;
    let going = batch.length;
    try {
      const { message, taken } = await target.encode(batch);
      if (taken < batch.length) this.#putBack(batch.slice(Math.max(1, taken)));
      // If no item fits, the first one alone is too large. Drop it.
      going = Math.max(1, taken);
      if (taken === 0)
        throw transientError("export-refused", `one of them is larger than a message may be (${maxExportBytes} bytes)`);
      const body = target.isGrpc ? grpcFrame(message) : message;
      const answer = await callCluster(
        { ...target.request, method: "POST", body, maxAnswerBytes },
        this.#aborted.signal,
      );
      const problem = problemOf(answer, target.isGrpc);
      if (problem !== undefined) throw transientError("export-refused", problem);
      this.#count(`${target.items}_sent`, going);
      if (this.#isFailing) log.info(`the collector accepts ${target.items} again`, { cluster: target.request.cluster });
      this.#isFailing = false;
    } catch (error) {
      this.#count(`${target.items}_dropped`, going);
      this.#count("reports_failed", 1);
      if (!this.#isFailing)
        log.warn(`the collector does not accept ${target.items}: they are dropped and counted`, {
          cluster: target.request.cluster,
          error: messageOf(error),
        });
      this.#isFailing = true;
    }
  }

  #putBack(rest: readonly Item[]): void {
    this.#waiting = [...rest, ...this.#waiting];
    this.#hasRest = true;
  }

  #count(name: string, amount: number): void {
    const { statistics, target } = this.#options;
    statistics.counter(`${target.statPrefix}.${name}`).value += amount;
  }
}

function problemOf({ status, headers }: ClusterAnswer, isGrpc: boolean): string | undefined {
  if (status >= firstError) return `it answered ${status}`;
  if (!isGrpc) return undefined;
  const headerOf = (name: string): string | undefined => headers.find(([key]) => key === name)?.[1];
  const code = headerOf("grpc-status") ?? "2";
  return code === "0" ? undefined : `it answered gRPC status ${code}: ${headerOf("grpc-message") ?? ""}`;
}
