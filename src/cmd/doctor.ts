import { userError, type Environment } from "../base/index.ts";
import { diagnose, type Finding } from "../cluster/lifecycle/index.ts";
import { probeMachine } from "../cluster/node/index.ts";
import type { RoleContext } from "./role.ts";

/** The machine's findings, as `serin doctor` shows them. */
export function findingsOf(env: Environment): readonly Finding[] {
  return diagnose({
    env,
    insideCommand: [process.execPath, ...process.execArgv, process.argv[1] ?? "", "doctor", "--inside"],
  });
}

const usage = `Usage: serin doctor [--json]

What this machine lacks for a lab cluster, with the remedy for each. Ends with 1 where something is missing.
`;

/** `serin doctor [--json]`: what the machine lacks for a lab cluster, and the exact remedy. */
export async function run({ args, env }: RoleContext): Promise<number> {
  if (args[0] === "--inside") {
    process.stdout.write(JSON.stringify(probeMachine()));
    return 0;
  }
  if (args.some((word) => word === "--help" || word === "-h" || word === "help")) {
    process.stdout.write(usage);
    return 0;
  }
  const unknown = args.find((word) => word !== "--json");
  if (unknown !== undefined) throw userError("usage", `doctor does not know "${unknown}"\n${usage}`);
  const findings = findingsOf(env);
  if (args.includes("--json")) process.stdout.write(`${JSON.stringify(findings)}\n`);
  else
    for (const finding of findings)
      process.stdout.write(
        `${finding.ok ? "✓" : "✗"} ${finding.subject}: ${finding.detail}${finding.ok ? "" : `\n    remedy: ${finding.remedy}`}\n`,
      );
  return await Promise.resolve(findings.every((finding) => finding.ok) ? 0 : 1);
}
