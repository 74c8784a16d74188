import { envString, logFormatVariable, logLevels, userError, type Environment, type LogLevel } from "../base/index.ts";

/** The log level in `SERIN_LOG_LEVEL`, for a process that has no flag or setting for it. */
export function logLevelOf(env: Environment): LogLevel {
  const wanted = envString(env, "SERIN_LOG_LEVEL", "info");
  const level = logLevels.find((known) => known === wanted);
  if (level === undefined)
    throw userError("env-invalid", `SERIN_LOG_LEVEL must be one of ${logLevels.join(", ")}, got "${wanted}"`);
  return level;
}

/**
 * Whether a process writes its log as JSON, because Istio's argument `--log_as_json` or the variable of Istio's ztunnel
 * says so.
 */
export function logsAsJson(args: readonly string[], env: Environment): boolean {
  return (
    args.some((argument) => argument === "--log_as_json" || argument === "--log_as_json=true") ||
    env[logFormatVariable] === "json"
  );
}

/** Warns about a log format that does not exist. Upstream's ztunnel writes plain text then, so this is no error. */
export function logFormatWarning(env: Environment): string | undefined {
  const format = envString(env, logFormatVariable, "plain");
  if (format === "plain" || format === "json") return undefined;
  return `${logFormatVariable} must be plain or json, got ${JSON.stringify(format)}: plain applies`;
}
