import { fstatSync, writeSync } from "node:fs";
import { systemClock, type Clock } from "./clock.ts";
import { withoutControls } from "./message-text.ts";

/** The levels of istiod and ztunnel, least important first. */
export const logLevels = ["trace", "debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

export type LogFields = Readonly<Record<string, string | number | boolean | bigint | null | undefined>>;

/** Lines of text, or of JSON objects with the message under this key. */
export type LogFormat = "text" | { readonly messageKey: "msg" | "message" };

/**
 * A structured logger. A line of text is `time TAB level TAB scope TAB message TAB key=value…`, as in Istio's
 * components.
 */
export interface Logger {
  readonly level: LogLevel;
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  scoped(scope: string): Logger;
}

/** A level that may change. Loggers follow it. */
export interface LogThreshold {
  level: LogLevel;
}

export interface LoggerOptions {
  readonly scope: string;
  /** `info` if absent. */
  readonly level?: LogLevel | LogThreshold;
  /** Writes a whole line with its newline. If absent, lines go to standard error. */
  readonly write?: (line: string, level: LogLevel) => void;
  readonly clock?: Clock;
  /** If absent, the thread's format ({@link setLogFormat}). */
  readonly format?: LogFormat;
}

let threadFormat: LogFormat = "text";

/** The variable of upstream's ztunnel that asks for JSON with the value `json`. Threads inherit it. */
export const logFormatVariable = "LOG_FORMAT";

export function setLogFormat(format: LogFormat): void {
  threadFormat = format;
}

class LineLogger implements Logger {
  readonly #scope: string;
  readonly #threshold: Readonly<LogThreshold>;
  readonly #write: (line: string, level: LogLevel) => void;
  readonly #clock: Clock;
  readonly #format: LogFormat | undefined;

  constructor(
    scope: string,
    threshold: Readonly<LogThreshold>,
    write: (line: string, level: LogLevel) => void,
    clock: Clock,
    format: LogFormat | undefined,
  ) {
    this.#scope = scope;
    this.#threshold = threshold;
    this.#write = write;
    this.#clock = clock;
    this.#format = format;
  }

  get level(): LogLevel {
    return this.#threshold.level;
  }

  trace(message: string, fields?: LogFields): void {
    this.#line("trace", message, fields);
  }
  debug(message: string, fields?: LogFields): void {
    this.#line("debug", message, fields);
  }
  info(message: string, fields?: LogFields): void {
    this.#line("info", message, fields);
  }
  warn(message: string, fields?: LogFields): void {
    this.#line("warn", message, fields);
  }
  error(message: string, fields?: LogFields): void {
    this.#line("error", message, fields);
  }
  scoped(scope: string): Logger {
    return new LineLogger(scope, this.#threshold, this.#write, this.#clock, this.#format);
  }

  #line(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (logLevels.indexOf(level) < logLevels.indexOf(this.#threshold.level)) return;
    const time = timestamp(this.#clock.nowMs());
    const format = this.#format ?? threadFormat;
    this.#write(
      format === "text"
        ? `${time}\t${level}\t${this.#scope}\t${message}${formatFields(fields)}\n`
        : `${JSON.stringify({ level, time, scope: this.#scope, ...jsonFields(message, fields, format.messageKey) })}\n`,
      level,
    );
  }
}

let lastSecond = Number.NaN;
let lastSecondText = "";

/** ISO 8601 in UTC. It formats the part before the milliseconds only once for each second. */
function timestamp(ms: number): string {
  const whole = Math.trunc(ms);
  const second = Math.floor(whole / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastSecondText = new Date(second * 1000).toISOString().slice(0, -"000Z".length);
  }
  const millis = whole - second * 1000;
  return `${lastSecondText}${millis < 10 ? "00" : millis < 100 ? "0" : ""}${millis}Z`;
}

/** A logger with the level `info` that writes to standard error, unless the options say otherwise. */
export function createLogger(options: LoggerOptions): Logger {
  const write = options.write ?? standardErrorWriter();
  const { level = "info" } = options;
  return new LineLogger(
    options.scope,
    typeof level === "string" ? { level } : level,
    write,
    options.clock ?? systemClock,
    options.format,
  );
}

/**
 * Writes to the descriptor and not to a stream, because a stream would never write again after one failure, such as a
 * full disk.
 */
function standardErrorWriter(): (line: string) => void {
  let isFile: boolean | undefined;
  return (line) => {
    try {
      isFile ??= fstatSync(2).isFile();
      if (isFile) writeSync(2, line);
      else process.stderr.write(line);
    } catch {
      // The line is lost, and there is no other place to report that.
    }
  };
}

export const silentLogger: Logger = createLogger({ scope: "silent", level: "error", write: () => undefined });

/** The fields of a line in JSON. An access log line has its fields in the message, after a tab. */
function jsonFields(message: string, fields: LogFields | undefined, messageKey: string): Record<string, unknown> {
  const tab = message.indexOf("\t");
  const out: Record<string, unknown> = { [messageKey]: tab < 0 ? message : message.slice(0, tab) };
  if (tab >= 0) {
    for (const [, key = "", value = ""] of message
      .slice(tab + 1)
      .matchAll(/(?<![^\s=])([^\s=]+)=("(?:[^"\\]|\\.)*"|\S*)/g))
      out[key] = jsonValue(value);
  }
  for (const [key, value] of Object.entries(fields ?? {}))
    if (value !== undefined) out[key] = typeof value === "bigint" ? String(value) : value;
  return out;
}

function jsonValue(text: string): string | number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  if (!text.startsWith('"')) return text;
  try {
    return String(JSON.parse(text));
  } catch {
    return text.slice(1, -1);
  }
}

function formatFields(fields: LogFields | undefined): string {
  if (fields === undefined) return "";
  let out = "";
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    out += `${out === "" ? "\t" : " "}${key}=${formatValue(value)}`;
  }
  return out;
}

function formatValue(value: string | number | boolean | bigint | null): string {
  if (typeof value !== "string") return String(value);
  return /^[^\s"=\p{Cc}]+$/u.test(value) ? value : withoutControls(JSON.stringify(value));
}
