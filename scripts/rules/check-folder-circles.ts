// Refuses folders of src that import each other in a circle. Inside every folder, imports between the subfolders and
// the files beside them must not form a circle. A circle that stays for now is listed in
// scripts/rules/imports/known-circles.ts.
//   node scripts/rules/check-folder-circles.ts
import { describeCircle, folderCircles } from "./imports/folder-circles.ts";
import { knownCircles } from "./imports/known-circles.ts";
import { readSources } from "./imports/read-sources.ts";

const circles = folderCircles(readSources("src/**/*.{ts,tsx}"));
const unknown = circles.filter(({ folder }) => knownCircles[folder] === undefined);
const gone = Object.keys(knownCircles).filter((known) => !circles.some(({ folder }) => folder === known));
for (const circle of unknown) process.stderr.write(`${describeCircle(circle)}\n`);
for (const folder of gone)
  process.stderr.write(`${folder}: no longer has a circle: delete it from scripts/rules/imports/known-circles.ts\n`);
if (unknown.length > 0)
  process.stderr.write("move what both need into a folder or file of its own, below both: ARCHITECTURE.md\n");
if (unknown.length + gone.length > 0) process.exitCode = 1;
