const errorWords = new Set(["error", "err", "fatal", "critical", "crit", "alert", "emerg", "panic", "severe"]);
/** The lowest error level of Bunyan and pino, which use numbers: 50 is error, 60 is fatal. */
const errorLevel = 50;
const levelFields = ["level", "severity", "lvl", "log.level", "levelname", "loglevel"] as const;

/** The prefix of klog: a letter, month and day, time. E is error, F is fatal. */
const klog = /^[EF]\d{4} \d{2}:\d{2}:\d{2}/;
const keyed = /\b(?:level|severity|lvl)\s*[=:]\s*"?(\w+)/i;
/** The level as a separate word near the start, for example after a time, after a logger's name, or in brackets. */
const worded = /^(?:[^a-zA-Z]*|.{0,60}?[\s[|:])(ERROR|FATAL|CRITICAL|SEVERE|PANIC|ERR)\b/;
const started =
  /^(?:error:|fatal:|fatal error|panic:|uncaught exception|unhandled exception|traceback \(most recent call last\)|exception in thread)/i;

/** Whether a log line in JSON, klog, logfmt or plain text has the level error or above. */
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
