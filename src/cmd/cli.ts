// The command line: every verb that is not a role of a process. The code of a verb is imported only when it runs, so
// that other verbs start at once.
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { CommanderError } from "commander";
import { createLogger, messageOf, systemClock, terminalText } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";
import { CommandEnd, createProgram, readUserFile, type CliContext, type ConnectionFlags } from "../cli/index.ts";
import type { DashboardReader } from "../dashboard/read/index.ts";
import type { RoleContext } from "./role.ts";

/** The data behind views. It is read while views are followed. */
interface MeshReading {
  readonly reader: Promise<DashboardReader>;
  readonly stop: () => void;
  followers: number;
}

export async function run({ args, env, shutdown, release }: RoleContext): Promise<number> {
  let mesh: MeshReading | undefined;
  const context: CliContext = {
    env,
    clock: systemClock,
    version: release.version,
    executable: join(release.root, "bin/serin"),
    programName: env["SERIN_PROGRAM"] === "istioctl" ? "istioctl" : "serin",
    out: (output) => void process.stdout.write(terminalText(output)),
    err: (output) => void process.stderr.write(terminalText(output)),
    otherVerbs: {
      cluster: ["create", "delete", "list", "kubeconfig", "shell", "urls"],
      release: ["add", "list", "build", "export"],
      doctor: [],
    },
    interactive: process.stdin.isTTY,
    colour: process.stdout.isTTY && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb",
    columns: () => (process.stdout.isTTY ? process.stdout.columns : undefined),
    showsProgress: process.stderr.isTTY && env["TERM"] !== "dumb",
    confirm,
    connect: async (flags) => {
      const { createKubeClient, loadKubeConfig, withPortForward } = await import("../kube/index.ts");
      const config = await loadKubeConfig(flags.kubeconfig ?? env, flags.context);
      return withPortForward(
        createKubeClient(config, { log: createLogger({ scope: "kube", level: "warn" }), clock: systemClock }),
        config,
      );
    },
    defaultNamespace: async (flags) => {
      const { loadKubeConfig } = await import("../kube/index.ts");
      return (await loadKubeConfig(flags.kubeconfig ?? env, flags.context)).namespace;
    },
    apiServer: async (flags) => {
      const { loadKubeConfig } = await import("../kube/index.ts");
      return (await loadKubeConfig(flags.kubeconfig ?? env, flags.context)).server;
    },
    requestOfPod: async (flags, { namespace, pod, port, method, path, body }) => {
      const { loadKubeConfig, portForward, requestOverStream } = await import("../kube/index.ts");
      const stream = await portForward(await loadKubeConfig(flags.kubeconfig ?? env, flags.context), {
        namespace,
        pod,
        port,
        signal: shutdown.drain,
      });
      return await requestOverStream(stream, { method, path, body, signal: shutdown.drain });
    },
    streamOfPod: async (flags, target) => {
      const { loadKubeConfig, portForward } = await import("../kube/index.ts");
      return await portForward(await loadKubeConfig(flags.kubeconfig ?? env, flags.context), {
        ...target,
        signal: shutdown.drain,
      });
    },
    serveDashboard: async (flags, options) => {
      const { loadKubeConfig } = await import("../kube/index.ts");
      const { serveLocalDashboard } = await import("./dashboard.ts");
      const kubeConfig = await loadKubeConfig(flags.kubeconfig ?? env, flags.context);
      await serveLocalDashboard({
        ...options,
        kubeConfig,
        env,
        log: createLogger({ scope: "dashboard", level: "warn" }),
        release,
        signal: shutdown.drain,
      });
    },
    openBrowser: async (url) =>
      await (await import("../cli/dashboard/index.ts")).openBrowser(url, process.platform, env),
    readFile: readUserFile,
    releaseTree: async (version, flags) => {
      const { loadKubeConfig } = await import("../kube/index.ts");
      const { server } = await loadKubeConfig(flags.kubeconfig ?? env, flags.context);
      const { listClusters } = await import("../cluster/lifecycle/index.ts");
      const { runnableRelease } = await import("../cluster/images/index.ts");
      const lab = listClusters(env).find((cluster) => cluster.server === server);
      const tree =
        lab === undefined ? undefined : runnableRelease(lab.directory, version, join(release.root, "node_modules"));
      return tree ?? (version === release.version ? release.root : undefined);
    },
    customResources: async () => ({
      istio: await readObjects(join(release.root, "manifests/crds/istio.yaml")),
      rollout: await readObjects(join(release.root, "manifests/crds/rollout.yaml")),
      operator: await readObjects(join(release.root, "manifests/crds/istio-operator.yaml")),
      banzai: await readObjects(join(release.root, "manifests/crds/banzai.yaml")),
    }),
    gatewayApiDefinitions: async (channel) =>
      await readObjects(
        join(release.root, `manifests/crds/${channel === "standard" ? "gateway-api-standard" : "gateway-api"}.yaml`),
      ),
    installer: {
      apply: async (options) => await (await import("../operator/index.ts")).applyComponents(options),
      plan: async (client, object) => {
        const { fieldManager, planObject } = await import("../operator/index.ts");
        return await planObject(client, object, fieldManager);
      },
      verify: async (client, objects) => await (await import("../operator/index.ts")).verifyInstalled(client, objects),
      remove: async (options) =>
        await (await import("../operator/index.ts")).removeInstalled({ ...options, clock: systemClock }),
    },
    runCheck: async (flags, request) => {
      const { runCheckOutside } = await import("../rollout/index.ts");
      const client = await context.connect(flags);
      const get = async (target: { namespace: string; pod: string; port: number; path: string }): Promise<string> =>
        (await context.requestOfPod(flags, { ...target, method: "GET" })).text;
      return await runCheckOutside({
        client,
        clock: systemClock,
        log: createLogger({ scope: "check", level: "warn" }),
        get,
        signal: shutdown.drain,
        ...request,
      });
    },
    previewUpgrade: async (flags, upgrade) => {
      const { imagesOf } = await import("../api/images/index.ts");
      const { previewUpgrade } = await import("../rollout/index.ts");
      return await previewUpgrade({
        client: await context.connect(flags),
        clock: systemClock,
        log: createLogger({ scope: "plan", level: "error" }),
        image: imagesOf(env, release.version),
        upgrade,
        signal: shutdown.drain,
      });
    },
    followMesh: async (flags, { name, parameters }, sink, signal) => {
      mesh ??= readMesh(context, flags, release.version);
      const { views } = await mesh.reader;
      mesh.followers += 1;
      // The views are read with the user's own kubeconfig, so the API server decides what the user may see.
      const reader = {
        key: "own",
        namespaces: "*" as const,
        hiddenKinds: new Set<string>(),
        may: async (): Promise<boolean> => true,
      };
      await views.follow(
        name,
        parameters,
        reader,
        { view: (view) => sink.view(view as Parameters<typeof sink.view>[0]), problem: sink.problem },
        signal,
      );
      mesh.followers -= 1;
      if (mesh.followers === 0) mesh.stop();
    },
    onKey: (take) => keysOf(process.stdin, take),
    rows: () => (process.stdout.isTTY ? process.stdout.rows : undefined),
    identity: `${userName()}@${hostname()} (pid ${process.pid})`,
    signal: shutdown.drain,
  };
  try {
    await createProgram(context).parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommandEnd) return error.exitCode;
    // Commander has printed its own message already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
}

async function readObjects(path: string): Promise<UntypedObject[]> {
  const { objectsInManifest } = await import("../kube/index.ts");
  return await Array.fromAsync(objectsInManifest(await readUserFile(path)));
}

/** Reads the mesh with the user's own kubeconfig, and pods through the API server. */
function readMesh(context: CliContext, flags: ConnectionFlags, version: string): MeshReading {
  const end = new AbortController();
  const begin = async (): Promise<DashboardReader> => {
    const { askPodByApiServer, createDashboardReader } = await import("../dashboard/read/index.ts");
    const { createKubeClient, loadKubeConfig } = await import("../kube/index.ts");
    const log = createLogger({ scope: "mesh", level: "error" });
    const client = createKubeClient(await loadKubeConfig(flags.kubeconfig ?? context.env, flags.context), {
      log,
      clock: systemClock,
      userAgent: `serin/${version}`,
    });
    const reader = createDashboardReader({
      client,
      clock: systemClock,
      log,
      askPod: askPodByApiServer(client),
      cluster: await context.apiServer(flags),
    });
    void reader
      .run(AbortSignal.any([context.signal, end.signal]))
      .catch((error: unknown) => context.err(`${messageOf(error)}\n`))
      .finally(() => client.close());
    return reader;
  };
  return { reader: begin(), stop: () => end.abort(), followers: 0 };
}

/** Reads keys one by one without an echo, until it is disposed. Undefined without a terminal. */
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
  // The end of standard input does not mean yes.
  const ended = new Promise<string>((resolve) => terminal.once("close", () => resolve("")));
  try {
    return /^y(es)?$/i.test((await Promise.race([terminal.question(question), ended])).trim());
  } finally {
    terminal.close();
  }
}

/** A user without an entry in the machine's user list still has a number. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "unknown");
  }
}
