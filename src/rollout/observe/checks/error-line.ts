/** Levels that mean that something has gone wrong, as libraries spell them. */
const errorWords = new Set(["error", "err", "fatal", "critical", "crit", "alert", "emerg", "panic", "severe"]);
/** Bunyan and pino count levels: 50 is error, 60 fatal. */
const errorLevel = 50;
const levelFields = ["level", "severity", "lvl", "log.level", "levelname", "loglevel"] as const;

/** klog's: a letter, month and day, time; E is an error, F fatal. */
const klog = /^[EF]\d{4} \d{2}:\d{2}:\d{2}/;
const keyed = /\b(?:level|severity|lvl)\s*[=:]\s*"?(\w+)/i;
/** The level as a word of its own near the start: after a time, a logger's name, in brackets. */
const worded = /^(?:[^a-zA-Z]*|.{0,60}?[\s[|:])(ERROR|FATAL|CRITICAL|SEVERE|PANIC|ERR)\b/;
const started =
  /^(?:error:|fatal:|fatal error|panic:|uncaught exception|unhandled exception|traceback \(most recent call last\)|exception in thread)/i;

/** Whether a line of a log says that it is of level error or above: JSON, klog, logfmt or text. */
export function isErrorLine(line: string): boolean {
  const text = line.trimStart();
  if (text.startsWith("{")) {
    const level = jsonLevel(text);
    if (level !== undefined)
      return typeof level === "number" ? level >= errorLevel : errorWords.has(level.toLowerCase());
  }
  if (klog.test(text)) return true;
  const word = keyed.exec(text)?.[1];
  if (word !== undefined) return errorWords.has(word.toLowerCase());
  return started.test(text) || worded.test(text);
}

function jsonLevel(text: string): string | number | undefined {
  try {
    const parsed = JSON.parse(text) as Record<string, unknown>;
    for (const field of levelFields) {
      const value = parsed[field];
      if (typeof value === "string" || typeof value === "number") return value;
    }
    return undefined;
  } catch {
    return undefined;
  }
}
