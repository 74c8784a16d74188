// Test files load this first. Threads that the tests start then run from the bundle that `SERIN_BUNDLE` names.
import { join } from "node:path";

const { SERIN_BUNDLE: bundle } = process.env;

if (bundle !== undefined) {
  const { startThreadsFrom } = await import("../../src/base/program-files.ts");
  startThreadsFrom(join(import.meta.dirname, "../../.bundles", bundle));
}
