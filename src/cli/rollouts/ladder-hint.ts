import { commandForStep, type RolloutStatus } from "../../api/serin/index.ts";
import { wrappedLine } from "../terminal/fitted-table.ts";

/** The last line below the steps: a text, followed by a command. */
export interface Hint {
  /** If the text and the command are empty, the line is left out. */
  readonly text: string;
  readonly command: string;
}

/**
 * Says how long the rollout has waited, and which command lets it go on. Leaves out a command that one of the `shown`
 * lines contains. `title` is, for example, `Canary shop/web` or `MeshUpgrade to-1-31`. With `nowMs`, each time also
 * says how far it is from now.
 */
export function hintOf(
  title: string,
  status: RolloutStatus,
  shown: readonly string[],
  nowMs: number | undefined,
): Hint {
  const { phase, step, phaseSince } = status;
  const given = adviceOf(title, status);
  const advice = given !== undefined && shown.some((line) => line.includes(given.command)) ? undefined : given;
  const when = (prefix: string, time: string | undefined): string =>
    time === undefined ? "" : `${prefix}${instant(time, nowMs)}`;
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
      // Name no command: the message already says what a person must do for the group.
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

/** Formats a time as the history does, and says how far it is from now. */
function instant(time: string, nowMs: number | undefined): string {
  const text = `${time.slice(0, "2026-01-31T12:00:00".length)}Z`;
  const distanceMs = nowMs === undefined ? Number.NaN : Date.parse(time) - nowMs;
  if (Number.isNaN(distanceMs)) return text;
  const distance = durationText(Math.round(Math.abs(distanceMs) / 1000)).replace(/\.0 s$/, " s");
  return `${text} (${distanceMs > 0 ? `in ${distance}` : `${distance} ago`})`;
}

/**
 * The lines of a hint, wrapped to the terminal's width, so that a person sees the whole command. A command that does
 * not fit beside the text begins a line of its own.
 */
export function hintLines({ text, command }: Hint, columns: number | undefined): string[] {
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
    // The engine names no freeze if it has not read the freezes. Without the name, there is no command to show.
    if (pauseReason !== "freeze" || pausedBy === undefined) return undefined;
    return { text: "", command: `serin freeze except ${pausedBy} --${option} ${key} --reason WHY` };
  }
  if (phase === "Soaking")
    return kind === "MeshUpgrade" ? { text: "end it: ", command: `serin upgrade complete ${key}` } : undefined;
  const [noun, approve, back] = kind === "Canary" ? ["canary", "promote", "abort"] : ["upgrade", "approve", "rollback"];
  // A status that an older engine has written has no reason.
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

/** For example `4.2 s`, `3 min 12 s` or `2 h 5 min`. */
export function durationText(totalSeconds: number): string {
  if (totalSeconds < minuteSeconds) return `${totalSeconds.toFixed(1)} s`;
  const whole = Math.round(totalSeconds);
  if (whole < hourSeconds) return `${Math.floor(whole / minuteSeconds)} min ${whole % minuteSeconds} s`;
  return `${Math.floor(whole / hourSeconds)} h ${Math.floor((whole % hourSeconds) / minuteSeconds)} min`;
}
