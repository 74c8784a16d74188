import { diagnose } from "../cluster/lifecycle/index.ts";
import { probeMachine } from "../cluster/node/index.ts";
import type { RoleContext } from "./role.ts";

/** `serin doctor [--json]`: what the machine lacks for a lab cluster, and the exact remedy. */
export async function run({ args, env }: RoleContext): Promise<number> {
  if (args[0] === "--inside") {
    process.stdout.write(JSON.stringify(probeMachine()));
    return 0;
  }
  const findings = diagnose({ env, insideCommand: [process.execPath, ...process.execArgv, process.argv[1] ?? "", "doctor", "--inside"] });
  if (args.includes("--json")) process.stdout.write(`${JSON.stringify(findings)}\n`);
  else for (const finding of findings) process.stdout.write(`${finding.ok ? "✓" : "✗"} ${finding.subject}: ${finding.detail}${finding.ok ? "" : `\n    remedy: ${finding.remedy}`}\n`);
  return await Promise.resolve(findings.every((finding) => finding.ok) ? 0 : 1);
}
