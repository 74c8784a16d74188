// Shows whether a change made a bench slower. Runs the bench in turns in two checkouts, and prints the ratio of the new
// costs to the old ones.
//   node bench/paired.ts --base DIR [--runs 10] [--keys a,b] -- bench/hbone.ts --json --seconds 1
// The bench prints JSON on its last line. Each number in that JSON is a cost, or only the numbers with the keys of
// --keys. Less is better.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { numberOption } from "../scripts/arguments/number-option.ts";
import { intervalText, medianInterval } from "./median-interval.ts";

const at = process.argv.indexOf("--");
const { values: options } = parseArgs({
  args: process.argv.slice(2, at < 0 ? undefined : at),
  options: {
    base: { type: "string" },
    runs: { type: "string", default: "10" },
    keys: { type: "string", default: "" },
  },
});
const runs = numberOption("--runs", options.runs, { isWhole: true });
const [bench = "", ...args] = at < 0 ? [] : process.argv.slice(at + 1);
const own = join(import.meta.dirname, "..");
const wanted = new Set(options.keys.split(",").filter((key) => key !== ""));

function numbersOf(value: unknown, path: string, into: Map<string, number>): void {
  if (typeof value === "number") {
    if (wanted.size === 0 || wanted.has(path)) into.set(path, value);
  } else if (typeof value === "object" && value !== null)
    for (const [key, inner] of Object.entries(value)) numbersOf(inner, path === "" ? key : `${path}.${key}`, into);
}

function run(directory: string): Map<string, number> {
  const { stdout, status } = spawnSync(process.execPath, [bench, ...args], {
    cwd: directory,
    encoding: "utf8",
    maxBuffer: 1 << 26,
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`${bench} in ${directory} ended with ${status}`);
  const found = new Map<string, number>();
  numbersOf(JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}"), "", found);
  return found;
}

if (options.base === undefined || bench === "") throw new Error("name a checkout by --base, and a bench behind --");
const ratios = new Map<string, number[]>();
for (let round = 0; round < runs; round += 1) {
  const first = round % 2 === 0;
  const [one, two] = [run(first ? options.base : own), run(first ? own : options.base)];
  const [before, after] = first ? [one, two] : [two, one];
  for (const [key, value] of after) {
    const old = before.get(key) ?? 0;
    if (old > 0) ratios.set(key, [...(ratios.get(key) ?? []), value / old]);
  }
  process.stderr.write(
    `${round + 1}: ${[...ratios].map(([key, all]) => `${key} ${all.at(-1)?.toFixed(3)}`).join(", ")}\n`,
  );
}

const result = Object.fromEntries([...ratios].map(([key, all]) => [key, medianInterval(all)]));
for (const [key, interval] of Object.entries(result)) process.stdout.write(`${key}: ${intervalText(interval)}\n`);
process.stdout.write(`${JSON.stringify({ runs, ratios: result })}\n`);
