// Refuses imports that break a rule of scripts/rules/imports/import-rules.ts, and files that import each other in a
// circle.
//   node scripts/rules/check-imports.ts
import { readSources } from "./imports/read-sources.ts";
import { refusedImports } from "./imports/refused-imports.ts";

const problems = refusedImports(readSources("{src,scripts,test,bench}/**/*.{ts,tsx}"));
for (const problem of problems) process.stderr.write(`${problem}\n`);
if (problems.length > 0) {
  process.stderr.write("who may import whom, and why: ARCHITECTURE.md\n");
  process.exitCode = 1;
}
