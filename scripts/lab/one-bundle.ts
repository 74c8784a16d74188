import { spawnSync } from "node:child_process";
import { join } from "node:path";

/**
 * The environment in which all programs of this checkout, and the pods of the labs that they create, run from the
 * present bundle. This saves each of them the search for changed sources, which takes 25 ms of processor time. Empty if
 * this process runs from the sources.
 */
export function oneBundle(): Readonly<Record<string, string>> {
  const serin = join(import.meta.dirname, "../../bin/serin");
  const { SERIN_BUNDLE: _earlier, ...env } = process.env;
  const { stdout } = spawnSync(serin, ["bundle"], { encoding: "utf8", env });
  return stdout === "" ? {} : { SERIN_BUNDLE: stdout };
}

/**
 * The same for unit tests that start the program. It also names the bundle's file for the proxy's worker threads. Tests
 * start about fifty of these, and a thread takes a third of the processor time to start from the bundle. Empty if this
 * process runs from the sources.
 */
export function bundleOfUnitTests(): Readonly<Record<string, string>> {
  const { SERIN_BUNDLE: bundle } = oneBundle();
  if (bundle === undefined) return {};
  return {
    SERIN_BUNDLE: bundle,
    SERIN_TEST_WORKER_FILE: join(import.meta.dirname, "../../.bundles", bundle, "proxy/workers/data-path.worker.js"),
  };
}
