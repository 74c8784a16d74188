import { spawnSync } from "node:child_process";
import { join } from "node:path";

/**
 * The environment in which all programs of this checkout, and the pods of the labs that they create, run from the
 * present bundle. They save the search for changed sources: 25 ms of processor time each. Empty if the sources run.
 */
export function oneBundle(): Readonly<Record<string, string>> {
  const serin = join(import.meta.dirname, "../bin/serin");
  const { SERIN_BUNDLE: _earlier, ...env } = process.env;
  const { stdout } = spawnSync(serin, ["bundle"], { encoding: "utf8", env });
  return stdout === "" ? {} : { SERIN_BUNDLE: stdout };
}

/**
 * The same for unit tests that start the program. Also names the file of the proxy's worker threads in the bundle, of
 * which tests start some fifty: a thread starts from it in a third of the processor time. Empty if the sources run.
 */
export function bundleOfUnitTests(): Readonly<Record<string, string>> {
  const { SERIN_BUNDLE: bundle } = oneBundle();
  if (bundle === undefined) return {};
  return {
    SERIN_BUNDLE: bundle,
    SERIN_TEST_WORKER_FILE: join(import.meta.dirname, "../.bundles", bundle, "proxy/workers/data-path.worker.js"),
  };
}
