import { manifestOf, type Manifest, type ManifestDocuments } from "../../../analyze/index.ts";
import { programFile, systemClock, type Clock } from "../../../base/index.ts";
import { LimitedThread } from "../../../base/threads/index.ts";
import { refusal } from "../../problem.ts";

export type ReadYamlReply = { readonly documents: ManifestDocuments } | { readonly fault: string };

export interface YamlThreadsOptions {
  readonly threads: number;
  readonly clock?: Clock;
}

/** A text that takes more CPU time is refused. Manifests of a megabyte take less. */
const readLimitMs = 5_000;
/** On a busy machine, reading may take so many times its CPU time. */
const busyFactor = 3;
const maxWaiting = 16;
/** How long an idle thread stays. An editor sends its text at every pause in typing. */
const idleMs = 30_000;

type YamlThread = LimitedThread<string, ReadYamlReply>;

/**
 * Reads users' YAML in threads, which it ends if they take too much time or memory. Reading a few kilobytes can take
 * minutes, and the server must go on serving others.
 */
export class YamlThreads {
  readonly #options: YamlThreadsOptions;
  readonly #clock: Clock;
  readonly #idle: { readonly thread: YamlThread; readonly end: Disposable }[] = [];
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: YamlThreadsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Reads the objects in a text. Throws `unavailable` if too many texts wait, and `too-long` if reading took too much
   * time or memory.
   */
  async read(text: string): Promise<Manifest> {
    if (this.#running >= this.#options.threads) {
      if (this.#waiting.length >= maxWaiting)
        throw refusal("unavailable", "many YAMLs are being read", "try again in a few seconds");
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running += 1;
    try {
      const reply = await this.#reply(text);
      if ("documents" in reply) return manifestOf("yaml", reply.documents);
      return { resources: [], faults: [{ file: "yaml", message: `this cannot be read as YAML: ${reply.fault}` }] };
    } finally {
      // Let the text continue that has waited longest.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  async #reply(text: string): Promise<ReadYamlReply> {
    const kept = this.#idle.pop();
    kept?.end[Symbol.dispose]();
    const thread = kept?.thread.hasEnded === false ? kept.thread : this.#start();
    const outcome = await thread.ask(text, { workMs: readLimitMs, waitMs: busyFactor * readLimitMs });
    if (outcome.kind !== "answer") {
      await thread.end();
      throw refusal(
        "too-long",
        "reading this YAML takes more time or memory than is allowed",
        "leave out aliases, deep nesting and very many keys, or send it in parts",
      );
    }
    this.#keep(thread);
    return outcome.answer;
  }

  #start(): YamlThread {
    return new LimitedThread(programFile("src/dashboard/server/requests/read-yaml.worker.ts"), this.#clock);
  }

  #keep(thread: YamlThread): void {
    const end = this.#clock.after(idleMs, () => {
      this.#idle.splice(
        this.#idle.findIndex((idle) => idle.thread === thread),
        1,
      );
      void thread.end();
    });
    this.#idle.push({ thread, end });
  }
}
