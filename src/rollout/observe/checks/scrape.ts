import { messageOf, ownCopy, systemClock, transientError, type Clock } from "../../../base/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { ScrapeTurns } from "../../../base/scrape-turns/index.ts";
import { SharedBudget } from "../../../base/shared-budget/index.ts";
import { SampleLines, sampleOfLine, type PrometheusSample } from "../../../telemetry/index.ts";
import { httpGet } from "../http-get.ts";
import { podName } from "../live-pods.ts";

export type Scrape = (pod: Pod, families?: readonly string[]) => Promise<readonly PrometheusSample[]>;

/**
 * Anybody who may start pods can start many pods that look like proxies and answer with long pages. So a page and its
 * samples have bounds, and the namespaces share the memory for all pages: each may use half of what the others leave.
 */
export interface ScrapeBounds {
  /** The total length of the pages that are being read. */
  readonly heldBytes: number;
  /** The total memory of the samples of recent answers. */
  readonly sampleBytes: number;
  readonly linesAPage: number;
  readonly samplesAPage: number;
  /**
   * The time limits of an answer: the first for a pod that was not late the last time, the second for one that was late
   * once, and so on. A proxy on a busy machine may need a second.
   */
  readonly deadlinesMs: readonly number[];
}

const usualBounds: ScrapeBounds = {
  heldBytes: 512 << 20,
  sampleBytes: 1024 << 20,
  linesAPage: 500_000,
  samplesAPage: 50_000,
  deadlinesMs: [3_000, 2_000, 2_000, 1_000],
};
/** The approximate memory of a usual sample with its twenty labels, without the text of its line. */
const overheadBytes = 1024;
/** How long the samples of an answer count as held in memory, which is longer than the view keeps an answer. */
const keptMs = 500;
/**
 * The samples of a page up to this length refer to it, and so keep it in memory. Copying their texts would take longer.
 */
const shortPage = 64 << 10;
/** After this time of reading, other work gets a turn. */
const sliceMs = 5;
const linesAtOnce = 64;
/** A pod whose page exceeded the bounds gets no request for this long. */
const refusedMs = 10_000;
const maxRemembered = 1024;
/** A failure counts as late after this share of the shortest deadline, because timers may fire a little early. */
const lateShare = 0.9;

interface Refused {
  readonly untilMs: number;
  readonly error: Error;
}

export class PodScraper {
  readonly #bounds: ScrapeBounds;
  readonly #clock: Clock;
  readonly #held: SharedBudget;
  readonly #samples: SharedBudget;
  readonly #turns = new ScrapeTurns();
  readonly #refused = new Map<string, Refused>();
  readonly #late = new Map<string, number>();

  constructor(bounds: ScrapeBounds = usualBounds, clock: Clock = systemClock) {
    this.#bounds = bounds;
    this.#clock = clock;
    this.#held = new SharedBudget(bounds.heldBytes);
    this.#samples = new SharedBudget(bounds.sampleBytes);
  }

  /**
   * Scrapes a pod's metrics at the port and path of its annotations. An error names the pod, and the error's cause only
   * says what happened. Serin's own proxies send only the requested families, about a hundredth of a gateway's page.
   * The whole page has hundreds of kilobytes, and the engine reads metrics several times a second.
   */
  readonly scrape: Scrape = async (pod, families) => {
    const { namespace = "", name = "", uid = podName(pod) } = pod.metadata;
    try {
      const refused = this.#refused.get(uid);
      if (refused !== undefined && this.#clock.steadyMs() < refused.untilMs) throw refused.error;
      return await this.#read(pod, uid, families);
    } catch (fault) {
      throw transientError(
        "pod-unreachable",
        `pod ${namespace}/${name} does not report its metrics: ${messageOf(fault)}; the engine asks again; if this lasts, see kubectl -n ${namespace} describe pod ${name}`,
        { cause: fault },
      );
    }
  };

  async #read(pod: Pod, uid: string, families: readonly string[] | undefined): Promise<readonly PrometheusSample[]> {
    const { annotations = {}, namespace = "" } = pod.metadata;
    const port = Number(annotations["prometheus.io/port"] ?? 15_020);
    const path = withNames(annotations["prometheus.io/path"] ?? "/metrics", families);
    const page = this.#held.share(namespace);
    const busy = (): Error =>
      new Error(
        `the pages of namespace ${namespace} are too long together: those of one namespace may use half of what the others leave of ${this.#bounds.heldBytes} bytes`,
      );
    try {
      const text = await this.#inTime(uid, async (deadlineMs) =>
        httpGet(pod.status?.podIP ?? "", port, path, {
          deadlineMs,
          admit: (bytes) => (page.set(bytes) ? undefined : busy()),
        }),
      );
      return await this.#samplesOf(text, { namespace, uid }, families);
    } finally {
      page.set(0);
    }
  }

  /**
   * Calls `get` with the pod's time limit. A look waits for all pods, so a pod that is late again and again gets only a
   * short time, until it answers again.
   */
  async #inTime(uid: string, get: (deadlineMs: number) => Promise<string>): Promise<string> {
    const { deadlinesMs } = this.#bounds;
    const times = this.#late.get(uid) ?? 0;
    const shortestMs = Math.min(...deadlinesMs);
    const fromMs = this.#clock.steadyMs();
    try {
      const text = await get(deadlinesMs[times] ?? shortestMs);
      this.#late.delete(uid);
      return text;
    } catch (error) {
      if (this.#clock.steadyMs() - fromMs >= shortestMs * lateShare)
        this.#late.set(uid, Math.min(times + 1, deadlinesMs.length));
      if (this.#late.size > maxRemembered) this.#late.delete(this.#late.keys().next().value ?? "");
      throw error;
    }
  }

  /**
   * Reads a page in slices, between which other work gets turns. The memory of the samples counts as used while checks
   * keep them.
   */
  async #samplesOf(
    text: string,
    { namespace, uid }: { readonly namespace: string; readonly uid: string },
    families: readonly string[] | undefined,
  ): Promise<readonly PrometheusSample[]> {
    const { linesAPage, samplesAPage, sampleBytes } = this.#bounds;
    const names = families === undefined ? undefined : new Set(families);
    const copies = text.length > shortPage;
    const share = this.#samples.share(namespace);
    const samples: PrometheusSample[] = [];
    const lines = new SampleLines(text, 0);
    try {
      let sliceFromMs = await this.#turn(namespace);
      for (let line = lines.next(); line !== undefined; line = lines.next()) {
        const sample = line === "" ? undefined : sampleOfLine(line, lines.lineNumber, names);
        if (sample !== undefined) {
          samples.push(copies ? ownSample(sample) : sample);
          if (samples.length > samplesAPage) throw this.#refuse(uid, `its page has more than ${samplesAPage} samples`);
          if (!share.add(line.length + overheadBytes))
            throw new Error(
              `namespace ${namespace} has too many samples: those of one namespace may use half of what the others leave of ${sampleBytes} bytes`,
            );
        }
        if (lines.lineNumber > linesAPage) throw this.#refuse(uid, `its page has more than ${linesAPage} lines`);
        if (lines.lineNumber % linesAtOnce === 0 && this.#clock.steadyMs() - sliceFromMs >= sliceMs)
          sliceFromMs = await this.#turn(namespace);
      }
    } catch (error) {
      share.set(0);
      throw error;
    }
    this.#clock.after(keptMs, () => share.set(0));
    return samples;
  }

  async #turn(namespace: string): Promise<number> {
    await this.#turns.next(namespace);
    return this.#clock.steadyMs();
  }

  #refuse(uid: string, message: string): Error {
    const error = new Error(message);
    this.#refused.delete(uid);
    this.#refused.set(uid, { untilMs: this.#clock.steadyMs() + refusedMs, error });
    if (this.#refused.size > maxRemembered) this.#refused.delete(this.#refused.keys().next().value ?? "");
    return error;
  }
}

const scraper = new PodScraper();

export const scrapePod: Scrape = scraper.scrape;

/** Copies the texts of a sample, which as parts of the page would keep the whole page in memory. */
function ownSample({ name, labels, ...rest }: PrometheusSample): PrometheusSample {
  const own = Object.entries(labels).map(([label, value]) => [label, ownCopy(value)]);
  return { ...rest, name: ownCopy(name), labels: Object.fromEntries(own) as Record<string, string> };
}

/** Adds the families to the path in the form of Prometheus' own HTTP handler. Other servers ignore the query. */
function withNames(path: string, families: readonly string[] = []): string {
  const query = families.map((family) => `name[]=${encodeURIComponent(family)}`).join("&");
  return query === "" ? path : `${path}${path.includes("?") ? "&" : "?"}${query}`;
}
