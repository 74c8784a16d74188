import { envString, logLevels, userError, type Environment, type LogLevel } from "../base/index.ts";

/** The log level of a process that has no flag or setting for it, from `SERIN_LOG_LEVEL`. */
export function logLevelOf(env: Environment): LogLevel {
  const wanted = envString(env, "SERIN_LOG_LEVEL", "info");
  const level = logLevels.find((known) => known === wanted);
  if (level === undefined)
    throw userError("env-invalid", `SERIN_LOG_LEVEL must be one of ${logLevels.join(", ")}, got "${wanted}"`);
  return level;
}
