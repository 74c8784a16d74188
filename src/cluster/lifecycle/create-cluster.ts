import { spawn, type ChildProcess } from "node:child_process";
import {
  chownSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { internalError, Interruption, SerinError, userError, onAbort, type Environment } from "../../base/index.ts";
import { createClusterPki, type ClusterPki } from "../apiserver/cluster-pki.ts";
import { parseImageCatalogue } from "../images/parse-catalogue.ts";
import {
  compileCacheDirectory,
  labHostUid,
  labRunsAsOtherUser,
  type CreationMessage,
  type LauncherProgress,
} from "../launcher/index.ts";
import {
  clusterDirectory,
  hostProcess,
  isClusterRunning,
  labNetwork,
  readClusterRecord,
  writeClusterRecord,
  type ClusterRecord,
  type HostProcess,
} from "../record/index.ts";
import { contextNameOf, stopLauncher } from "./delete-cluster.ts";
import { kubeconfigText, mergeIntoKubeconfig, userKubeconfigPath, type AdminAccess } from "./kubeconfig-file.ts";
import type { Finding } from "./doctor.ts";
import type { ClusterPlan } from "./kind-config.ts";
import { makeStateDirectory } from "./make-state-directory.ts";
import { writeResolver } from "./cluster-shell.ts";
import { writeShims } from "./shims.ts";

export interface CreateClusterOptions {
  readonly plan: ClusterPlan;
  /** Whether autoscalers follow the pods' resource use. Otherwise they only keep replicas within their bounds. */
  readonly autoscale: boolean;
  /** How long the API server keeps Events. Undefined means one hour. */
  readonly eventTtlMs: number | undefined;
  /**
   * The owner of the cluster. When this process ends, the cluster is deleted. Undefined means that the cluster stays.
   */
  readonly owner: HostProcess | undefined;
  readonly release: { readonly root: string; readonly entry: string; readonly version: string };
  readonly env: Environment;
  /** Aborted by Ctrl-C. Creation then stops and removes everything. */
  readonly signal: AbortSignal;
  /** Called with a text for the user about the current step. */
  readonly progress: (step: string) => void;
  /**
   * Checks the machine after a failed start. A missing feature of the machine explains more than the error of the
   * start.
   */
  readonly diagnose: () => Promise<readonly Finding[]>;
}

export interface CreatedCluster {
  readonly directory: string;
  readonly record: ClusterRecord;
  readonly kubeconfigPath: string;
  readonly contextName: string;
  readonly server: string;
}

/**
 * How long a cluster may take to become ready. It takes five seconds on an idle machine, and over a minute on a very
 * busy one.
 */
const readyTimeoutMs = 180_000;
/** The disk space that a small lab needs for the API server's database, logs and emptyDirs. */
const neededBytes = 200 * 1024 * 1024;

/**
 * Creates a cluster that continues in the background. Returns when all its nodes are ready. Throws a user error, and
 * leaves nothing behind, if a cluster of this name exists, a port is taken, or the machine forbids what the cluster
 * needs.
 */
export async function createCluster(options: CreateClusterOptions): Promise<CreatedCluster> {
  const { plan, env, signal, progress } = options;
  if (signal.aborted) throw interrupted();
  const directory = clusterDirectory(env, plan.name);
  const formerContext = clearRemains(directory, options);
  claimDirectory(directory, options);
  try {
    progress("Preparing the state directory and certificates");
    // From here on, the launcher removes the files after a failure, even if this process is killed.
    const launcher = startLauncher(directory, options);
    try {
      const pki = prepareDirectory(directory, hostProcess(launcher.pid ?? -1), options);
      progress(`Starting ${plan.nodes.length} node${plan.nodes.length === 1 ? "" : "s"}`);
      const port = await waitForLauncher(launcher, directory, signal);
      return finish(directory, port, pki, formerContext, options);
    } catch (error) {
      await stopLauncher(hostProcess(launcher.pid ?? -1));
      throw error;
    } finally {
      if (launcher.connected) launcher.disconnect();
      launcher.unref();
    }
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw fileFault(error, directory) ?? (await machineLacks(error, options)) ?? error;
  }
}

/**
 * Throws if a cluster of this name runs. Removes the files that a killed launcher has left, because all its processes
 * have ended with it. Returns the kubeconfig context that was current before that cluster.
 */
function clearRemains(directory: string, { plan: { name }, progress }: CreateClusterOptions): string | undefined {
  const record = readClusterRecord(directory);
  if (record !== undefined && isClusterRunning(record)) throw exists(name);
  if (record !== undefined) progress(`Removing the files of the former cluster "${name}", which no longer runs`);
  rmSync(directory, { recursive: true, force: true });
  return record?.kubeconfig?.previousContext;
}

/**
 * Makes the directory, with a record that names this process. So another creation with the same name sees that this one
 * is in progress.
 */
function claimDirectory(directory: string, options: CreateClusterOptions): void {
  try {
    makeStateDirectory(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") throw exists(options.plan.name);
    throw fileFault(error, directory) ?? error;
  }
  try {
    writeClusterRecord(directory, newRecord(hostProcess(process.pid), options));
    const space = statfsSync(directory);
    if (space.bavail * space.bsize < neededBytes)
      throw userError("disk-full", `less than ${neededBytes / 1024 / 1024} MB are free at ${directory}`, {
        hint: "make room, or set XDG_STATE_HOME to a directory on another disk",
      });
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw fileFault(error, directory) ?? error;
  }
}

function newRecord(launcher: HostProcess | undefined, options: CreateClusterOptions): ClusterRecord {
  const { plan, release } = options;
  return {
    name: plan.name,
    nodes: plan.nodes,
    apiServer: plan.apiServer,
    release: { root: release.root, version: release.version },
    createdAt: new Date().toISOString(),
    ...(options.autoscale ? { autoscale: true } : {}),
    ...(options.eventTtlMs === undefined ? {} : { eventTtlMs: options.eventTtlMs }),
    ...(options.owner === undefined ? {} : { owner: options.owner }),
    ...(launcher === undefined ? {} : { launcher }),
  };
}

function prepareDirectory(
  directory: string,
  launcher: HostProcess | undefined,
  options: CreateClusterOptions,
): ClusterPki {
  const { plan, release, env } = options;
  writeClusterRecord(directory, newRecord(launcher, options));
  mkdirSync(join(directory, "pki"), { mode: 0o755 });
  const controlPlane = plan.nodes[0];
  const pki = createClusterPki(join(directory, "pki"), {
    serverNames: [
      plan.apiServer.address,
      ...(controlPlane === undefined ? [] : [controlPlane.address, controlPlane.name]),
    ],
    nodes: plan.nodes.map((node) => ({ name: node.name, addresses: [node.address] })),
  });
  writeInnerKubeconfigs(directory, pki, options);
  const images = parseImageCatalogue(
    readFileSync(join(release.root, "manifests/images.yaml"), "utf8"),
    "manifests/images.yaml",
  );
  writeFileSync(join(directory, "images.json"), JSON.stringify(images));
  const cache = compileCacheDirectory(env);
  mkdirSync(cache, { recursive: true });
  if (labRunsAsOtherUser()) {
    giveToLab(directory);
    // Change the owner of the directory only, not of its files. Labs have written the files and own them, and another
    // lab may add or rename files at this moment.
    chownSync(cache, labHostUid, labHostUid);
  }
  return pki;
}

function exists(name: string): SerinError {
  return userError("cluster-exists", `a cluster "${name}" exists already`, {
    hint: `delete it (serin cluster delete --name ${name}) or choose another --name`,
  });
}

/** Makes the user of a root user's lab the owner of a path, because this user writes the files. */
function giveToLab(path: string): void {
  if (lstatSync(path).uid !== labHostUid) chownSync(path, labHostUid, labHostUid);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) giveToLab(child);
    else if (lstatSync(child).uid !== labHostUid) chownSync(child, labHostUid, labHostUid);
  }
}

/** Writes the kubeconfigs of the lab's own processes, in JSON, so that reading them needs no YAML parser. */
function writeInnerKubeconfigs(directory: string, pki: ClusterPki, { plan }: CreateClusterOptions): void {
  const server = `https://${labNetwork.nodeAddress(0)}:${labNetwork.apiServerPort}`;
  const clients = [
    { file: "controllers.kubeconfig", files: pki.controllerManager },
    { file: "scheduler.kubeconfig", files: pki.scheduler },
    ...plan.nodes.map((node) => ({ file: `node-${node.name}.kubeconfig`, files: pki.nodes[node.name] })),
  ];
  for (const { file, files } of clients) {
    if (files === undefined) throw internalError("unexpected", `no certificate was made for ${file}`);
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "lab",
      clusters: [{ name: "lab", cluster: { server, "certificate-authority-data": base64File(pki.caCertificate) } }],
      users: [
        {
          name: "lab",
          user: { "client-certificate-data": base64File(files.certificate), "client-key-data": base64File(files.key) },
        },
      ],
      contexts: [{ name: "lab", context: { cluster: "lab", user: "lab" } }],
    };
    writeFileSync(join(directory, "pki", file), JSON.stringify(config), { mode: 0o600 });
  }
}

function base64File(path: string): string {
  return readFileSync(path).toString("base64");
}

function startLauncher(directory: string, { release, env }: CreateClusterOptions): ChildProcess {
  const entry = join(release.root, release.entry);
  const log = openSync(join(directory, "launcher.log"), "a", 0o644);
  const child = spawn(process.execPath, [...process.execArgv, entry, "cluster-launcher", "--state-dir", directory], {
    stdio: ["ignore", log, log, "ipc"],
    env,
    cwd: "/",
    // Start the launcher in a separate session, so that neither Ctrl-C nor the end of the terminal ends it.
    detached: true,
  });
  closeSync(log);
  return child;
}

/** Tells the launcher to begin. Resolves with the API server's port once everything is ready. */
async function waitForLauncher(launcher: ChildProcess, directory: string, signal: AbortSignal): Promise<number> {
  return await new Promise<number>((resolve, reject) => {
    let port = 0;
    const log = join(directory, "launcher.log");
    const timer = setTimeout(
      () =>
        reject(
          userError("cluster-slow", `the cluster was not ready within ${readyTimeoutMs / 1_000} s:\n${tailOf(log)}`),
        ),
      readyTimeoutMs,
    );
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      if (error === undefined) resolve(port);
      else reject(error);
    };
    onAbort(signal, () => settle(interrupted()));
    launcher.once("error", (error) => settle(internalError("launcher-failed", error.message, { cause: error })));
    launcher.once("exit", (code) =>
      settle(
        internalError("lab-not-started", `the launcher ended with code ${code}:\n${tailOf(log)}`, {
          hint: "serin doctor says what the machine lacks",
        }),
      ),
    );
    // Send nothing to a launcher that did not start or has ended, because its events report that.
    if (launcher.connected) launcher.send({ type: "prepared" } satisfies CreationMessage, () => undefined);
    launcher.on("message", (message) => {
      const progress = message as LauncherProgress;
      if (progress.type === "listening") port = progress.port;
      else if (progress.type === "ready") settle();
      else
        settle(
          new SerinError(
            progress.kind,
            progress.code,
            progress.kind === "user" ? progress.message : `${progress.message}\n${tailOf(log)}`,
            progress.hint === undefined ? {} : { hint: progress.hint },
          ),
        );
    });
  });
}

function tailOf(path: string): string {
  try {
    return readFileSync(path, "utf8").trim().split("\n").slice(-8).join("\n");
  } catch {
    return "";
  }
}

function finish(
  directory: string,
  port: number,
  pki: ClusterPki,
  formerContext: string | undefined,
  { plan, env, release }: CreateClusterOptions,
): CreatedCluster {
  const server = `https://${plan.apiServer.address}:${port}`;
  const contextName = contextNameOf(plan.name);
  const access: AdminAccess = {
    contextName,
    server,
    ca: readFileSync(pki.caCertificate, "utf8"),
    certificate: readFileSync(pki.admin.certificate, "utf8"),
    key: readFileSync(pki.admin.key, "utf8"),
  };
  writeFileSync(join(directory, "kubeconfig"), kubeconfigText(access), { mode: 0o600 });
  const kubeconfigPath = userKubeconfigPath(env);
  const previousContext = mergeIntoKubeconfig(kubeconfigPath, access);
  writeShims(directory, plan.name, release.root);
  writeResolver(directory);
  const record = readClusterRecord(directory);
  if (record === undefined) throw internalError("cluster-record", "the cluster's record no longer exists");
  const complete: ClusterRecord = {
    ...record,
    kubeconfig: {
      path: kubeconfigPath,
      previousContext: previousContext === contextName ? (formerContext ?? "") : previousContext,
    },
  };
  writeClusterRecord(directory, complete);
  return { directory, record: complete, kubeconfigPath, contextName, server };
}

function interrupted(): Interruption {
  return new Interruption("interrupted; nothing was left behind");
}

/**
 * If the lab's first programs did not start, checks the machine as `serin doctor` does. Returns the error about a
 * missing feature.
 */
async function machineLacks(error: unknown, { diagnose }: CreateClusterOptions): Promise<SerinError | undefined> {
  if (!(error instanceof SerinError) || error.code !== "lab-not-started") return undefined;
  const lacks = (await diagnose()).filter(({ ok }) => !ok);
  if (lacks.length === 0) return undefined;
  const findings = lacks
    .map(({ subject, detail, remedy }) => `  ${subject}: ${detail}\n    remedy: ${remedy}`)
    .join("\n");
  return userError("machine-lacks", `this machine lacks what a lab needs:\n${findings}`, {
    hint: "fix this, then check again with serin doctor",
  });
}

const notAllowed = new Set(["EACCES", "EPERM", "EROFS"]);

/** The user error for a file problem, with the remedy. */
function fileFault(error: unknown, directory: string): SerinError | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code = "", path, syscall } = cause as NodeJS.ErrnoException;
    if (code === "ENOSPC")
      return userError("disk-full", `no space is left at ${directory}`, {
        cause: error,
        hint: "make room, or set XDG_STATE_HOME to a directory on another disk",
      });
    // On a read-only file system, Node.js' recursive mkdir fails with ENOENT.
    const isRefused = notAllowed.has(code) || (code === "ENOENT" && syscall === "mkdir");
    if (isRefused && path !== undefined) {
      return userError("path-not-writable", `cannot write ${path}`, {
        cause: error,
        hint: "set XDG_STATE_HOME (the cluster's files) and XDG_CACHE_HOME (compiled code) to directories that you may write, and KUBECONFIG to such a file",
      });
    }
  }
  return undefined;
}
