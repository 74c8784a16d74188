// Proofs are scripts of their own, for people; their short forms are tests.
import { spawn } from "node:child_process";
import { root } from "./lab-cluster.ts";

export interface ProofRun<Summary> {
  readonly code: number;
  /** Standard output and standard error, in the order in which they came. */
  readonly output: string;
  /** The last line. Throws with all of the output when that is no JSON. */
  readonly summary: () => Summary;
}

/** Runs `<script> --json …`, a path from the root; told to end after the limit, it puts its lab away. */
export async function runProof<Summary>(
  script: string,
  options: readonly string[],
  timeLimitMs: number,
): Promise<ProofRun<Summary>> {
  const child = spawn(process.execPath, [script, "--json", ...options], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const collect = (chunk: Buffer): void => {
    output += chunk.toString("utf8");
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const timer = setTimeout(() => child.kill("SIGTERM"), timeLimitMs);
  const code = await new Promise<number>((resolve) => child.on("exit", (status) => resolve(status ?? 1)));
  clearTimeout(timer);
  const summary = (): Summary => {
    try {
      return JSON.parse(output.trim().split("\n").at(-1) ?? "") as Summary;
    } catch (cause) {
      throw new Error(`${script} ended with ${code} and no summary:\n${output}`, { cause });
    }
  };
  return { code, output, summary };
}
