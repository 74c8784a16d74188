import { spawnSync } from "node:child_process";
import { join } from "node:path";

/**
 * Returns an environment in which all programs of this checkout, and the pods of the labs that they create, run from
 * the present bundle. This saves each of them the search for changed sources, which takes 25 ms of processor time.
 * Returns an empty one if this process runs from the sources.
 */
export function oneBundle(): Readonly<Record<string, string>> {
  const serin = join(import.meta.dirname, "../../bin/serin");
  const { SERIN_BUNDLE: _earlier, ...env } = process.env;
  const { stdout } = spawnSync(serin, ["bundle"], { encoding: "utf8", env });
  return stdout === "" ? {} : { SERIN_BUNDLE: stdout };
}
