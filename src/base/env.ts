import { userError } from "./errors.ts";

/** The environment's variables. Functions get them as a parameter, and never read them at import. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The value of a variable, or the fallback if it is unset or empty. */
export function envString(env: Environment, name: string, fallback: string): string {
  const value = env[name];
  return value === undefined || value === "" ? fallback : value;
}

/** Those of the named variables that are set, to pass them to another process. */
export function envPart(env: Environment, names: readonly string[]): Record<string, string> {
  const part: Record<string, string> = {};
  for (const name of names) if (env[name] !== undefined) part[name] = env[name];
  return part;
}

/** Reads words that are separated by commas. Drops blanks around words, and empty words. */
export function envList(env: Environment, name: string, fallback: string): string[] {
  return envString(env, name, fallback)
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

/**
 * The variable's value. Throws a user error if it is unset or empty. `meaning` completes the error's hint "set it to
 * …".
 */
export function envRequired(env: Environment, name: string, meaning: string): string {
  const value = env[name];
  if (value === undefined || value === "") {
    throw userError("env-missing", `the environment variable ${name} is not set`, { hint: `set it to ${meaning}` });
  }
  return value;
}

/** The variable as an integer, or the fallback if it is unset or empty. Throws a user error for any other text. */
export function envInteger(env: Environment, name: string, fallback: number): number {
  const value = env[name];
  if (value === undefined || value === "") return fallback;
  const parsed = Number(value);
  if (!Number.isInteger(parsed)) throw userError("env-invalid", `${name} must be an integer, got "${value}"`);
  return parsed;
}

/**
 * The variable as a whole number, or the fallback if it is unset or empty. Throws a user error for any other text, and
 * for a number below the minimum.
 */
export function envWhole(env: Environment, name: string, fallback: number, minimum = 0): number {
  const number = envInteger(env, name, fallback);
  if (number < minimum)
    throw userError("env-invalid", `${name} must be a whole number from ${minimum} on, got "${env[name] ?? ""}"`);
  return number;
}

const maxPort = 65_535;

/** The variable as a port number or 0. Throws a user error for any other text. */
export function envPort(env: Environment, name: string, fallback: number): number {
  const port = envInteger(env, name, fallback);
  if (port < 0 || port > maxPort)
    throw userError("env-invalid", `${name} must be a port from 0 to ${maxPort}, got "${env[name] ?? ""}"`);
  return port;
}

/** The variable as a boolean: `true`, `1`, `false` or `0`, in any case. Throws a user error for any other text. */
export function envBoolean(env: Environment, name: string, fallback: boolean): boolean {
  const value = env[name]?.toLowerCase();
  if (value === undefined || value === "") return fallback;
  if (value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  throw userError("env-invalid", `${name} must be true or false, got "${env[name] ?? ""}"`);
}
