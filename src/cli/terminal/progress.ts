import type { CliContext, ReportWait } from "../context.ts";

const silentMs = 1_000;
const tickMs = 200;
/**
 * If waits are not shown in the last line, for example because the output is a log, a wait is printed as a line after
 * this time.
 */
const lineAfterMs = 3_000;
const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const clearLine = "\r\u001b[K";
const usualColumns = 80;
/** The maximum number of waits that one verb remembers. An installation waits for some dozen objects. */
const maxWaits = 256;

interface Wait {
  readonly missing: string;
  /** What the last line printed about this wait said. */
  readonly told: string | undefined;
  readonly due: Disposable | undefined;
}

/**
 * Says what a verb waits for. On a terminal, the last line shows it after a second without other output. Elsewhere, for
 * example in the log of a CI job, a wait of more than three seconds is printed as a line, and each of its changes too.
 */
export class Progress implements Disposable {
  readonly #context: CliContext;
  readonly #label: string;
  readonly #startedMs: number;
  /** By subject. The last entry is the latest wait. */
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
   * Returns a context that reports waits, and that erases the line with the wait before it prints anything else. With
   * `lasts`, waits are always printed lines: a verb such as `top`, which runs until the user ends it, draws the
   * terminal itself.
   */
  start({ lasts = false }: { readonly lasts?: boolean } = {}): CliContext {
    const context = this.#context;
    const waiting: ReportWait = (subject, missing) => this.#note(subject, missing, lineAfterMs);
    // A client reports a request only when its answer is late, so its report is printed at once.
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

  /** Shortens the text so that it fits into one line with `end`, which stays whole. Only one line can be erased. */
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
