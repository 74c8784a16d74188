import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Environment } from "../../base/index.ts";
import { runChild, type ChildResult } from "./child.ts";
import type { Release } from "./release.ts";

export interface ReleaseRunnerOptions {
  readonly env: Environment;
  readonly signal: AbortSignal;
}

export const maxProcesses = 2;
const maxHeapMegabytes = 1024;
const timeoutMs = 180_000;
/** Only the owner may read the files, because one of them is a kubeconfig. */
const privateMode = 0o600;

/**
 * Runs commands of releases, at most {@link maxProcesses} at a time. Their input files are in one directory, which
 * `close` removes.
 */
export class ReleaseRunner {
  readonly #options: ReleaseRunnerOptions;
  readonly #directory: string;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #files = 0;

  private constructor(options: ReleaseRunnerOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
  }

  static async open(options: ReleaseRunnerOptions): Promise<ReleaseRunner> {
    return new ReleaseRunner(options, await mkdtemp(join(tmpdir(), "serin-plan-")));
  }

  async close(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Writes the text to a new file that only its owner may read, and returns the path. */
  async file(name: string, text: string): Promise<string> {
    this.#files += 1;
    const path = join(this.#directory, `${this.#files}-${name}`);
    await writeFile(path, text, { mode: privateMode });
    return path;
  }

  async run({ cli }: Release, args: readonly string[], env: Environment = {}): Promise<ChildResult> {
    await this.#enter();
    try {
      return await runChild(cli, args, {
        env: this.environment(env),
        maxHeapMegabytes,
        timeoutMs,
        signal: this.#options.signal,
      });
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** The environment of a release's process. Leaves out the caller's variables that name a cluster. */
  environment(more: Environment): Environment {
    const {
      KUBECONFIG: _kubeconfig,
      SERIN_CLUSTER: _cluster,
      KUBERNETES_SERVICE_HOST: _host,
      SERIN_RELEASE: _release,
      ...rest
    } = this.#options.env;
    return { ...rest, NO_COLOR: "1", ...more };
  }

  get signal(): AbortSignal {
    return this.#options.signal;
  }

  async #enter(): Promise<void> {
    while (this.#running >= maxProcesses) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
  }
}
