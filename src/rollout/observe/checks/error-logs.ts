import { messageOf, type Clock } from "../../../base/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { CheckObservation, OutcomeCounts } from "../../decide/index.ts";
import { readPodLog } from "../pod-log.ts";
import { added, noOutcomes } from "./counters.ts";
import { isErrorLine } from "./error-line.ts";
import { LastSeen } from "./last-seen.ts";
import type { SubjectPods } from "./subject-pods.ts";
import { podName } from "../live-pods.ts";

/** The maximum size that one look reads of a container's log. The next look continues there. */
const maxBytes = 256 * 1024;
/** The maximum number of containers whose logs one look reads. Those of the canary come first. */
const maxContainers = 64;
const shownCharacters = 200;
/** Containers of the data plane, which other checks judge. */
const otherContainers: readonly string[] = ["istio-proxy", "istio-init", "istio-validation"];

/**
 * A larger difference between the progress of the wall clock and of the steady clock since the last look is a jump of
 * the wall clock.
 */
const jumpMs = 2_000;

interface Reading {
  readonly fromMs: number;
  counts: OutcomeCounts;
  untilMs: number;
  wallMs: number;
  steadyMs: number;
}

/**
 * Counts the seconds that containers have run, and the seconds in which they logged an error. Seconds and not lines are
 * counted, so that the many lines of a stack trace are one event. Reads logs through the API server, starting where the
 * last look ended.
 */
export class ErrorLogObserver {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #readings = new LastSeen<Reading>();
  #lastError: string | undefined;

  constructor(client: KubeClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  async observe({ canary, stable }: SubjectPods): Promise<CheckObservation> {
    const containers = [
      ...canary.flatMap((pod) => containersOf(pod, "canary")),
      ...stable.flatMap((pod) => containersOf(pod, "stable")),
    ].slice(0, maxContainers);
    if (containers.length === 0)
      return { type: "unavailable", detail: "no container is running whose log can be read" };
    let problem: string | undefined;
    await Promise.all(
      containers.map(async (container) => {
        try {
          await this.#read(container);
        } catch (error) {
          problem = messageOf(error);
        }
      }),
    );
    const sources = Object.fromEntries(
      containers.flatMap(({ key }) => {
        const reading = this.#readings.get(key);
        return reading === undefined ? [] : [[key, reading.counts]];
      }),
    );
    if (Object.keys(sources).length === 0) return { type: "unavailable", detail: problem ?? "no log could be read" };
    return { type: "counters", sources, ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }) };
  }

  async #read({ pod, container, group, key }: LoggedContainer): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const steadyMs = this.#clock.steadyMs();
    const known = this.#readings.get(key);
    if (known === undefined) {
      this.#readings.set(key, { fromMs: nowMs, untilMs: nowMs, counts: noOutcomes, wallMs: nowMs, steadyMs });
      return;
    }
    const jumped = Math.abs(nowMs - known.wallMs - (steadyMs - known.steadyMs)) > jumpMs;
    known.wallMs = nowMs;
    known.steadyMs = steadyMs;
    this.#readings.set(key, known);
    // The seconds that the clock skipped do not count as seconds without an error. After a jump back, counting
    // continues at the new time.
    if (jumped) {
      known.untilMs = nowMs;
      return;
    }
    const { lines, isWhole } = await this.#lines(pod, container, known.untilMs);
    // A second counts only when it is over and its log has been read. If the log is longer than one look reads, the
    // next look counts the rest.
    const readMs = isWhole ? nowMs : Math.max(lines.at(-1)?.atMs ?? 0, known.untilMs + 1000);
    const endMs = Math.floor(Math.min(readMs, nowMs) / 1000) * 1000;
    const seconds = new Set<number>();
    for (const { atMs, text } of lines) {
      if (atMs < known.untilMs || atMs >= endMs || !isErrorLine(text)) continue;
      seconds.add(Math.floor(atMs / 1000));
      if (group === "canary") this.#lastError = `${key}: ${text.slice(0, shownCharacters)}`;
    }
    const passed = Math.max(0, Math.floor(endMs / 1000) - Math.ceil(known.untilMs / 1000));
    if (passed === 0) return;
    known.counts = added(known.counts, group, passed, Math.min(passed, seconds.size));
    known.untilMs = endMs;
  }

  async #lines(
    pod: Pod,
    container: string,
    sinceMs: number,
  ): Promise<{ readonly lines: readonly LogLine[]; readonly isWhole: boolean }> {
    const { namespace = "", name = "" } = pod.metadata;
    const text = await readPodLog(
      this.#client,
      { namespace, name, node: pod.spec?.nodeName },
      {
        container,
        sinceTime: new Date(sinceMs).toISOString(),
        timestamps: "true",
        limitBytes: String(maxBytes),
      },
    );
    const lines = text.split("\n").flatMap((line) => {
      const space = line.indexOf(" ");
      const atMs = Date.parse(line.slice(0, space));
      return space > 0 && !Number.isNaN(atMs) ? [{ atMs, text: line.slice(space + 1) }] : [];
    });
    return { lines, isWhole: Buffer.byteLength(text) < maxBytes };
  }
}

interface LogLine {
  readonly atMs: number;
  readonly text: string;
}

interface LoggedContainer {
  readonly pod: Pod;
  readonly container: string;
  readonly group: "canary" | "stable";
  readonly key: string;
}

function containersOf(pod: Pod, group: LoggedContainer["group"]): LoggedContainer[] {
  const running = (pod.status?.containerStatuses ?? []).filter(
    ({ name, state }) => state?.running !== undefined && !otherContainers.includes(name),
  );
  return running.map(({ name }) => ({ pod, container: name, group, key: `${podName(pod)} ${name}` }));
}
