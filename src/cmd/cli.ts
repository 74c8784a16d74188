// The command line: every verb that is not a role of a process. A verb's code is imported only when it runs, so that
// the others start fast.
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { CommanderError } from "commander";
import { createLogger, messageOf, systemClock, terminalText, usageExitCode, type Environment } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";
import {
  CommandEnd,
  createProgram,
  isLastingLine,
  readUserFile,
  requestLimit,
  waitingUser,
  type CliContext,
  type ConnectionFlags,
} from "../cli/index.ts";
import type { DashboardReader } from "../dashboard/read/index.ts";
import type { KubeConfig } from "../kube/index.ts";
import { otherVerbs } from "./other-verbs.ts";
import type { Release, RoleContext } from "./role.ts";

/** The exit code that a shell reports for a command that SIGPIPE ended. */
const brokenPipeExitCode = 141;

export async function run({ args, env, shutdown, release }: RoleContext): Promise<number> {
  // If the reader of the output has left, end a verb that only watches or serves. Any other verb finishes its work,
  // such as an installation.
  if (isLastingLine(args))
    process.stdout.once("error", ({ code }: NodeJS.ErrnoException) => {
      if (code === "EPIPE") process.exit(brokenPipeExitCode);
    });
  try {
    await createProgram(cliContext(env, release, shutdown.drain)).parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommandEnd) return error.exitCode;
    // Commander has printed its message.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExitCode;
    throw error;
  }
}

function cliContext(env: Environment, release: Release, signal: AbortSignal): CliContext {
  const terminal = terminalOf(env);
  const cluster = clusterAccess(env, signal);
  return {
    env,
    clock: systemClock,
    version: release.version,
    executable: join(release.root, "bin/serin"),
    programName: env["SERIN_PROGRAM"] === "istioctl" ? "istioctl" : "serin",
    otherVerbs,
    identity: `${userName()}@${hostname()} (pid ${process.pid})`,
    signal,
    ...terminal,
    ...cluster,
    ...releaseFiles(env, release),
    ...dashboardCalls(env, release, signal),
    ...engineCalls(cluster, { env, version: release.version }, signal),
    installer,
    followMesh: followMesh({ env, version: release.version, signal, err: terminal.err }),
  };
}

type Terminal = Pick<
  CliContext,
  | "out"
  | "err"
  | "interactive"
  | "colour"
  | "columns"
  | "rows"
  | "showsProgress"
  | "errorLines"
  | "waiting"
  | "confirm"
  | "onKey"
  | "readFile"
>;

function terminalOf(env: Environment): Terminal {
  const { stdin, stdout, stderr } = process;
  const isPlain = env["TERM"] === "dumb";
  let errorLines = 0;
  return {
    out: (output) => void stdout.write(terminalText(output)),
    err: (output) => {
      errorLines += output.split("\n").length - 1;
      stderr.write(terminalText(output));
    },
    errorLines: () => errorLines,
    interactive: stdin.isTTY,
    colour: stdout.isTTY && (env["NO_COLOR"] ?? "") === "" && !isPlain,
    columns: () => (stdout.isTTY ? stdout.columns : undefined),
    rows: () => (stdout.isTTY ? stdout.rows : undefined),
    showsProgress: stderr.isTTY && !isPlain,
    waiting: () => undefined,
    confirm,
    onKey: (take) => keysOf(stdin, take),
    readFile: readUserFile,
  };
}

/**
 * How often a request that a busy API server refused is repeated, as in kubectl. Without this, one refused write of a
 * hundred would end an installation in the middle.
 */
const busyRetries = 10;

type ClusterAccess = Pick<CliContext, "connect" | "kubeConfig" | "defaultNamespace" | "requestOfPod" | "streamOfPod">;

function clusterAccess(env: Environment, signal: AbortSignal): ClusterAccess {
  return {
    connect: async (flags, waiting) => {
      const { createKubeClient, withPortForward } = await import("../kube/index.ts");
      const config = await kubeConfigOf(env, flags);
      return withPortForward(
        createKubeClient(config, {
          log: createLogger({ scope: "kube", level: "warn" }),
          clock: systemClock,
          busyRetries,
          ...requestLimit(flags.kubeclientTimeout),
          ...waitingUser(flags.kubeclientTimeout, waiting),
        }),
        config,
      );
    },
    kubeConfig: async (flags) => await kubeConfigOf(env, flags),
    defaultNamespace: async (flags) => (await kubeConfigOf(env, flags)).namespace,
    requestOfPod: async (flags, { namespace, pod, port, method, path, body }) => {
      const { portForward, requestOverStream } = await import("../kube/index.ts");
      const stream = await portForward(await kubeConfigOf(env, flags), { namespace, pod, port, signal });
      return await requestOverStream(stream, { method, path, body, signal });
    },
    streamOfPod: async (flags, target) => {
      const { portForward } = await import("../kube/index.ts");
      return await portForward(await kubeConfigOf(env, flags), { ...target, signal });
    },
  };
}

async function kubeConfigOf(env: Environment, flags: ConnectionFlags): Promise<KubeConfig> {
  const { impersonating, loadKubeConfig } = await import("../kube/index.ts");
  const config = await loadKubeConfig(flags.kubeconfig ?? env, flags.context, env);
  return impersonating(config, { user: flags.as, uid: flags.asUid, groups: flags.asGroup });
}

function releaseFiles(
  env: Environment,
  release: Release,
): Pick<CliContext, "releaseTree" | "customResources" | "gatewayApiDefinitions"> {
  const definitions = async (name: string): Promise<UntypedObject[]> =>
    await readObjects(join(release.root, `manifests/crds/${name}.yaml`));
  return {
    releaseTree: async (version, flags) => {
      const { server } = await kubeConfigOf(env, flags);
      const { listClusters } = await import("../cluster/lifecycle/index.ts");
      const { runnableRelease } = await import("../cluster/images/index.ts");
      const lab = listClusters(env).find((cluster) => cluster.server === server);
      const tree =
        lab === undefined ? undefined : runnableRelease(lab.directory, version, join(release.root, "node_modules"));
      return tree ?? (version === release.version ? release.root : undefined);
    },
    customResources: definitions,
    gatewayApiDefinitions: async (channel) =>
      await definitions(channel === "standard" ? "gateway-api-standard" : "gateway-api"),
  };
}

function dashboardCalls(
  env: Environment,
  release: Release,
  signal: AbortSignal,
): Pick<CliContext, "serveDashboard" | "openBrowser"> {
  return {
    serveDashboard: async (flags, options) => {
      const { serveLocalDashboard } = await import("./dashboard.ts");
      await serveLocalDashboard({
        ...options,
        kubeConfig: await kubeConfigOf(env, flags),
        env,
        log: createLogger({ scope: "dashboard", level: "warn" }),
        // The page itself shows which kinds cannot be read.
        readerLog: createLogger({ scope: "mesh", level: "error" }),
        release,
        signal,
      });
    },
    openBrowser: async (url) =>
      await (await import("../cli/dashboard/index.ts")).openBrowser(url, process.platform, env),
  };
}

const installer: CliContext["installer"] = {
  apply: async (options) => await (await import("../operator/index.ts")).applyComponents(options),
  keepNewer: async (client, components, force) =>
    await (await import("../operator/index.ts")).keepNewerShared(client, components, force),
  plan: async (client, object) => {
    const { fieldManager, planObject } = await import("../operator/index.ts");
    return await planObject(client, object, fieldManager);
  },
  verify: async (client, objects) => await (await import("../operator/index.ts")).verifyInstalled(client, objects),
  remove: async (options) =>
    await (await import("../operator/index.ts")).removeInstalled({ ...options, clock: systemClock }),
};

function engineCalls(
  cluster: ClusterAccess,
  { env, version }: { readonly env: Environment; readonly version: string },
  signal: AbortSignal,
): Pick<CliContext, "runCheck" | "previewUpgrade"> {
  return {
    runCheck: async (flags, request) => {
      const { runCheckOutside } = await import("../rollout/index.ts");
      const client = await cluster.connect(flags);
      const get = async (target: { namespace: string; pod: string; port: number; path: string }): Promise<string> =>
        (await cluster.requestOfPod(flags, { ...target, method: "GET" })).text;
      return await runCheckOutside({
        client,
        clock: systemClock,
        log: createLogger({ scope: "check", level: "warn" }),
        get,
        signal,
        ...request,
      });
    },
    previewUpgrade: async (flags, upgrade) => {
      const { imagesOf } = await import("../api/images/index.ts");
      const { previewUpgrade } = await import("../rollout/index.ts");
      return await previewUpgrade({
        client: await cluster.connect(flags),
        clock: systemClock,
        log: createLogger({ scope: "plan", level: "error" }),
        image: imagesOf(env, version),
        upgrade,
        signal,
      });
    },
  };
}

interface MeshSource {
  readonly env: Environment;
  readonly version: string;
  readonly signal: AbortSignal;
  readonly err: CliContext["err"];
}

/** The source of views. It reads the mesh while anybody follows a view. */
interface MeshReading {
  readonly reader: Promise<DashboardReader>;
  readonly stop: () => void;
  followers: number;
}

/** Nothing is hidden here: the user's own kubeconfig is used, so the API server decides what the user may see. */
const ownReader = {
  key: "own",
  namespaces: "*" as const,
  hiddenKinds: new Set<string>(),
  may: async (): Promise<boolean> => true,
};

function followMesh(source: MeshSource): NonNullable<CliContext["followMesh"]> {
  let mesh: MeshReading | undefined;
  return async (flags, { name, parameters }, sink, signal) => {
    mesh ??= readMesh(source, flags);
    const { views } = await mesh.reader;
    mesh.followers += 1;
    await views.follow(
      name,
      parameters,
      ownReader,
      { view: (view) => sink.view(view as Parameters<typeof sink.view>[0]), problem: sink.problem },
      signal,
    );
    mesh.followers -= 1;
    if (mesh.followers === 0) mesh.stop();
  };
}

/** Reads the mesh with the user's own kubeconfig, and pods through the API server. */
function readMesh({ env, version, signal, err }: MeshSource, flags: ConnectionFlags): MeshReading {
  const end = new AbortController();
  const begin = async (): Promise<DashboardReader> => {
    const { askPodByApiServer, createDashboardReader } = await import("../dashboard/read/index.ts");
    const { createKubeClient } = await import("../kube/index.ts");
    const log = createLogger({ scope: "mesh", level: "error" });
    const kubeConfig = await kubeConfigOf(env, flags);
    const client = createKubeClient(kubeConfig, {
      log,
      clock: systemClock,
      userAgent: `serin/${version}`,
      ...requestLimit(flags.kubeclientTimeout),
    });
    const reader = createDashboardReader({
      client,
      clock: systemClock,
      log,
      askPod: askPodByApiServer(client),
      cluster: kubeConfig.server,
    });
    void reader
      .run(AbortSignal.any([signal, end.signal]))
      .catch((error: unknown) => err(`${messageOf(error)}\n`))
      .finally(() => client.close());
    return reader;
  };
  return { reader: begin(), stop: () => end.abort(), followers: 0 };
}

async function readObjects(path: string): Promise<UntypedObject[]> {
  const { objectsInManifest } = await import("../kube/index.ts");
  return await Array.fromAsync(objectsInManifest(await readUserFile(path)));
}

/** Reads keys one by one, without echo, until it is disposed. Undefined if standard input is not a terminal. */
function keysOf(input: typeof process.stdin, take: (key: string) => void): Disposable | undefined {
  if (!input.isTTY) return undefined;
  const onData = (data: Buffer): void => {
    for (const key of data.toString()) take(key);
  };
  input.setRawMode(true);
  input.on("data", onData);
  input.resume();
  return {
    [Symbol.dispose]: () => {
      input.off("data", onData);
      input.setRawMode(false);
      input.pause();
    },
  };
}

export async function confirm(question: string): Promise<boolean> {
  const { createInterface } = await import("node:readline/promises");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // If standard input ends, the answer is empty, which means no.
  const ended = new Promise<string>((resolve) => terminal.once("close", () => resolve("")));
  try {
    return /^y(es)?$/i.test((await Promise.race([terminal.question(question), ended])).trim());
  } finally {
    terminal.close();
  }
}

/** The user's name. A user who has none on this machine is identified by the uid. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "unknown");
  }
}
