import type { CliContext } from "../context.ts";

const silentMs = 1_000;
const tickMs = 200;
const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const clearLine = "\r\u001b[K";

/** Shows on a terminal's last line that a verb without output for a second is still working. */
export class Progress implements Disposable {
  readonly #context: CliContext;
  readonly #label: string;
  readonly #startedMs: number;
  #lastMs: number;
  #paused = 0;
  #shown = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(context: CliContext, label: string) {
    this.#context = context;
    this.#label = label;
    this.#startedMs = this.#lastMs = context.clock.nowMs();
  }

  /** Returns a context whose output erases the line first. */
  start(): CliContext {
    const context = this.#context;
    if (!context.showsProgress) return context;
    this.#timer = setInterval(() => this.#tick(), tickMs);
    this.#timer.unref();
    return {
      ...context,
      out: (text) => this.#write(context.out, text),
      err: (text) => this.#write(context.err, text),
      confirm: async (question) => {
        this.#clear();
        this.#paused += 1;
        try {
          return await context.confirm(question);
        } finally {
          this.#paused -= 1;
          this.#lastMs = context.clock.nowMs();
        }
      },
    };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #write(write: (text: string) => void, text: string): void {
    this.#clear();
    this.#lastMs = this.#context.clock.nowMs();
    write(text);
  }

  #tick(): void {
    const now = this.#context.clock.nowMs();
    if (this.#paused > 0 || now - this.#lastMs < silentMs) return;
    const seconds = Math.floor((now - this.#startedMs) / 1000);
    const frame = frames[Math.floor(now / tickMs) % frames.length] ?? "";
    this.#shown = true;
    this.#context.err(`${clearLine}${frame} ${this.#label}, ${seconds} s`);
  }

  #clear(): void {
    if (this.#shown) this.#context.err(clearLine);
    this.#shown = false;
  }
}
