import type { CliContext, ReportWait } from "../context.ts";

const silentMs = 1_000;
const tickMs = 200;
/** If the output has no last line that shows waits, a wait that lasts longer than this is printed as a line. */
const lineAfterMs = 3_000;
const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const clearLine = "\r\u001b[K";
const usualColumns = 80;
/** The maximum number of waits of one verb that are remembered. An installation waits for some dozen objects. */
const maxWaits = 256;

interface Wait {
  readonly missing: string;
  /** The text of the last line that was printed for the wait. */
  readonly told: string | undefined;
  /** The timer that prints the next line. */
  readonly due: Disposable | undefined;
}

/**
 * Says what a verb waits for. On a terminal, its last line shows this after a second without output. Elsewhere, for
 * example in the log of a CI job, each wait of more than three seconds is a line of its own, and so are its changes.
 */
export class Progress implements Disposable {
  readonly #context: CliContext;
  readonly #label: string;
  readonly #startedMs: number;
  /** The wait for each subject. The last entry is the latest one. */
  readonly #waits = new Map<string, Wait>();
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
   * Returns a context that reports waits. Before it prints anything else, it erases the line that shows a wait. With
   * `lasts`, waits are always lines of their own: a verb such as `top`, which lasts until the user ends it, draws the
   * terminal itself.
   */
  start({ lasts = false }: { readonly lasts?: boolean } = {}): CliContext {
    const context = this.#context;
    const waiting: ReportWait = (subject, missing) => this.#note(subject, missing, lineAfterMs);
    // A client reports a request only when its answer is late.
    const late: ReportWait = (subject, missing) => this.#note(subject, missing, 0);
    const connected = {
      ...context,
      waiting,
      connect: async (flags: Parameters<CliContext["connect"]>[0]) => await context.connect(flags, late),
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
    for (const { due } of this.#waits.values()) due?.[Symbol.dispose]();
    this.#clear();
  }

  #note(subject: string, missing: string | undefined, afterMs: number): void {
    const before = this.#waits.get(subject);
    if (missing !== undefined && before?.missing === missing) return;
    this.#waits.delete(subject);
    if (missing === undefined) before?.due?.[Symbol.dispose]();
    else if (this.#waits.size < maxWaits) {
      const isLine = this.#timer === undefined;
      const due = before?.due ?? (isLine ? this.#context.clock.after(afterMs, () => this.#tell(subject)) : undefined);
      this.#waits.set(subject, { missing, told: before?.told, due });
    }
  }

  /** Prints a line about a wait that is still under way. */
  #tell(subject: string): void {
    const wait = this.#waits.get(subject);
    if (wait === undefined) return;
    const { missing } = wait;
    if (missing !== wait.told) this.#context.err(`  ${waitText(subject, missing)}\n`);
    this.#waits.set(subject, { missing, told: missing, due: undefined });
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
    const [subject, { missing }] = [...this.#waits].at(-1) ?? ["", { missing: this.#label }];
    this.#shown = true;
    this.#context.err(`${clearLine}${frame} ${this.#fitted(waitText(subject, missing), `, ${seconds} s`)}`);
  }

  /** Shortens the text to one line of the terminal, because only the last line is erased. `end` is never shortened. */
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
