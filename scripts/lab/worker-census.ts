// Counts the workers of a lab's data planes, so that a run with several workers shows that it had them.
import { readdirSync, readFileSync } from "node:fs";
import { userError } from "../../src/base/index.ts";
import type { MachineProcess } from "../../test/support/processes.ts";
import { roleOf } from "../demo/memory.ts";

const roles: readonly string[] = ["proxy", "ztunnel"];
/** How long a data plane may take to start its workers. */
const startMs = 30_000;
const lookEveryMs = 2000;

interface Seen {
  /** The role of the data plane, and its pod if that is known. */
  readonly who: string;
  readonly sinceMs: number;
  lastMs: number;
  /** The largest number of workers at one time. A worker that has ended and its replacement are counted once. */
  workers: number;
}

export class WorkerCensus {
  readonly #processes: () => readonly MachineProcess[];
  readonly #workersOf: (pid: number) => number | undefined;
  readonly #seen = new Map<number, Seen>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    processes: () => readonly MachineProcess[],
    workersOf: (pid: number) => number | undefined = workersInTasks,
  ) {
    this.#processes = processes;
    this.#workersOf = workersOf;
  }

  begin(): this {
    this.#timer = setInterval(() => this.look(performance.now()), lookEveryMs);
    this.#timer.unref();
    return this;
  }

  look(nowMs: number): void {
    for (const { pid, words } of this.#processes()) {
      const role = dataPlaneOf(words);
      const workers = role === undefined ? undefined : this.#workersOf(pid);
      if (role === undefined || workers === undefined) continue;
      const known = this.#seen.get(pid) ?? { who: `${role} ${podOf(pid)}`, sinceMs: nowMs, lastMs: nowMs, workers };
      known.lastMs = nowMs;
      known.workers = Math.max(known.workers, workers);
      this.#seen.set(pid, known);
    }
  }

  /**
   * Ends the census. Returns the number of data planes by their number of workers, such as `{2: 14}`. A data plane that
   * ended before it could start all of its workers is left out.
   *
   * @throws a user error if a data plane had a number of workers that is not in `expected`, or if no data plane had one
   * of the expected numbers
   */
  end(expected: readonly number[]): Readonly<Record<number, number>> {
    clearInterval(this.#timer);
    const wanted = [...new Set(expected)];
    const counted = [...this.#seen].filter(
      ([, { workers, sinceMs, lastMs }]) => wanted.includes(workers) || lastMs - sinceMs >= startMs,
    );
    const counts: Record<number, number> = {};
    for (const [, { workers }] of counted) counts[workers] = (counts[workers] ?? 0) + 1;
    const wrong = counted.filter(([, { workers }]) => !wanted.includes(workers));
    const missing = wanted.filter((workers) => counts[workers] === undefined);
    if (wrong.length > 0 || missing.length > 0)
      throw userError(
        "script-failed",
        `expected data planes with ${wanted.join(" and with ")} workers; ${[
          ...wrong.map(([, { who, workers }]) => `${who} had ${workers}`),
          ...missing.map((workers) => `none had ${workers}`),
        ].join(", ")}`,
      );
    return counts;
  }
}

/** Returns the role of a data plane. A shell that starts one has the same words, but is another program. */
function dataPlaneOf(words: readonly string[]): string | undefined {
  const role = words[0]?.endsWith("/node") === true ? roleOf(words.join(" ")) : undefined;
  return roles.find((known) => known === role);
}

function environmentOf(pid: number): readonly string[] {
  return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
}

function podOf(pid: number): string {
  try {
    const environment = environmentOf(pid);
    const valueOf = (name: string): string =>
      environment.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1) ?? "?";
    return `${valueOf("POD_NAMESPACE")}/${valueOf("POD_NAME")}`;
  } catch {
    return `process ${pid}`;
  }
}

/**
 * Returns the number of a data plane's workers. Their threads have names in `proxy/workers` and `ztunnel/workers`. A
 * process without such threads serves with its main thread. Returns undefined if the process has ended or serves
 * nothing.
 */
export function workersInTasks(pid: number): number | undefined {
  try {
    // The agent of a gRPC client without a proxy serves nothing.
    if (environmentOf(pid).includes("DISABLE_ENVOY=true")) return undefined;
    const tasks = readdirSync(`/proc/${pid}/task`);
    const names = tasks.map((task) => readFileSync(`/proc/${pid}/task/${task}/comm`, "utf8").trim());
    return Math.max(1, names.filter((name) => /^worker-\d+$/.test(name)).length);
  } catch {
    // The process or one of its threads has ended.
    return undefined;
  }
}

/** Reads `--workers`: a number, or two for the old and the new revision, such as `1,2`. */
export function parseWorkers(text: string): readonly [number, number] {
  const match = /^([1-9]\d?)(?:,([1-9]\d?))?$/.exec(text);
  if (match === null)
    throw userError("argument-invalid", `--workers ${text}: expected a number above 0, or two with a comma`, {
      hint: "--workers 2, or --workers 1,2 for one worker in the old revision and two in the new one",
    });
  return [Number(match[1]), Number(match[2] ?? match[1])];
}
