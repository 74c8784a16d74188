import { counted } from "../../base/index.ts";
import { visibleLength, wrappedLine } from "../terminal/fitted-table.ts";
import { durationText, hintLines, hintOf, type Hint } from "./ladder-hint.ts";
import {
  isEndPhase,
  renderMatrix,
  type CheckStatus,
  type CompletedStep,
  type PlannedStep,
  type RolloutPhase,
  type RolloutStatus,
  type StepStatus,
  type Verdict,
} from "../../api/serin/index.ts";

export interface LadderOptions {
  readonly colour: boolean;
  /**
   * The terminal's width. Lines of the current step are wrapped to it, because a person must read all of them. Titles
   * of other steps and rows of tables are cut. Absent means unlimited.
   */
  readonly columns?: number;
  /**
   * The terminal's height. If it is too small for all lines, fewer done and future steps are shown. Absent means
   * unlimited.
   */
  readonly rows?: number;
  /** The present time, from which distances are computed. Absent if the output must not change with time alone. */
  readonly nowMs?: number;
  /** Whether to show the evidence of done steps, and all future steps instead of the next few. */
  readonly verbose: boolean;
  /** Set if the engine has not seen the latest change of the object, such as an order or its deletion. */
  readonly isBehind?: boolean;
}

const escape = "\u001b[";
const styles = {
  green: `${escape}32m`,
  red: `${escape}31m`,
  yellow: `${escape}33m`,
  dim: `${escape}2m`,
  bold: `${escape}1m`,
} as const;
const off = `${escape}0m`;
type Style = keyof typeof styles;

const marks: Readonly<Record<Verdict, readonly [mark: string, style: Style]>> = {
  pass: ["✔", "green"],
  fail: ["✘", "red"],
  wait: ["…", "yellow"],
  error: ["!", "red"],
};
/** The styles of known phases. A newer engine may have others. */
const phaseStyles: ReadonlyMap<RolloutPhase, Style> = new Map([
  ["Completed", "green"],
  ["RolledBack", "red"],
  ["Stuck", "red"],
  ["RollingBack", "red"],
  ["Waiting", "yellow"],
  ["Paused", "yellow"],
]);
/** Phases whose message is more than the name of a step. */
const restingPhases: ReadonlySet<RolloutPhase> = new Set(["Waiting", "Paused", "Stuck", "Watching", "RolledBack"]);
/** How many future and how many done steps are shown without `verbose`. */
const shownAhead = 6;
const shownBehind = 12;
/** At least so many lines are drawn, even if the terminal has fewer. */
const leastRows = 3;

/** Draws the steps of a rollout: the done ones, the current one with its checks, and the future ones. */
export function renderLadder(title: string, status: RolloutStatus | undefined, options: LadderOptions): string {
  if (status === undefined) return `${title}: the engine has not read it yet; if this stays: ${enginePods}\n`;
  const rows = Math.max(leastRows, (options.rows ?? Number.POSITIVE_INFINITY) - 1);
  const { completedSteps, plannedSteps = [] } = status;
  let behind = options.verbose ? completedSteps.length : Math.min(shownBehind, completedSteps.length);
  let ahead = options.verbose ? plannedSteps.length : Math.min(shownAhead, plannedSteps.length);
  for (;;) {
    const lines = drawn(title, status, options, { behind, ahead });
    if (lines.length <= rows) return `${lines.join("\n")}\n`;
    // Hide done steps before future ones, because the future ones tell what will happen.
    if (behind > 0) behind -= 1;
    else if (ahead > 0) ahead -= 1;
    else return `${[...lines.slice(0, 1), ...lines.slice(lines.length - rows + 1)].join("\n")}\n`;
  }
}

interface ShownSteps {
  readonly behind: number;
  readonly ahead: number;
}

function drawn(
  title: string,
  status: RolloutStatus,
  { colour, columns, verbose, isBehind, nowMs }: LadderOptions,
  steps: ShownSteps,
): string[] {
  const paint = (style: Style, text: string): string => (colour ? `${styles[style]}${text}${off}` : text);
  const head = `${paint("bold", title)}: ${paint(phaseStyles.get(status.phase) ?? "bold", status.phase)} ${status.progress}${weightText(status)}${runText(status)}`;
  const before = [head, ...behindLines(status, steps.behind, verbose, paint)];
  const now =
    status.step !== undefined && status.phase !== "Completed"
      ? currentLines(status, status.step, paint)
      : restLines(status, before, paint);
  const { cause } = status;
  const isTold = cause === undefined || [...before, ...now].some((line) => line.includes(cause));
  const shown = [
    ...before.map((line) => clip(line, columns)),
    ...now.flatMap((line) => readable(line, columns)),
    ...aheadLines(status, steps.ahead, paint).map((line) => clip(line, columns)),
    ...(isTold ? [] : readable(`  ${paint("red", "cause")}: ${cause}`, columns)),
    ...(status.undo?.waitingFor ?? []).flatMap((held) =>
      readable(`  ${paint("yellow", "…")} the undo waits for ${held}`, columns),
    ),
  ];
  const hint = isBehind === true && !endPhases.has(status.phase) ? behindHint : hintOf(title, status, shown, nowMs);
  return [...shown, ...hintLines(hint, columns).map((line) => paint("dim", line))];
}

/**
 * Fits a line of the current step to the terminal: wraps it at its spaces, and cuts a word that is wider than the
 * terminal.
 */
function readable(line: string, columns: number | undefined): string[] {
  // A row of a table is cut and not wrapped, because wrapping would destroy its columns.
  const isRow = line.startsWith(tableIndent);
  return (columns === undefined || isRow ? [line] : wrappedLine(line, columns - 1)).map((part) => clip(part, columns));
}

const endPhases: ReadonlySet<RolloutPhase> = new Set(["Completed", "RolledBack", "Watching"]);
const enginePods = "kubectl -n serin-system get pods -l app=serin-rollout";
/**
 * The hint while the engine has not seen an order. A second order would not help, because the first one is still
 * pending.
 */
const behindHint: Hint = {
  text: "the engine has not acted on the last order or change yet; if this stays: ",
  command: enginePods,
};

type Paint = (style: Style, text: string) => string;

const tableIndent = " ".repeat(8);

function weightText({ weight, phase }: RolloutStatus): string {
  if (weight === undefined || isEndPhase(phase)) return "";
  return `  canary ${weight} %`;
}

function runText({ run }: RolloutStatus): string {
  return run === undefined || run <= 1 ? "" : `  (run ${run})`;
}

function behindLines({ completedSteps }: RolloutStatus, count: number, verbose: boolean, paint: Paint): string[] {
  const done = completedSteps.slice(Math.max(0, completedSteps.length - count));
  const hidden = completedSteps.length - done.length;
  const first = hidden === 0 ? [] : [paint("dim", `  … ${counted(hidden, "step")} before`)];
  return [...first, ...done.flatMap((step) => doneLines(step, verbose, paint))];
}

function doneLines(step: CompletedStep, verbose: boolean, paint: Paint): string[] {
  const durationSeconds = (Date.parse(step.endedAt) - Date.parse(step.startedAt)) / 1000;
  const line = `  ${paint("green", "✔")} ${step.title}  ${paint("dim", durationText(durationSeconds))}`;
  return verbose ? [line, ...step.evidence.map((evidence) => paint("dim", `      ${evidence}`))] : [line];
}

function currentLines({ phase, message }: RolloutStatus, step: StepStatus, paint: Paint): string[] {
  const mark =
    phase === "RolledBack" || phase === "RollingBack" || phase === "Stuck" ? paint("red", "✘") : paint("yellow", "▸");
  const lines = [`  ${mark} ${paint("bold", step.title)}`];
  for (const waiting of step.waitingFor ?? []) lines.push(`      ${paint("yellow", "…")} ${waiting}`);
  for (const check of saidOnce(step.checks)) lines.push(...checkLines(check, paint));
  const detail = message.startsWith(`${step.title}: `) ? message.slice(step.title.length + 2) : message;
  const shown = [
    ...(step.waitingFor ?? []),
    ...step.checks.map(({ type, name = type, evidence }) => `${name}: ${evidence}`),
  ];
  const left = detail === step.title ? "" : leftOf(detail, shown);
  if (left !== "") lines.push(`      ${left}`);
  return lines;
}

/**
 * Joins checks with the same text, for example that a control plane does not answer, into one entry with all their
 * names. Does not join a check that only reports with one that decides.
 */
function saidOnce(checks: readonly CheckStatus[]): readonly CheckStatus[] {
  const groups = Map.groupBy(checks, ({ verdict, evidence, matrix, dryRun = false }) =>
    matrix === undefined ? `${verdict} ${dryRun} ${evidence}` : {},
  );
  return [...groups.values()].flatMap(([first, ...others]) =>
    first === undefined ? [] : [{ ...first, name: [first, ...others].map(({ type, name = type }) => name).join(", ") }],
  );
}

/** The end of a message, after the part that the last of the shown lines contains. It says what a person must do. */
function leftOf(message: string, shown: readonly string[]): string {
  const ends = shown.filter((line) => message.includes(line)).map((line) => message.indexOf(line) + line.length);
  return message.slice(Math.max(0, ...ends)).replace(/^[;,] /, "");
}

/**
 * The message of a rollout that is at rest or between two steps: for example, which freeze it waits for, and when the
 * freeze ends.
 */
function restLines({ phase, message, cause }: RolloutStatus, before: readonly string[], paint: Paint): string[] {
  const isTold = message === cause || before.some((line) => line.includes(message));
  return isTold || !restingPhases.has(phase) ? [] : [`  ${paint(phaseStyles.get(phase) ?? "dim", "…")} ${message}`];
}

function checkLines(
  { type, name: own = type, dryRun, verdict, evidence, matrix }: CheckStatus,
  paint: Paint,
): string[] {
  const [mark, style] = marks[verdict];
  const name = dryRun === true ? `${own} (dry run)` : own;
  if (matrix === undefined) return [`      ${paint(style, mark)} ${name}: ${evidence}`];
  const table = renderMatrix(matrix).trimEnd().split("\n");
  return [
    `      ${paint(style, mark)} ${name}${verdict === "fail" ? `: ${evidence}` : ""}`,
    ...table.map((line) => `${tableIndent}${line}`),
  ];
}

function aheadLines(
  { phase, plannedSteps = [], completedSteps, step }: RolloutStatus,
  count: number,
  paint: Paint,
): string[] {
  if (isEndPhase(phase) || phase === "RollingBack") return [];
  const done = new Set(completedSteps.map(({ id }) => id));
  const ahead = plannedSteps.filter(({ id }: PlannedStep) => !done.has(id) && id !== step?.id);
  const shown = ahead.slice(0, count);
  const lines = shown.map(({ title }) => paint("dim", `  ○ ${title}`));
  if (shown.length < ahead.length) lines.push(paint("dim", `  ○ … and ${ahead.length - shown.length} more`));
  return lines;
}

/** Cuts a line to the terminal's width, with `…` at its end. Colour sequences have no width. */
function clip(line: string, columns: number | undefined): string {
  if (columns === undefined || visibleLength(line) < columns) return line;
  let room = columns - 2;
  let result = "";
  line.split(escape).forEach((part, index) => {
    // A colour sequence ends with `m`.
    const colourEnd = index === 0 ? 0 : part.indexOf("m") + 1;
    const text = part.slice(colourEnd, colourEnd + Math.max(0, room));
    room -= text.length;
    const isCut = room === 0 && text !== "";
    result += `${index === 0 ? "" : escape}${part.slice(0, colourEnd)}${text}${isCut ? "…" : ""}`;
  });
  return result;
}
