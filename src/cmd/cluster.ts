import { counted, goDurationMs, jsonText, nearestName, SerinError, userError, ownField } from "../base/index.ts";
import type { HostProcess } from "../cluster/record/index.ts";
import { readFlags } from "./read-flags.ts";
import type { RoleContext } from "./role.ts";

export const clusterUsage = `serin cluster create [--name NAME] [--workers N | --config FILE|-]
                     [--autoscale] [--event-ttl DURATION] [--owner PID]
    Creates a lab cluster, and writes its context kind-NAME into the kubeconfig.
    The default name is kind, and the default size is one control plane and two
    workers. --config reads a cluster file of kind; - is standard input.
    --autoscale lets HorizontalPodAutoscalers scale by the pods' resource use.
    --event-ttl sets how long the API server keeps Events (default: 1h).
    --owner deletes the cluster when the process PID ends, however it ends: a
    script that is killed leaves nothing behind with --owner $$. Without --owner
    the cluster stays until you delete it.
serin cluster delete [--name NAME]
    Deletes a cluster with its processes, its files and its context.
serin cluster list [--names | --json]
    Lists the clusters of this user.
serin cluster kubeconfig [--name NAME]
    Prints the kubeconfig of a cluster.
serin cluster shell [--name NAME] [-- COMMAND…]
    Opens a shell, or runs a command, that reaches the addresses of Services and
    LoadBalancers, and resolves the names of Services.
serin cluster urls [--name NAME] [--json]
    Lists the URLs by which this machine reaches the ports of LoadBalancers.

Without --name, delete, kubeconfig, shell and urls mean the cluster of this
shell, or else the only cluster.

Examples:
  serin cluster create --workers 1
  serin cluster create --name ci --owner $$   # in a script: ends with it
  serin cluster shell -- curl http://productpage.default:9080
  serin cluster delete
`;

const defaultWorkers = 2;
const maxWorkers = 16;
const minEventTtlMs = 1_000;

/** `serin cluster …`: creates, lists, enters and deletes lab clusters. */
export async function run(context: RoleContext): Promise<number> {
  const [verb = "help", ...rest] = context.args;
  const split = rest.indexOf("--");
  const command = split === -1 ? [] : rest.slice(split + 1);
  const isVerb = Object.hasOwn(flagsOfVerbs, verb);
  if (!isVerb && !["help", "--help", "-h"].includes(verb)) throw unknownVerb(verb);
  const { values, positionals } = readFlags(
    isVerb ? `cluster ${verb}` : "cluster",
    { args: split === -1 ? rest : rest.slice(0, split), allowPositionals: true, options },
    ownField(flagsOfVerbs, verb),
  );
  refuseForeignFlags(verb, values, split !== -1);
  const [stray] = positionals;
  if (stray !== undefined && values.help !== true) throw unexpectedArgument(verb, stray);
  if (values.help === true) {
    process.stdout.write(clusterUsage);
    return 0;
  }
  switch (verb) {
    case "create":
      return await create(context, values);
    case "delete": {
      const { deleteCluster } = await import("../cluster/lifecycle/index.ts");
      const name = await nameOf(context, values.name);
      await deleteCluster(name, context.env);
      process.stdout.write(`Deleted cluster "${name}".\n`);
      return 0;
    }
    case "list":
      return await list(context, values);
    case "kubeconfig": {
      const { clusterKubeconfig } = await import("../cluster/lifecycle/index.ts");
      process.stdout.write(clusterKubeconfig(await nameOf(context, values.name), context.env));
      return 0;
    }
    case "shell": {
      const { runInCluster } = await import("../cluster/lifecycle/index.ts");
      return await runInCluster(await nameOf(context, values.name), command, context.env);
    }
    case "urls":
      return await urls(context, await nameOf(context, values.name), values.json === true);
    default:
      process.stdout.write(clusterUsage);
      return 0;
  }
}

const options = {
  name: { type: "string", short: "n" },
  config: { type: "string", short: "c" },
  workers: { type: "string" },
  autoscale: { type: "boolean" },
  "event-ttl": { type: "string" },
  owner: { type: "string" },
  names: { type: "boolean" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

interface Flags {
  name?: string;
  config?: string;
  workers?: string;
  autoscale?: boolean;
  "event-ttl"?: string;
  owner?: string;
  names?: boolean;
  json?: boolean;
  help?: boolean;
}

const flagsOfVerbs: Readonly<Record<string, readonly (keyof Flags)[]>> = {
  create: ["name", "config", "workers", "autoscale", "event-ttl", "owner"],
  delete: ["name"],
  list: ["names", "json"],
  kubeconfig: ["name"],
  shell: ["name"],
  urls: ["name", "json"],
};

/** The flags of each verb, for completion. A flag that takes a value ends with `=`. */
export function clusterFlags(): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(
    Object.entries(flagsOfVerbs).map(([verb, flags]) => [
      verb,
      flags.map((flag) => `--${flag}${options[flag].type === "string" ? "=" : ""}`),
    ]),
  );
}

/** Throws for flags of other verbs, and for a command after any verb but `shell`, because they would have no effect. */
function refuseForeignFlags(verb: string, values: Flags, hasCommand: boolean): void {
  const known = ownField(flagsOfVerbs, verb);
  if (known === undefined || values.help === true) return;
  const foreign = (Object.keys(values) as (keyof Flags)[]).find((flag) => !known.includes(flag));
  if (foreign !== undefined) {
    const verbs = Object.keys(flagsOfVerbs).filter((other) => flagsOfVerbs[other]?.includes(foreign) === true);
    throw userError("usage", `cluster ${verb} has no flag --${foreign}, which belongs to ${verbs.join(", ")}`, {
      hint: `cluster ${verb} takes ${known.map((flag) => `--${flag}`).join(", ")}`,
    });
  }
  if (hasCommand && verb !== "shell")
    throw userError("usage", `cluster ${verb} runs no command, but there is a -- in the line`, {
      hint: "serin cluster shell -- COMMAND… runs a command",
    });
}

function unexpectedArgument(verb: string, word: string): SerinError {
  const takesName = ownField(flagsOfVerbs, verb)?.includes("name") === true;
  const run = verb === "shell" ? `; a command follows --: serin cluster shell -- ${word} …` : "";
  return userError("usage", `cluster ${verb}: unexpected argument "${word}"`, {
    hint: takesName ? `a flag names the cluster: serin cluster ${verb} --name ${word}${run}` : "serin cluster --help",
  });
}

function unknownVerb(verb: string): SerinError {
  const near = nearestName(verb, Object.keys(flagsOfVerbs));
  const guess = near === undefined ? "" : `; did you mean "cluster ${near}"?`;
  return userError("usage", `unknown verb "cluster ${verb}"${guess}`, { hint: "serin cluster --help" });
}

async function create({ env, release, shutdown }: RoleContext, flags: Flags): Promise<number> {
  const { createCluster, parseKindConfig, programPath } = await import("../cluster/lifecycle/index.ts");
  const source = flags.config === "-" ? "standard input" : (flags.config ?? "default");
  const text = flags.config === undefined ? nodesConfig(flags.workers) : await readConfig(flags.config);
  if (flags.config !== undefined && flags.workers !== undefined)
    throw userError("usage", "--workers and --config exclude each other: the config already lists the nodes");
  const { plan, warnings } = parseKindConfig(text, {
    source,
    ...(flags.name === undefined ? {} : { name: flags.name }),
  });
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  const eventTtlMs = readEventTtl(flags["event-ttl"]);
  const owner = await readOwner(flags.owner);
  const begin = performance.now();
  process.stdout.write(`Creating cluster "${plan.name}" ...\n`);
  const created = await createCluster({
    plan,
    autoscale: flags.autoscale === true,
    eventTtlMs,
    owner,
    env,
    release,
    signal: shutdown.drain,
    progress: (step) => void process.stdout.write(` • ${step}\n`),
    diagnose: async () => (await import("./doctor.ts")).findingsOf(env),
  });
  const seconds = ((performance.now() - begin) / 1_000).toFixed(1);
  process.stdout.write(
    ` ✓ All nodes are ready (${seconds} s)\nSet kubectl context to "${created.contextName}" in ${created.kubeconfigPath}\n`,
  );
  process.stdout.write(
    `API server: ${created.server}\nLook around:  kubectl get nodes;  serin cluster shell --name ${plan.name};  serin cluster delete --name ${plan.name}\n`,
  );
  if (programPath("kubectl", env) === undefined)
    process.stdout.write("kubectl is not in PATH: https://kubernetes.io/docs/tasks/tools/ says how to install it\n");
  return 0;
}

function readEventTtl(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const eventTtlMs = goDurationMs(text);
  if (eventTtlMs === undefined || eventTtlMs < minEventTtlMs)
    throw userError("usage", `--event-ttl must be a duration of at least 1s, such as 30m, got "${text}"`);
  return eventTtlMs;
}

async function readOwner(text: string | undefined): Promise<HostProcess | undefined> {
  if (text === undefined) return undefined;
  const { hostProcess } = await import("../cluster/record/index.ts");
  const owner = /^[1-9]\d*$/.test(text) ? hostProcess(Number(text)) : undefined;
  if (owner !== undefined) return owner;
  throw userError("usage", `--owner must be the number of a running process, got "${text}"`, {
    hint: "in a shell script, --owner $$ names the script itself",
  });
}

function nodesConfig(workers = String(defaultWorkers)): string {
  if (!/^\d{1,2}$/.test(workers) || Number(workers) > maxWorkers)
    throw userError("usage", `--workers must be a number from 0 to ${maxWorkers}, got "${workers}"`);
  return `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n${"- role: worker\n".repeat(Number(workers))}`;
}

async function readConfig(path: string): Promise<string> {
  const { readUserFile } = await import("../cli/index.ts");
  return await readUserFile(path);
}

/** The cluster that the flag names, else that of the shell, else the only one. */
async function nameOf({ env }: RoleContext, given: string | undefined): Promise<string> {
  if (given !== undefined) return given;
  if (env["SERIN_CLUSTER"] !== undefined) return env["SERIN_CLUSTER"];
  const { listClusters } = await import("../cluster/lifecycle/index.ts");
  const [first, ...others] = listClusters(env);
  if (first === undefined) return "kind";
  if (others.length === 0) return first.name;
  throw new SerinError("user", "ambiguous", "there are several clusters", {
    hint: `choose one: --name ${[first, ...others].map(({ name }) => name).join("|")}`,
  });
}

async function list({ env }: RoleContext, { names, json }: Flags): Promise<number> {
  const { listClusters } = await import("../cluster/lifecycle/index.ts");
  const clusters = listClusters(env);
  if (json === true) {
    const rows = clusters.map(({ name, running, nodes, server }) => ({ name, running, nodes, server }));
    process.stdout.write(jsonText(rows));
    return 0;
  }
  // Like kind, write the note to standard error, because scripts read standard output.
  if (clusters.length === 0) process.stderr.write("there is no lab cluster; create one: serin cluster create\n");
  for (const cluster of clusters) {
    process.stdout.write(
      names === true
        ? `${cluster.name}\n`
        : `${cluster.name}\t${cluster.running ? "running" : "stopped"}\t${counted(cluster.nodes, "node")}\t${cluster.server}\n`,
    );
  }
  return 0;
}

async function urls({ env }: RoleContext, name: string, asJson: boolean): Promise<number> {
  const { clusterUrls } = await import("../cluster/lifecycle/index.ts");
  const found = clusterUrls(name, env);
  if (!asJson && found.length === 0)
    process.stderr.write(`no Service of type LoadBalancer has an address in cluster "${name}"\n`);
  if (asJson) process.stdout.write(jsonText(found));
  else
    for (const entry of found)
      process.stdout.write(
        `${entry.url}\t${entry.service} ${entry.address}:${entry.port}${entry.portName === "" ? "" : ` (${entry.portName})`}\n`,
      );
  return 0;
}
