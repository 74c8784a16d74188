// Runs a proof in a short form as a test. Proofs are scripts for people.
import { spawn } from "node:child_process";
import { root } from "./lab-cluster.ts";

export interface ProofRun<Summary> {
  readonly code: number;
  /** Standard output and standard error, in the order in which they have come. */
  readonly output: string;
  /** Parses the last line of the output. Throws the whole output if it is not JSON. */
  readonly summary: () => Summary;
}

/**
 * Runs `<script> --json …`. The script's path is relative to the root. At the time limit, the script gets SIGTERM, and
 * then deletes its lab.
 */
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
