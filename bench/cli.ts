// Measures the run time of the command line without a cluster.
//   npm run bench:cli [-- --rounds 10] [-- --json]
// With ISTIOCTL=<path>, alternates with runs of that istioctl, and reports the ratio of Serin's times to its times.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { scratchFolder } from "./scratch-folder.ts";

const root = join(import.meta.dirname, "..");
const { rounds, json } = benchOptions("npm run bench:cli --", { rounds: 10, json: false });

const bookinfo = ["platform/kube/bookinfo.yaml", "networking/bookinfo-gateway.yaml"].map((file) =>
  join(root, "samples/bookinfo", file),
);
const commands: Readonly<Record<string, readonly string[]>> = {
  version: ["version", "--remote=false"],
  help: ["--help"],
  "manifest generate, ambient": ["manifest", "generate", "--set", "profile=ambient"],
  "analyze bookinfo": ["analyze", "--use-kube=false", ...bookinfo],
};

interface Run {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** A home directory without a kubeconfig. Only these runs cache compiled code in it. */
const home = scratchFolder();

/** Runs a command once. Returns its wall time, and its CPU time from the shell's `times`, both in milliseconds. */
function run(program: string, args: readonly string[]): Run {
  const startedMs = performance.now();
  const { status, stdout, stderr } = spawnSync(
    "sh",
    ["-c", '"$@" >/dev/null 2>"$0" || { cat "$0" >&2; exit 9; }; times', join(home, "stderr"), program, ...args],
    {
      encoding: "utf8",
      env: { PATH: process.env["PATH"], HOME: home },
    },
  );
  const wallMs = performance.now() - startedMs;
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} failed: ${stderr}`);
  const used = [...(stdout.split("\n")[1] ?? "").matchAll(/(\d+)m([\d.]+)s/g)].map(
    ([, minutes = "0", seconds = "0"]) => Number(minutes) * 60_000 + Number(seconds) * 1000,
  );
  return { wallMs, cpuMs: used.reduce((sum, one) => sum + one, 0) };
}

function summary(runs: readonly Run[]): { readonly wallMs: number; readonly worstMs: number; readonly cpuMs: number } {
  const middle = (numbers: readonly number[]): number =>
    numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
  const walls = runs.map(({ wallMs }) => wallMs);
  return {
    wallMs: Math.round(middle(walls)),
    worstMs: Math.round(Math.max(...walls)),
    cpuMs: Math.round(middle(runs.map(({ cpuMs }) => cpuMs))),
  };
}

const serin = join(root, "bin/serin");
const istioctl = process.env["ISTIOCTL"];
const programs = { serin, ...(istioctl === undefined ? {} : { istioctl }) };
const results: Record<string, unknown>[] = [];
try {
  for (const [name, args] of Object.entries(commands)) {
    const runs = Object.fromEntries(Object.keys(programs).map((program) => [program, [] as Run[]]));
    // The first round fills caches and is not measured.
    for (let round = 0; round <= rounds; round += 1) {
      for (const [program, path] of Object.entries(programs)) {
        const one = run(path, args);
        if (round > 0) runs[program]?.push(one);
      }
    }
    const [own, other] = [
      summary(runs["serin"] ?? []),
      runs["istioctl"] === undefined ? undefined : summary(runs["istioctl"]),
    ];
    results.push({
      command: name,
      rounds,
      serin: own,
      ...(other === undefined
        ? {}
        : {
            istioctl: other,
            ratio: {
              wall: Number((own.wallMs / other.wallMs).toFixed(2)),
              cpu: Number((own.cpuMs / Math.max(other.cpuMs, 1)).toFixed(2)),
            },
          }),
    });
    if (json) continue;
    const shown = (text: string, found: typeof own): string =>
      `${text} ${found.wallMs} ms (worst ${found.worstMs} ms, CPU ${found.cpuMs} ms)`;
    const beside =
      other === undefined ? "" : `; ${shown("istioctl", other)}; ratio ${(own.wallMs / other.wallMs).toFixed(2)}`;
    process.stdout.write(`${name}: ${shown("serin", own)}${beside}\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`);
  else if (istioctl === undefined) process.stdout.write("ISTIOCTL is not set: no istioctl ran beside it\n");
} finally {
  rmSync(home, { recursive: true, force: true });
}
