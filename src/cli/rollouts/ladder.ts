import { counted } from "../../base/index.ts";
import { wrappedLine } from "../terminal/fitted-table.ts";
import {
  commandForStep,
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
  /** The width of the terminal, to which lines are cut, and the hint is wrapped. Absent means unlimited. */
  readonly columns?: number;
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
/** The styles of phases. A newer engine may know other phases. */
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
/** How many future and done steps are shown without `verbose`. */
const shownAhead = 6;
const shownBehind = 12;

/** Draws the steps of a rollout: the done ones, the current one with its checks, and the future ones. */
export function renderLadder(title: string, status: RolloutStatus | undefined, options: LadderOptions): string {
  const paint = (style: Style, text: string): string => (options.colour ? `${styles[style]}${text}${off}` : text);
  if (status === undefined) return `${title}: the engine has not read it yet; if this stays: ${enginePods}\n`;
  const lines = [
    `${paint("bold", title)}: ${paint(phaseStyles.get(status.phase) ?? "bold", status.phase)} ${status.progress}${weightText(status)}${runText(status)}`,
  ];
  const done = options.verbose ? status.completedSteps : status.completedSteps.slice(-shownBehind);
  if (done.length < status.completedSteps.length)
    lines.push(paint("dim", `  … ${counted(status.completedSteps.length - done.length, "step")} before`));
  for (const step of done) lines.push(...doneLines(step, options.verbose, paint));
  if (status.step !== undefined && status.phase !== "Completed")
    lines.push(...currentLines(status, status.step, paint));
  else lines.push(...restLines(status, lines, paint));
  lines.push(...aheadLines(status, options.verbose, paint));
  const { cause } = status;
  if (cause !== undefined && !lines.some((line) => line.includes(cause)))
    lines.push(`  ${paint("red", "cause")}: ${cause}`);
  for (const held of status.undo?.waitingFor ?? []) lines.push(`  ${paint("yellow", "…")} the undo waits for ${held}`);
  const shown = lines.map((line) => clip(line, options.columns));
  const hint = options.isBehind === true && !endPhases.has(status.phase) ? behindHint : hintOf(title, status, shown);
  shown.push(...hintLines(hint, options.columns).map((line) => paint("dim", line)));
  return `${shown.join("\n")}\n`;
}

const endPhases: ReadonlySet<RolloutPhase> = new Set(["Completed", "RolledBack", "Watching"]);
/** The last line below the steps. */
interface Hint {
  /** The text before the command. Both empty means no line. */
  readonly text: string;
  readonly command: string;
}

const enginePods = "kubectl -n serin-system get pods -l app=serin-rollout";
/**
 * The hint while the engine has not seen an order. To repeat the order would not help, because the first one is still
 * pending.
 */
const behindHint: Hint = {
  text: "the engine has not acted on the last order or change yet; if this stays: ",
  command: enginePods,
};

type Paint = (style: Style, text: string) => string;

function weightText({ weight, phase }: RolloutStatus): string {
  if (weight === undefined || isEndPhase(phase)) return "";
  return `  canary ${weight} %`;
}

function runText({ run }: RolloutStatus): string {
  return run === undefined || run <= 1 ? "" : `  (run ${run})`;
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
 * Joins checks with the same text, such as that a control plane does not answer, into one entry with all their names. A
 * check that only reports is not joined with one that decides.
 */
function saidOnce(checks: readonly CheckStatus[]): readonly CheckStatus[] {
  const groups = Map.groupBy(checks, ({ verdict, evidence, matrix, dryRun = false }) =>
    matrix === undefined ? `${verdict} ${dryRun} ${evidence}` : {},
  );
  return [...groups.values()].flatMap(([first, ...others]) =>
    first === undefined ? [] : [{ ...first, name: [first, ...others].map(({ type, name = type }) => name).join(", ") }],
  );
}

/** The part of a message after the last shown line that it repeats. It says what a person must do. */
function leftOf(message: string, shown: readonly string[]): string {
  const ends = shown.filter((line) => message.includes(line)).map((line) => message.indexOf(line) + line.length);
  return message.slice(Math.max(0, ...ends)).replace(/^[;,] /, "");
}

/**
 * The message of a rollout between two steps, or at rest: for example the freeze for which it waits, and until when.
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
    ...table.map((line) => `        ${line}`),
  ];
}

function aheadLines(
  { phase, plannedSteps = [], completedSteps, step }: RolloutStatus,
  verbose: boolean,
  paint: Paint,
): string[] {
  if (isEndPhase(phase) || phase === "RollingBack") return [];
  const done = new Set(completedSteps.map(({ id }) => id));
  const ahead = plannedSteps.filter(({ id }: PlannedStep) => !done.has(id) && id !== step?.id);
  const shown = verbose ? ahead : ahead.slice(0, shownAhead);
  const lines = shown.map(({ title }) => paint("dim", `  ○ ${title}`));
  if (shown.length < ahead.length) lines.push(paint("dim", `  ○ … and ${ahead.length - shown.length} more`));
  return lines;
}

/**
 * How long the rollout has waited, who can act, and with which command. Without the command if a line already shows it.
 * `title` is `Canary shop/web` or `MeshUpgrade to-1-31`, for example.
 */
function hintOf(title: string, status: RolloutStatus, shown: readonly string[]): Hint {
  const { phase, step, phaseSince } = status;
  const given = adviceOf(title, status);
  const advice = given !== undefined && shown.some((line) => line.includes(given.command)) ? undefined : given;
  const when = (prefix: string, time: string | undefined): string =>
    time === undefined ? "" : `${prefix}${instant(time)}`;
  const only = (text: string): Hint => ({ text, command: "" });
  const withAdvice = (text: string, joint: string): Hint =>
    advice === undefined
      ? only(text)
      : { text: `${text}${text === "" ? "" : joint}${advice.text}`, command: advice.command };
  switch (phase) {
    case "Planned":
    case "Completed":
    case "RolledBack":
      return only("");
    case "Paused":
    case "Stuck":
      return withAdvice(when("since ", phaseSince), ": ");
    case "Watching":
      return only(when("since ", phaseSince));
    case "Judging":
      return only(`${when("since ", phaseSince)}${when("; without a new sample it is Stuck at ", step?.waitsUntil)}`);
    case "Soaking":
      return withAdvice(`${when("since ", phaseSince)}${when(", until ", step?.waitsUntil)}`, "; ");
    case "RollingBack":
      return only(when("since ", status.undo?.startedAt));
    case "Waiting":
      // The message already says what a person must do for the group.
      if (status.pauseReason === "group-failed") return only(when("since ", phaseSince));
      return withAdvice(`${when("since ", phaseSince)}; it continues by itself`, ", or: ");
    default:
      return only(
        (step?.waitingFor ?? []).length === 0
          ? ""
          : `${when("since ", step?.waitingSince)}${when("; it fails at ", step?.waitsUntil)}${step?.waitsUntil === undefined ? "" : " unless it makes progress"}`,
      );
  }
}

/** Formats a time like the history. */
function instant(time: string): string {
  return `${time.slice(0, "2026-01-31T12:00:00".length)}Z`;
}

/**
 * The lines of a hint, wrapped to the terminal's width, because a person must see the whole command. If the hint does
 * not fit into one line, the command begins its own.
 */
function hintLines({ text, command }: Hint, columns: number | undefined): string[] {
  const line = `${text}${command}`;
  if (line === "") return [];
  if (columns === undefined || line.length + 2 < columns) return [`  ${line}`];
  return [`  ${text.trimEnd()}`, ...(command === "" ? [] : [`    ${command}`])].flatMap((part) =>
    wrappedLine(part, columns - 1),
  );
}

/** What a person can do now, and the command for it. */
function adviceOf(title: string, { phase, pauseReason, pausedBy, step, undo }: RolloutStatus): Hint | undefined {
  const [kind, key = ""] = title.split(" ");
  const [first = "", second] = key.split("/");
  const named = second === undefined ? first : `${second} -n ${first}`;
  if (phase === "Waiting") {
    const option = kind === "Canary" ? "canary" : "upgrade";
    // If the freeze has no name, the engine does not know the freezes yet.
    if (pauseReason !== "freeze" || pausedBy === undefined) return undefined;
    return { text: "", command: `serin freeze except ${pausedBy} --${option} ${key} --reason WHY` };
  }
  if (phase === "Soaking")
    return kind === "MeshUpgrade" ? { text: "end it: ", command: `serin upgrade complete ${key}` } : undefined;
  const [noun, approve, back] = kind === "Canary" ? ["canary", "promote", "abort"] : ["upgrade", "approve", "rollback"];
  // A status of an older engine has no reason. Its message is shown above.
  if (phase === "Paused" && pauseReason !== undefined) {
    const approval = step === undefined ? `${approve} ${named}` : commandForStep(`${approve} ${named}`, step.id);
    const order = pauseReason === "approval" ? approval : `resume ${named}`;
    return { text: "let it continue: ", command: `serin ${noun} ${order}` };
  }
  if (phase === "Stuck" && undo === undefined)
    return { text: "repair it, or undo it: ", command: `serin ${noun} ${back} ${named}` };
  return undefined;
}

const minuteSeconds = 60;
const hourSeconds = 3600;

/** `4.2 s`, `3 min 12 s`, `2 h 5 min`. */
export function durationText(totalSeconds: number): string {
  if (totalSeconds < minuteSeconds) return `${totalSeconds.toFixed(1)} s`;
  const whole = Math.round(totalSeconds);
  if (whole < hourSeconds) return `${Math.floor(whole / minuteSeconds)} min ${whole % minuteSeconds} s`;
  return `${Math.floor(whole / hourSeconds)} h ${Math.floor((whole % hourSeconds) / minuteSeconds)} min`;
}

/** Cuts a line to the terminal's width. Colour sequences have no width. */
function clip(line: string, columns: number | undefined): string {
  if (columns === undefined) return line;
  let room = columns - 1;
  let result = "";
  line.split(escape).forEach((part, index) => {
    // A colour sequence ends with `m`.
    const colourEnd = index === 0 ? 0 : part.indexOf("m") + 1;
    const text = part.slice(colourEnd, colourEnd + Math.max(0, room));
    room -= text.length;
    result += `${index === 0 ? "" : escape}${part.slice(0, colourEnd)}${text}`;
  });
  return result;
}
