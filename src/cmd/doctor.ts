import type { parseArgs } from "node:util";
import { createLogger, jsonText, systemClock, terminalText, userError, type Environment } from "../base/index.ts";
import { diagnose, type Finding } from "../cluster/lifecycle/index.ts";
import { probeMachine } from "../cluster/node/index.ts";
import { readFlags } from "./read-flags.ts";
import type { RoleContext } from "./role.ts";

export function findingsOf(env: Environment): readonly Finding[] {
  return diagnose({
    env,
    insideCommand: [process.execPath, ...process.execArgv, process.argv[1] ?? "", "doctor", "--inside"],
  });
}

export const doctorUsage = `Usage: serin doctor [--json]
       serin doctor --kubernetes [--json] [-c KUBECONFIG] [--context NAME]
                    [-i NAMESPACE] [--as USER] [--as-uid UID]
                    [--as-group GROUP]... [--kubeclient-timeout TIME]

Checks whether this machine can run a lab cluster. With --kubernetes it checks
whether the kubeconfig's cluster can run the mesh, as far as the API server
shows, and which pods of an installed mesh are not ready. Each finding names the
remedy. The exit code is 1 if something prevents an installation.

Examples:
  serin doctor                                     # before serin cluster create
  serin doctor --kubernetes --context my-cluster   # before serin install
`;

/** The flags that apply only to a cluster. */
const clusterOptions = {
  kubeconfig: { type: "string", short: "c" },
  context: { type: "string" },
  istioNamespace: { type: "string", short: "i" },
  as: { type: "string" },
  "as-uid": { type: "string" },
  "as-group": { type: "string", multiple: true },
  "kubeclient-timeout": { type: "string" },
} as const;

const options = {
  kubernetes: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
  ...clusterOptions,
} as const;

/**
 * `serin doctor [--kubernetes] [--json]`: reports which requirements the machine or a cluster does not meet, with the
 * remedies.
 */
export async function run({ args, env }: RoleContext): Promise<number> {
  if (args[0] === "--inside") {
    process.stdout.write(JSON.stringify(probeMachine()));
    return 0;
  }
  const flags = flagsOf(args);
  if (flags.help) {
    process.stdout.write(doctorUsage);
    return 0;
  }
  if (flags.kubernetes) return await examine(flags, env);
  const findings = findingsOf(env);
  if (flags.json) process.stdout.write(jsonText(findings));
  else
    for (const finding of findings)
      process.stdout.write(
        `${finding.ok ? "✓" : "✗"} ${finding.subject}: ${finding.detail}${finding.ok ? "" : `\n    remedy: ${finding.remedy}`}\n`,
      );
  return findings.every((finding) => finding.ok) ? 0 : 1;
}

type Flags = ReturnType<typeof parseArgs<{ options: typeof options }>>["values"];

function flagsOf(args: readonly string[]): Flags {
  if (args.length === 1 && args[0] === "help") return flagsOf(["--help"]);
  const { values } = readFlags("doctor", { args: [...args], options });
  const stray = Object.keys(clusterOptions).find((name) => Object.hasOwn(values, name));
  if (stray !== undefined && !values.kubernetes)
    throw userError("usage", `doctor: --${stray} needs --kubernetes`, { hint: "serin doctor --help shows the flags" });
  return values;
}

async function examine(flags: Flags, env: Environment): Promise<number> {
  const { createKubeClient, impersonating, loadKubeConfig } = await import("../kube/index.ts");
  const { requestLimit, waitingUser } = await import("../cli/index.ts");
  const { examineCluster, findingsText } = await import("../cli/cluster-readiness/index.ts");
  const own = await loadKubeConfig(flags.kubeconfig ?? env, flags.context, env);
  const { as: user, "as-uid": uid, "as-group": groups, "kubeclient-timeout": timeout } = flags;
  const config = impersonating(own, { user, uid, groups });
  const log = createLogger({ scope: "doctor", level: "error" });
  const client = createKubeClient(config, {
    log,
    clock: systemClock,
    ...requestLimit(timeout),
    ...waitingUser(timeout, tellOfWait),
  });
  try {
    const findings = await examineCluster(client, flags.istioNamespace ?? "istio-system", systemClock);
    process.stdout.write(flags.json ? jsonText(findings) : terminalText(findingsText(findings)));
    return findings.some(({ level }) => level === "error") ? 1 : 0;
  } finally {
    client.close();
  }
}

function tellOfWait(subject: string, missing: string | undefined): void {
  if (missing !== undefined) process.stderr.write(terminalText(`  ${subject}: ${missing}\n`));
}
