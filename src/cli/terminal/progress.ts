import type { CliContext, ReportWait } from "../context.ts";

const silentMs = 1_000;
const tickMs = 200;
const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const clearLine = "\r\u001b[K";
const usualColumns = 80;
/** The maximum number of waits of one verb that are remembered. An installation waits for some dozen objects. */
const maxWaits = 256;

/**
 * Says what a verb waits for. On a terminal, its last line shows this after a second without output. Elsewhere, for
 * example in the log of a CI job, each new wait is a line of its own.
 */
export class Progress implements Disposable {
  readonly #context: CliContext;
  readonly #label: string;
  readonly #startedMs: number;
  /** The missing part of each subject. The last entry is the latest one. */
  readonly #waits = new Map<string, string>();
  #lastMs: number;
  #paused = 0;
  #shown = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(context: CliContext, label: string) {
    this.#context = context;
    this.#label = label;
    this.#startedMs = this.#lastMs = context.clock.nowMs();
  }

  /**
   * Returns a context that reports waits, and whose output erases the last line first. A verb that lasts until the user
   * ends it has its own picture on the terminal, so its waits are lines everywhere.
   */
  start({ lasts = false }: { readonly lasts?: boolean } = {}): CliContext {
    const context = this.#context;
    const waiting: ReportWait = (subject, missing) => this.#note(subject, missing);
    const connected = {
      ...context,
      waiting,
      connect: async (flags: Parameters<CliContext["connect"]>[0]) => await context.connect(flags, waiting),
    };
    if (!context.showsProgress || lasts) return connected;
    this.#timer = setInterval(() => this.#tick(), tickMs);
    this.#timer.unref();
    return {
      ...connected,
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

  #note(subject: string, missing: string | undefined): void {
    if (missing !== undefined && this.#waits.get(subject) === missing) return;
    this.#waits.delete(subject);
    if (missing === undefined) return;
    if (this.#waits.size < maxWaits) this.#waits.set(subject, missing);
    if (this.#timer === undefined) this.#context.err(`  ${waitText(subject, missing)}\n`);
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
    const [subject, missing] = [...this.#waits].at(-1) ?? ["", this.#label];
    this.#shown = true;
    this.#context.err(`${clearLine}${frame} ${this.#fitted(waitText(subject, missing), `, ${seconds} s`)}`);
  }

  /** The text and its end, on one line of the terminal. A longer text would continue on a line that is not erased. */
  #fitted(text: string, end: string): string {
    const room = (this.#context.columns() ?? usualColumns) - `⠋ ${end} `.length;
    return `${text.length <= room ? text : `${text.slice(0, Math.max(0, room - 1))}…`}${end}`;
  }

  #clear(): void {
    if (this.#shown) this.#context.err(clearLine);
    this.#shown = false;
  }
}

function waitText(subject: string, missing: string): string {
  return `${subject === "" ? "" : `${subject}: `}${missing}`.replaceAll(/\s+/g, " ");
}
