// Test files load this first. Threads of the program that they start then come from the bundle that the run names.
import { join } from "node:path";

const { SERIN_BUNDLE: bundle } = process.env;

if (bundle !== undefined) {
  const { startThreadsFrom } = await import("../../src/base/program-files.ts");
  startThreadsFrom(join(import.meta.dirname, "../../.bundles", bundle));
}
