import { commandForStep, type RolloutStatus } from "../../api/serin/index.ts";
import { wrappedLine } from "../terminal/fitted-table.ts";

/**
 * How long the rollout has waited, who can act, and with which command. Without the command if a line already shows it.
 * `title` is `Canary shop/web` or `MeshUpgrade to-1-31`, for example. `nowMs` adds to each time how long ago it was, or
 * how much is left.
 */
export function hintOf(
  title: string,
  status: RolloutStatus,
  shown: readonly string[],
  nowMs: number | undefined,
): string {
  const { phase, step, phaseSince } = status;
  const advice = commandOf(title, status);
  const command = shown.some((line) => line.includes(advice.slice(advice.indexOf("serin ")))) ? "" : advice;
  const when = (prefix: string, time: string | undefined): string =>
    time === undefined ? "" : `${prefix}${instant(time, nowMs)}`;
  switch (phase) {
    case "Planned":
    case "Completed":
    case "RolledBack":
      return "";
    case "Paused":
    case "Stuck":
      return [when("since ", phaseSince), command].filter((part) => part !== "").join(": ");
    case "Watching":
      return when("since ", phaseSince);
    case "Judging":
      return `${when("since ", phaseSince)}${when("; without a new sample it is Stuck at ", step?.waitsUntil)}`;
    case "Soaking":
      return `${when("since ", phaseSince)}${when(", until ", step?.waitsUntil)}${command === "" ? "" : `; ${command}`}`;
    case "RollingBack":
      return when("since ", status.undo?.startedAt);
    case "Waiting":
      // The message already says what a person must do for the group.
      if (status.pauseReason === "group-failed") return when("since ", phaseSince);
      return `${when("since ", phaseSince)}; it continues by itself${command === "" ? "" : `, or: ${command}`}`;
    default:
      return (step?.waitingFor ?? []).length === 0
        ? ""
        : `${when("since ", step?.waitingSince)}${when("; it fails at ", step?.waitsUntil)}${step?.waitsUntil === undefined ? "" : " unless it makes progress"}`;
  }
}

/** Formats a time like the history, with its distance from now. */
function instant(time: string, nowMs: number | undefined): string {
  const text = `${time.slice(0, "2026-01-31T12:00:00".length)}Z`;
  const distanceMs = nowMs === undefined ? Number.NaN : Date.parse(time) - nowMs;
  if (Number.isNaN(distanceMs)) return text;
  const distance = durationText(Math.round(Math.abs(distanceMs) / 1000)).replace(/\.0 s$/, " s");
  return `${text} (${distanceMs > 0 ? `in ${distance}` : `${distance} ago`})`;
}

/**
 * The hint, wrapped to the terminal's width, because a person must see the whole command. If both do not fit into one
 * line, the command begins its own.
 */
export function hintLines(hint: string, columns: number | undefined): string[] {
  const start = hint.search(/\b(?:serin|kubectl) /);
  if (columns === undefined || hint.length + 2 < columns) return [`  ${hint}`];
  const [text, command] = start === -1 ? [hint, ""] : [hint.slice(0, start), `    ${hint.slice(start)}`];
  return [`  ${text.trimEnd()}`, command].flatMap((line) => (line === "" ? [] : wrappedLine(line, columns - 1)));
}

/** The command that a person can run now. */
function commandOf(title: string, { phase, pauseReason, pausedBy, step, undo }: RolloutStatus): string {
  const [kind, key = ""] = title.split(" ");
  const [first = "", second] = key.split("/");
  const named = second === undefined ? first : `${second} -n ${first}`;
  if (phase === "Waiting") {
    const option = kind === "Canary" ? "canary" : "upgrade";
    // If the freeze has no name, the engine does not know the freezes yet.
    if (pauseReason !== "freeze" || pausedBy === undefined) return "";
    return `serin freeze except ${pausedBy} --${option} ${key} --reason WHY`;
  }
  if (phase === "Soaking") return kind === "MeshUpgrade" ? `end it: serin upgrade complete ${key}` : "";
  const [noun, approve, back] = kind === "Canary" ? ["canary", "promote", "abort"] : ["upgrade", "approve", "rollback"];
  // A status of an older engine has no reason. Its message is shown above.
  if (phase === "Paused" && pauseReason !== undefined) {
    const approval = step === undefined ? `${approve} ${named}` : commandForStep(`${approve} ${named}`, step.id);
    return `let it continue: serin ${noun} ${pauseReason === "approval" ? approval : `resume ${named}`}`;
  }
  if (phase === "Stuck" && undo === undefined) return `repair it, or undo it: serin ${noun} ${back} ${named}`;
  return "";
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
