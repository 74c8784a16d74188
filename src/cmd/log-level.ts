import { envString, logLevels, userError, type Environment, type LogLevel } from "../base/index.ts";

/** How much a process logs that has no flag and no setting for it: the level that `SERIN_LOG_LEVEL` names. */
export function logLevelOf(env: Environment): LogLevel {
  const wanted = envString(env, "SERIN_LOG_LEVEL", "info");
  const level = logLevels.find((known) => known === wanted);
  if (level === undefined)
    throw userError("env-invalid", `SERIN_LOG_LEVEL must be one of ${logLevels.join(", ")}, got "${wanted}"`);
  return level;
}
