import type { Clock } from "../base/index.ts";
import type { Counter, Histogram, MetricFamily, MetricsRegistry } from "../telemetry/index.ts";

/** The bounds of the histogram buckets in seconds, as in controller-runtime: from 1e-8 to 1e3, in powers of ten. */
const bounds = Array.from({ length: 12 }, (_, power) => Number(`1e${power - 8}`));

/**
 * Metrics of a process's work queues, with client-go's names. Queues with the same name share metrics. Create one
 * instance for each registry.
 */
export class QueueMetrics {
  readonly #depth;
  readonly #unfinished;
  readonly #longest;
  readonly #adds: MetricFamily<Counter>;
  readonly #retries: MetricFamily<Counter>;
  readonly #queueDuration: MetricFamily<Histogram>;
  readonly #workDuration: MetricFamily<Histogram>;
  readonly #running = new Set<MeasuredQueue>();
  /** The names of all queues, including ended ones, whose gauges are 0. */
  readonly #names = new Set<string>();

  constructor(registry: MetricsRegistry) {
    const labels = ["name"];
    this.#depth = registry.gauge("workqueue_depth", "Current depth of workqueue", labels);
    this.#unfinished = registry.gauge(
      "workqueue_unfinished_work_seconds",
      "Seconds of work on the keys that are being processed now, added up.",
      labels,
    );
    this.#longest = registry.gauge(
      "workqueue_longest_running_processor_seconds",
      "Seconds for which the longest running key has been processed.",
      labels,
    );
    this.#adds = registry.counter(
      "workqueue_adds_total",
      "Keys that were added. A key that already waits does not count again.",
      labels,
    );
    this.#retries = registry.counter(
      "workqueue_retries_total",
      "Keys that were added for later, after a failure or at their own request.",
      labels,
    );
    this.#queueDuration = registry.histogram(
      "workqueue_queue_duration_seconds",
      "Seconds for which a key waits in the queue.",
      labels,
      bounds,
    );
    this.#workDuration = registry.histogram(
      "workqueue_work_duration_seconds",
      "Seconds that the work on a key takes.",
      labels,
      bounds,
    );
    registry.onCollect(() => {
      for (const name of this.#names) this.#collect(name);
    });
  }

  queue(name: string, clock: Clock): MeasuredQueue {
    this.#names.add(name);
    return new MeasuredQueue({
      name,
      clock,
      running: this.#running,
      adds: this.#adds.labels(name),
      retries: this.#retries.labels(name),
      queueDuration: this.#queueDuration.labels(name),
      workDuration: this.#workDuration.labels(name),
    });
  }

  #collect(name: string): void {
    const queues = [...this.#running].filter((queue) => queue.name === name);
    const working = queues.flatMap((queue) => queue.workingSeconds());
    this.#depth.labels(name).set(queues.reduce((sum, { depth }) => sum + depth, 0));
    this.#unfinished.labels(name).set(working.reduce((sum, seconds) => sum + seconds, 0));
    this.#longest.labels(name).set(working.reduce((most, seconds) => Math.max(most, seconds), 0));
  }
}

interface MeasuredQueueOptions {
  readonly name: string;
  readonly clock: Clock;
  /** The queues that run now. Only these contribute to the gauges. */
  readonly running: Set<MeasuredQueue>;
  readonly adds: Counter;
  readonly retries: Counter;
  readonly queueDuration: Histogram;
  readonly workDuration: Histogram;
}

/** The measurements of one queue. The reconciler reports each step of a key to it. */
class MeasuredQueue {
  readonly #options: MeasuredQueueOptions;
  /** When each waiting key was added. A key that is added while it is being processed also waits. */
  readonly #waiting = new Map<string, number>();
  readonly #working = new Map<string, number>();

  constructor(options: MeasuredQueueOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get depth(): number {
    return this.#waiting.size;
  }

  workingSeconds(): number[] {
    const nowMs = this.#options.clock.steadyMs();
    return [...this.#working.values()].map((sinceMs) => (nowMs - sinceMs) / 1000);
  }

  /** Adds the queue to the gauges until the result is disposed. */
  shown(): Disposable {
    const { running } = this.#options;
    running.add(this);
    return { [Symbol.dispose]: () => void running.delete(this) };
  }

  added(key: string): void {
    if (this.#waiting.has(key)) return;
    this.#waiting.set(key, this.#options.clock.steadyMs());
    this.#options.adds.increment();
  }

  addedForLater(): void {
    this.#options.retries.increment();
  }

  taken(key: string): void {
    const nowMs = this.#options.clock.steadyMs();
    this.#options.queueDuration.observe((nowMs - (this.#waiting.get(key) ?? nowMs)) / 1000);
    this.#waiting.delete(key);
    this.#working.set(key, nowMs);
  }

  done(key: string): void {
    const nowMs = this.#options.clock.steadyMs();
    this.#options.workDuration.observe((nowMs - (this.#working.get(key) ?? nowMs)) / 1000);
    this.#working.delete(key);
  }
}
