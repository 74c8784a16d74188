export interface StepRow {
  readonly name: string;
  state: "waiting" | "running" | "done" | "failed";
  startedMs: number;
  endedMs: number;
  requests: number;
  failed: number;
  /** Why the step failed. */
  note: string;
}

export interface LadderRow {
  readonly name: string;
  readonly revision: string;
}

export interface LiveFacts {
  readonly requests: number;
  readonly failed: number;
  readonly perSecond: number;
  readonly medianMs: number;
  readonly answers: Readonly<Record<string, number>>;
  readonly connection: string;
  readonly ladder: readonly LadderRow[];
}

export interface View {
  /** Shows that a step has begun or ended. */
  step(row: StepRow): void;
  /** Shows an event on a line of its own. */
  line(text: string): void;
  close(): void;
}

export class PlainView implements View {
  readonly #write: (text: string) => void;
  readonly #startedMs = performance.now();

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  step(row: StepRow): void {
    if (row.state === "running") this.line(`▸ ${row.name}`);
    else
      this.line(
        `${row.state === "done" ? "✔" : "✘"} ${row.name}: ${seconds(row.endedMs - row.startedMs)}${countsText(row)}`,
      );
  }

  line(text: string): void {
    this.#write(`${seconds(performance.now() - this.#startedMs).padStart(7)}  ${text}\n`);
  }

  close(): void {
    // Every line has already been written.
  }
}

const frameMs = 100;
const keptLines = 10;
const color = {
  dim: "\u001b[2m",
  bold: "\u001b[1m",
  green: "\u001b[32m",
  red: "\u001b[31m",
  yellow: "\u001b[33m",
  cyan: "\u001b[36m",
  off: "\u001b[0m",
} as const;
const marks = {
  waiting: `${color.dim}·${color.off}`,
  running: `${color.cyan}▸${color.off}`,
  done: `${color.green}✔${color.off}`,
  failed: `${color.red}✘${color.off}`,
} as const;

/** Draws in the terminal's alternate screen. When it closes, the events remain on the normal screen. */
export class TerminalView implements View {
  readonly #output: NodeJS.WriteStream;
  readonly #rows: readonly StepRow[];
  readonly #facts: () => LiveFacts;
  readonly #startedMs = performance.now();
  readonly #lines: string[] = [];
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  constructor(output: NodeJS.WriteStream, rows: readonly StepRow[], facts: () => LiveFacts) {
    this.#output = output;
    this.#rows = rows;
    this.#facts = facts;
    output.write("\u001b[?1049h\u001b[?25l");
    this.#timer = setInterval(() => this.#draw(), frameMs);
    process.once("exit", () => this.close());
  }

  step(row: StepRow): void {
    if (row.state === "failed") this.line(`${row.name}: ${row.note}`);
  }

  line(text: string): void {
    this.#lines.push(`${seconds(performance.now() - this.#startedMs).padStart(7)}  ${text}`);
    if (this.#lines.length > 1000) this.#lines.shift();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.#output.write("\u001b[?25h\u001b[?1049l");
    this.#output.write(`${this.#frame(Number.POSITIVE_INFINITY).join("\n")}\n`);
  }

  #draw(): void {
    const height = this.#output.rows;
    const lines = this.#frame(keptLines).slice(0, height - 1);
    this.#output.write(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join("\n")}\u001b[J`);
  }

  #frame(lineCount: number): string[] {
    const facts = this.#facts();
    const width = Math.max(40, this.#output.columns);
    const title = `${color.bold}Serin${color.off} a mesh that changes itself under load${" ".repeat(4)}${color.dim}${seconds(performance.now() - this.#startedMs)}${color.off}`;
    return [
      title,
      "",
      ...this.#rows.map((row) => this.#stepLine(row, width)),
      "",
      `  requests ${color.bold}${facts.requests}${color.off}   failed ${facts.failed === 0 ? color.green : color.red}${color.bold}${facts.failed}${color.off}   ${facts.perSecond}/s   median ${facts.medianMs} ms`,
      `  answers  ${shares(facts.answers)}`,
      `  long TCP ${facts.connection}`,
      "",
      ...ladderLines(facts.ladder),
      "",
      ...this.#lines.slice(-lineCount).map((line) => `${color.dim}${clip(line, width - 1)}${color.off}`),
    ];
  }

  #stepLine(row: StepRow, width: number): string {
    const ended = row.endedMs === 0 ? performance.now() : row.endedMs;
    const time = row.state === "waiting" ? "" : seconds(ended - row.startedMs);
    const head = `${row.name.padEnd(28)} ${time.padStart(7)}${countsText(row)}`;
    const note =
      row.state === "running"
        ? `  ${color.dim}${clip(row.note, Math.max(0, width - head.length - 6))}${color.off}`
        : "";
    return `  ${marks[row.state]} ${head}${note}`;
  }
}

function ladderLines(ladder: readonly LadderRow[]): string[] {
  const revisions = [...new Set(ladder.map(({ revision }) => revision))].toSorted();
  if (revisions.length === 0) return [];
  const header = `  ${color.dim}${"".padEnd(34)}${revisions.map((revision) => revision.padEnd(18)).join("")}${color.off}`;
  const groups = new Map<string, Map<string, number>>();
  for (const { name, revision } of ladder) {
    const counts = groups.get(name) ?? new Map<string, number>();
    counts.set(revision, (counts.get(revision) ?? 0) + 1);
    groups.set(name, counts);
  }
  const rows = [...groups].map(([name, counts]) => {
    const cells = revisions.map((revision) => {
      const count = counts.get(revision) ?? 0;
      return count === 0 ? "".padEnd(18) : `${color.cyan}${"●".repeat(Math.min(count, 12)).padEnd(18)}${color.off}`;
    });
    return `  ${clip(name, 33).padEnd(34)}${cells.join("")}`;
  });
  return [header, ...rows];
}

function shares(answers: Readonly<Record<string, number>>): string {
  const byNamespace = new Map<string, number>();
  for (const [name, count] of Object.entries(answers)) {
    const namespace = name.slice(0, name.indexOf("/"));
    byNamespace.set(namespace, (byNamespace.get(namespace) ?? 0) + count);
  }
  const total = [...byNamespace.values()].reduce((sum, count) => sum + count, 0);
  return [...byNamespace]
    .map(([name, count]) => `${name} ${Math.round((count / Math.max(1, total)) * 100)} %`)
    .join("   ");
}

function countsText({ requests, failed }: StepRow): string {
  return requests === 0 ? "" : `  ${requests} requests, ${failed} failed`;
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}
