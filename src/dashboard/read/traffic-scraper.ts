import { isInsideAddress, messageOf, type Clock, type Logger } from "../../base/index.ts";
import type { SourceState } from "../../api/dashboard/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import { podWorkloadKey } from "../views/index.ts";
import type { AskPod, PodAddress } from "./pod-http.ts";
import { ProcessHistory } from "./process-history.ts";
import { TrafficReporters, type ReportersObjects } from "./reported-traffic.ts";
import { TargetCounters } from "./target-counters.ts";
import { TrafficHistory } from "./traffic-history.ts";

export const scrapeIntervalMs = 1000;
/**
 * The maximum number of scrapes per second, because a scrape of a sidecar costs half a millisecond. If there are more
 * targets, each is scraped less often.
 */
export const scrapesPerSecond = 300;
const scrapeTimeoutMs = 3000;
const maxConcurrentScrapes = 8;
/** The longest pause between two scrapes of a target that keeps failing. */
const maxPauseMs = 15_000;

export interface TrafficScraperOptions {
  readonly ask: AskPod;
  readonly clock: Clock;
  readonly log: Logger;
  readonly pods: () => readonly Pod[];
  /** The objects that now decide whose traffic pods may report. Undefined until they have been read. */
  readonly reporters: () => ReportersObjects | undefined;
  readonly onCounted: () => void;
}

interface Target {
  readonly address: PodAddress;
  readonly path: string;
  readonly workload: string;
  readonly startedAtMs: number;
  readonly counters: TargetCounters;
  failures: number;
  nextAtMs: number;
  problem: string;
}

/** Scrapes every proxy of the mesh once a second, and stores the increases of its counters. */
export class TrafficScraper {
  readonly history = new TrafficHistory();
  readonly processes = new ProcessHistory();
  readonly #options: TrafficScraperOptions;
  readonly #targets = new Map<string, Target>();
  /** Decides which series of a pod are accepted. Each round has a new one. */
  #reporters: TrafficReporters | undefined;
  #beganMs = 0;
  #roundEndedMs: number | undefined;
  #toldAtMs: number | undefined;

  constructor(options: TrafficScraperOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, onCounted } = this.#options;
    this.#beganMs = clock.nowMs();
    while (!signal.aborted) {
      const startedMs = clock.steadyMs();
      this.#findTargets();
      await this.#round(signal);
      if (signal.aborted) return;
      const nowMs = clock.nowMs();
      this.history.begin(nowMs);
      this.history.close(nowMs);
      this.#roundEndedMs = nowMs;
      onCounted();
      const pauseMs =
        Math.max(scrapeIntervalMs, (this.#targets.size / scrapesPerSecond) * 1000) - (clock.steadyMs() - startedMs);
      await clock.sleep(Math.max(20, pauseMs), signal).catch(() => undefined);
    }
  }

  source(): SourceState {
    const failing = [...this.#targets.values()].filter(({ failures }) => failures > 0);
    const asOf = this.#toldAtMs === undefined ? {} : { asOfMs: this.#toldAtMs };
    if (this.#roundEndedMs === undefined) return { name: "metrics", ok: false, problem: "no proxy has been asked yet" };
    if (this.#targets.size === 0)
      return {
        name: "metrics",
        ok: false,
        ...asOf,
        problem:
          "no pod has a proxy that reports its metrics (annotation prometheus.io/scrape): the mesh has no proxies yet, or pods may not be read",
      };
    const { dropped } = this.history;
    if (failing.length === this.#targets.size && failing.every(({ failures }) => failures > 1))
      return {
        name: "metrics",
        ok: false,
        ...asOf,
        problem: `none of ${this.#targets.size} proxies reports its metrics: ${failing[0]?.problem ?? ""}`,
      };
    if (dropped > 0)
      return {
        name: "metrics",
        ok: false,
        ...asOf,
        problem: `there are more series than the history keeps: ${dropped} increases were left out`,
      };
    // A few failures in a row are normal, because proxies come and go.
    const lasting = failing.filter(({ failures }) => failures > 3);
    if (lasting.length > 0)
      return {
        name: "metrics",
        ok: false,
        ...asOf,
        problem: `${lasting.length} of ${this.#targets.size} proxies do not report their metrics: ${lasting[0]?.address.pod ?? ""}: ${lasting[0]?.problem ?? ""}`,
      };
    return { name: "metrics", ok: true, ...asOf };
  }

  #findTargets(): void {
    const reporters = this.#options.reporters();
    if (reporters === undefined) return;
    this.#reporters = new TrafficReporters(reporters);
    const found = new Set<string>();
    for (const pod of this.#options.pods()) {
      const address = targetOf(pod);
      if (address === undefined) continue;
      const key = `${pod.metadata.uid ?? ""} ${address.ip}:${address.port}`;
      found.add(key);
      if (this.#targets.has(key)) continue;
      const startedAtMs = Date.parse(pod.status?.startTime ?? "");
      const path = pod.metadata.annotations?.["prometheus.io/path"] ?? "/metrics";
      this.#targets.set(key, {
        address,
        path: path.startsWith("/") ? path : `/${path}`,
        workload: podWorkloadKey(pod),
        startedAtMs: Number.isNaN(startedAtMs) ? 0 : startedAtMs,
        counters: new TargetCounters(
          pod.metadata.labels?.["app"],
          (labels) => this.#reporters?.mayReport(pod, labels) === true,
        ),
        failures: 0,
        nextAtMs: 0,
        problem: "",
      });
    }
    for (const key of this.#targets.keys()) if (!found.has(key)) this.#targets.delete(key);
  }

  async #round(signal: AbortSignal): Promise<void> {
    const nowMs = this.#options.clock.steadyMs();
    const due = [...this.#targets.values()].filter(({ nextAtMs }) => nextAtMs <= nowMs);
    const work = async (): Promise<void> => {
      for (let target = due.pop(); target !== undefined && !signal.aborted; target = due.pop())
        await this.#scrape(target, signal);
    };
    await Promise.all(Array.from({ length: Math.min(maxConcurrentScrapes, due.length) }, work));
  }

  async #scrape(target: Target, signal: AbortSignal): Promise<void> {
    const { ask, clock, log } = this.#options;
    const timeout = AbortSignal.timeout(scrapeTimeoutMs);
    try {
      const { status } = await ask(target.address, target.path, AbortSignal.any([signal, timeout]), (body) => {
        refuseGarbage(body);
        for (const gain of target.counters.take(body, target.startedAtMs > this.#beganMs))
          this.history.add(gain, target.address.namespace);
      });
      if (status !== 200) throw new Error(`it answers ${status}`);
      this.processes.add(target.workload, target.address.pod, clock.nowMs(), target.counters.process);
      this.#toldAtMs = clock.nowMs();
      target.failures = 0;
      target.problem = "";
    } catch (error) {
      if (signal.aborted) return;
      target.failures += 1;
      target.problem = timeout.aborted ? `no answer within ${scrapeTimeoutMs / 1000} s` : messageOf(error);
      target.nextAtMs =
        clock.steadyMs() + Math.min(maxPauseMs, scrapeIntervalMs * 2 ** Math.min(target.failures - 1, 4));
      log.debug("a proxy does not report its metrics", { pod: target.address.pod, error: target.problem });
    }
  }
}

const firstLineBytes = 4096;
const firstLine = /^\s*(#|[a-zA-Z_:][\w:]*(\{|[ \t]+[-+]?(\d|\.|NaN|Inf)))/;

/**
 * Throws for an answer that is no metrics text. Otherwise such a target would look like one without traffic. An empty
 * answer is valid: the proxy may not have counted anything yet.
 */
function refuseGarbage(body: Buffer): void {
  if (body.length > 0 && !firstLine.test(body.toString("latin1", 0, firstLineBytes)))
    throw new Error("its answer is not in the text format of metrics");
}

/**
 * Where a pod's proxy serves its metrics, according to the pod's annotations. Undefined without a proxy or an
 * annotation.
 */
function targetOf({ metadata, spec, status }: Pod): PodAddress | undefined {
  const { annotations = {}, name = "", namespace = "" } = metadata;
  const hasProxy =
    metadata.labels?.["app"] === "ztunnel" ||
    [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some(
      (container) => container.name === "istio-proxy",
    );
  if (
    !hasProxy ||
    annotations["prometheus.io/scrape"] !== "true" ||
    status?.phase !== "Running" ||
    isInsideAddress(status.podIP ?? "")
  )
    return undefined;
  const port = Number(annotations["prometheus.io/port"] ?? "");
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined;
  return { namespace, pod: name, ip: status.podIP ?? "", port };
}
