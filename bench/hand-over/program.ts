import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { NetworkNamespace } from "../../src/net/index.ts";
import { workersInTasks } from "../../scripts/lab/worker-census.ts";
import { endsWithThis } from "../../scripts/lab/ends-with-this.ts";

const lastWordsBytes = 1500;
const lookMs = 20;
const readyTimeoutMs = 60_000;
const endTimeoutMs = 60_000;

export interface ProgramOptions {
  readonly name: string;
  readonly namespace: NetworkNamespace;
  /** The arguments of `serin`. */
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The folder into which the program writes its log. */
  readonly folder: string;
}

/** A program of an installation: `bin/serin` with these words, in a network namespace. */
export class Program {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #logFile: string;
  readonly #ended: Promise<number | string>;
  #hasEnded = false;

  constructor({ name, namespace, words, env, folder }: ProgramOptions) {
    this.name = name;
    this.#logFile = join(folder, `${name}.log`);
    const log = openSync(this.#logFile, "w");
    const { PATH = "", HOME = "", SERIN_BUNDLE } = process.env;
    this.#child = namespace.enter(() =>
      spawn(...endsWithThis(join(import.meta.dirname, "../../bin/serin"), ...words), {
        env: { PATH, HOME, ...(SERIN_BUNDLE === undefined ? {} : { SERIN_BUNDLE }), ...env },
        stdio: ["ignore", log, log],
      }),
    );
    closeSync(log);
    this.#ended = new Promise((resolve) =>
      this.#child.once("exit", (code, signal) => {
        this.#hasEnded = true;
        resolve(code ?? signal ?? "");
      }),
    );
  }

  /** Resolves when the check passes. Rejects if the program ends before that, or at the time limit. */
  async until(what: string, check: () => Promise<boolean>): Promise<void> {
    const deadlineMs = performance.now() + readyTimeoutMs;
    while (!(await check())) {
      if (this.#hasEnded) throw this.trouble("it ended at once");
      if (performance.now() > deadlineMs) throw this.trouble(`it is not ${what}`);
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
  }

  /** Resolves when the program has this number of workers. */
  async hasWorkers(count: number): Promise<void> {
    const pid = this.#child.pid ?? 0;
    await this.until(`a data plane with ${count} workers`, () => Promise.resolve(workersInTasks(pid) === count));
  }

  /** Ends the program by SIGTERM. Resolves when it has ended with exit code 0, and rejects if it does not. */
  async terminate(): Promise<void> {
    this.#child.kill("SIGTERM");
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => (timer = setTimeout(() => resolve("late"), endTimeoutMs)));
    const result = await Promise.race([this.#ended, late]);
    clearTimeout(timer);
    if (result !== 0) throw this.trouble(`its end was not in order: ${result}`);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  trouble(what: string): Error {
    return new Error(`${this.name}: ${what}\n${readFileSync(this.#logFile, "utf8").slice(-lastWordsBytes)}`);
  }
}
