// The entry of all processes. `serin <role> …` runs a process, and any other word is a verb of the command line.
import { readFileSync } from "node:fs";
import { enableCompileCache, flushCompileCache } from "node:module";
import { join, relative } from "node:path";
import {
  createLogger,
  describeError,
  exitCodeOf,
  giveBackIdleMemory,
  Interruption,
  logFormatVariable,
  onAbort,
  packageRoot,
  setLogFormat,
  shutdownOnSignals,
  sourceStack,
  terminalText,
  toSerinError,
  ownField,
} from "../base/index.ts";
import { logLevelOf, logFormatWarning, logsAsJson } from "./log-level.ts";
import { processHelp, strayArguments } from "./process-help.ts";
import type { Release, RoleModule } from "./role.ts";

enableCompileCache();
/**
 * When to write the compile cache. Most processes of the lab are killed, so they cannot write it at their end. The
 * second time is for a busy machine, on which loading takes longer.
 */
const cacheAfterMs = [3_000, 15_000] as const;
for (const ms of cacheAfterMs) setTimeout(flushCompileCache, ms).unref();
giveBackIdleMemory();

// Node.js prints the error's stack, and ends the process.
process.on("uncaughtExceptionMonitor", (error) => (error.stack = sourceStack(error)));

/**
 * Without a handler, the process would end when the reader of its output leaves, or when the disk of its log is full.
 */
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

/**
 * Makes a command fail if its output could not be written, for example to a full disk. A reader that has left early is
 * no failure.
 */
function failWithoutOutput(): void {
  let fault: NodeJS.ErrnoException | undefined;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") fault ??= error;
  });
  process.once("exit", () => {
    if (fault === undefined) return;
    process.stderr.write(`serin: cannot write to standard output: ${fault.message}\n`);
    if (process.exitCode === undefined || process.exitCode === 0) process.exitCode = lostOutputExitCode;
  });
}

const lostOutputExitCode = 1;

/** The roles that people call as commands. They end by themselves. */
const commands: ReadonlySet<string> = new Set(["cluster", "doctor", "release"]);

/** How long a process that has finished its work waits for open handles. Then it exits. */
const leftoversMs = 1_000;

/** The exit code that a shell reports for a command that SIGINT ended. */
const interruptedExitCode = 130;
const interruptedText = "interrupted";

/** Roles are loaded one by one, so that a ztunnel does not load the code of an API server. */
const roles: Readonly<Record<string, () => Promise<RoleModule>>> = {
  cni: () => import("./cni.ts"),
  ztunnel: () => import("./ztunnel.ts"),
  proxy: () => proxyRole(process.argv[3]),
  release: () => import("./release.ts"),
  pilot: () => import("./pilot.ts"),
  rollout: () => import("./rollout.ts"),
  probe: () => import("./probe.ts"),
  operator: () => import("./operator.ts"),
  "cluster-apiserver": () => import("./cluster-apiserver.ts"),
  "cluster-controllers": () => import("./cluster-controllers.ts"),
  "cluster-launcher": () => import("./cluster-launcher.ts"),
  "cluster-supervisor": () => import("./cluster-supervisor.ts"),
  "cluster-node": () => import("./cluster-node.ts"),
  cluster: () => import("./cluster.ts"),
  doctor: () => import("./doctor.ts"),
  prometheus: () => import("./prometheus.ts"),
  "prometheus-reloader": () => import("./prometheus-reloader.ts"),
  kiali: () => import("./kiali.ts"),
  grafana: () => import("./grafana.ts"),
  bundle: () => import("./bundle.ts"),
};

/** Commands of init containers and hooks must start quickly, so they do not load the whole proxy. */
async function proxyRole(word: string | undefined): Promise<RoleModule> {
  if (word === "istio-iptables") return await import("./sidecar-redirect.ts");
  return word === "wait" || word === "request" ? await import("./proxy-agent.ts") : await import("./proxy.ts");
}

function thisRelease(): Release {
  const root = packageRoot();
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  // The lab runs its own tree for every image whose release it does not have. SERIN_RELEASE is the version of the
  // image.
  return {
    root,
    entry: relative(root, import.meta.filename),
    version: process.env["SERIN_RELEASE"] ?? manifest.version,
  };
}

/** The flags with a value that may come before the name of one of {@link commands}. */
const earlyFlags: ReadonlySet<string> = new Set([
  "-c",
  "--kubeconfig",
  "--context",
  "-n",
  "--namespace",
  "-i",
  "--istioNamespace",
  "--as",
  "--as-uid",
  "--as-group",
  "--kubeclient-timeout",
]);
const earlySwitches: ReadonlySet<string> = new Set(["--json", "--kubernetes"]);

/**
 * Moves the name of one of {@link commands} to the front. Known flags may come before the name, as with every verb, and
 * so may `help`. Any other flag before the word leaves the line unchanged, because the word may belong to another verb,
 * as in `-nshop pc cluster`.
 */
function commandFirst(words: readonly string[]): readonly string[] {
  const [first = "", second = "", ...others] = words;
  if (first === "help" && commands.has(second)) return [second, ...others, "--help"];
  let at = 0;
  for (let word = words[0]; word?.startsWith("-") === true; word = words[at]) {
    const [flag = "", value] = word.split("=", 2);
    if (!earlyFlags.has(flag) && !earlySwitches.has(flag)) return words;
    at += earlyFlags.has(flag) && value === undefined ? 2 : 1;
  }
  const name = words[at];
  return name !== undefined && commands.has(name) ? [name, ...words.slice(at + 1), ...words.slice(0, at)] : words;
}

async function main(): Promise<number> {
  const [name = "--help", ...args] = commandFirst(process.argv.slice(2));
  const help = processHelp(name, args);
  if (help !== undefined) {
    process.stdout.write(help);
    return 0;
  }
  const load = ownField(roles, name);
  if (load === undefined || commands.has(name)) failWithoutOutput();
  // The kernel drops a SIGTERM for a container's first process if that process has no handler yet, so this comes before
  // the role's code is loaded.
  const signalled = load === undefined ? undefined : shutdownOnSignals();
  const role: RoleModule = load === undefined ? await import("./cli.ts") : await load();
  if (load !== undefined && logsAsJson(args, process.env)) {
    setLogFormat({ messageKey: name === "ztunnel" ? "message" : "msg" });
    process.env[logFormatVariable] = "json";
  }
  const log = createLogger({ scope: name, level: logLevelOf(process.env) });
  const formatWarning = load === undefined ? undefined : logFormatWarning(process.env);
  if (formatWarning !== undefined) log.warn(formatWarning);
  const stray = strayArguments(name, args);
  if (stray.length > 0) log.warn("arguments are unknown and have no effect", { arguments: stray.join(" ") });
  const own = load === undefined ? [name, ...args] : args;
  const shutdown = signalled ?? shutdownOnSignals();
  // After a first interruption, a command may have to finish or undo its work. A user who interrupts a second time does
  // not want to wait for that.
  if (load === undefined) onAbort(shutdown.force, endInterrupted);
  try {
    return await role.run({ args: own, env: process.env, log, shutdown, release: thisRelease() });
  } catch (error) {
    // The interruption has cut off the command's own requests, so their errors say nothing about the server.
    const isCause = load === undefined && shutdown.drain.aborted && toSerinError(error).kind === "transient";
    throw isCause ? new Interruption(interruptedText) : error;
  } finally {
    if (shutdown.drain.aborted) endWithoutLeftovers();
  }
}

/**
 * Ends the process soon, even if handles are open. A connection without an answer would keep it alive for the two
 * minutes in which the kernel repeats its SYN, and work that an error interrupted could keep it alive for ever. Waits
 * for output that is not written yet.
 */
function endWithoutLeftovers(): void {
  const isWritten = (): boolean => process.stdout.writableLength === 0 && process.stderr.writableLength === 0;
  setTimeout(() => (isWritten() ? process.exit() : endWithoutLeftovers()), leftoversMs).unref();
}

/** What the command says that it has left behind, or else only "interrupted". */
function interruptionText(error: Error): string {
  return error instanceof Interruption ? error.message : interruptedText;
}

function endInterrupted(): never {
  process.stderr.write(`serin: ${interruptedText}\n`);
  process.exit(interruptedExitCode);
}

/** Describes the error. An error without a hint gets the remedy of its code. */
async function describedWithRemedy(error: unknown): Promise<string> {
  const { code, hint } = toSerinError(error);
  const { remedyOf } = await import("../base/error-codes/index.ts");
  const remedy = hint === undefined ? remedyOf(code) : undefined;
  return remedy === undefined ? describeError(error) : `${describeError(error)}\n  hint: ${remedy}`;
}

try {
  process.exitCode = await main();
} catch (error) {
  const interruption = error instanceof Error && error.name === "AbortError" ? error : undefined;
  const text = interruption === undefined ? await describedWithRemedy(error) : interruptionText(interruption);
  // An error may quote objects and logs of pods, so escape control characters.
  process.stderr.write(terminalText(`serin: ${text}\n`));
  process.exitCode = interruption === undefined ? exitCodeOf(toSerinError(error)) : interruptedExitCode;
  endWithoutLeftovers();
}
