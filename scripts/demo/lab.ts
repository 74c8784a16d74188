// The lab, driven as a user does it: only with bin/serin and the API.
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { createLogger, systemClock, transientError, userError } from "../../src/base/index.ts";
import type { KindDefinition, KubernetesObject, UntypedObject } from "../../src/api/index.ts";
import { createKubeClient, loadKubeConfig, type KubeClient, type KubeConfig } from "../../src/kube/index.ts";

export const root = join(import.meta.dirname, "../..");
export const clusterName = "serin-demo";
export const kubeconfigPath = join(root, ".cache/demo/kubeconfig");
const serin = join(root, "bin/serin");
/** The time limit of a command. It only ends a command that hangs, even on a busy machine. */
const commandTimeoutMs = 300_000;

export interface CommandResult {
  readonly code: number;
  readonly output: string;
}

const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  KUBECONFIG: kubeconfigPath,
  SERIN_CLUSTER: clusterName,
});

/** Runs `serin …`. Returns its exit code and all its output. */
export function runSerin(args: readonly string[], input?: string): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(serin, args, {
      env: environment(),
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      cwd: root,
    });
    let output = "";
    const timer = setTimeout(() => child.kill("SIGKILL"), commandTimeoutMs);
    child.stdout?.on("data", (chunk: Buffer) => {
      output += chunk.toString("utf8");
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      output += chunk.toString("utf8");
    });
    child.stdin?.end(input);
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 1, output });
    });
  });
}

/** The same as {@link runSerin}, but throws an error with the output when the exit code is not 0. */
export async function serinOk(args: readonly string[], input?: string): Promise<string> {
  const { code, output } = await runSerin(args, input);
  if (code !== 0) throw userError("script-failed", `serin ${args.join(" ")} ended with ${code}:\n${output}`);
  return output;
}

/** Starts a process in the lab's host namespace, where LoadBalancer addresses are reachable. */
export function spawnInShell(command: readonly string[]): ChildProcess {
  return spawn(serin, ["cluster", "shell", "--name", clusterName, "--", ...command], {
    env: environment(),
    stdio: ["pipe", "pipe", "pipe"],
    cwd: root,
  });
}

export class Lab {
  readonly client: KubeClient;
  readonly config: KubeConfig;

  private constructor(client: KubeClient, config: KubeConfig) {
    this.client = client;
    this.config = config;
  }

  static async connect(path = kubeconfigPath): Promise<Lab> {
    const config = await loadKubeConfig(path);
    return new Lab(
      createKubeClient(config, { log: createLogger({ scope: "demo", level: "error" }), clock: systemClock }),
      config,
    );
  }

  /**
   * Applies a file of the release, or objects. Objects without a namespace go to the given one. Namespaces come first.
   * Deployments come last, because their pods need the ServiceAccounts. Objects that need no order are applied in
   * parallel.
   */
  async apply(source: string | readonly UntypedObject[], namespace?: string): Promise<void> {
    const objects = typeof source === "string" ? readObjects(source) : source;
    const waves = Map.groupBy(objects, ({ kind = "" }) => waveOf[kind] ?? 1);
    for (const [, wave] of [...waves].toSorted(([a], [b]) => a - b))
      await Promise.all(wave.map((object) => this.#applyOne(object, namespace)));
  }

  async #applyOne(object: UntypedObject, namespace: string | undefined): Promise<void> {
    const kind = kindOf(object);
    const placed = kind.namespaced
      ? { ...object, metadata: { ...object.metadata, namespace: object.metadata.namespace ?? namespace ?? "default" } }
      : object;
    await this.client.apply(kind, placed, { fieldManager: "kubectl", force: true });
  }

  /** Polls until `ask` returns a value. The error at the time limit contains the condition. */
  async until<Value>(
    condition: string,
    ask: () => Promise<Value | undefined>,
    timeoutMs = commandTimeoutMs,
  ): Promise<Value> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = await ask();
      if (found !== undefined) return found;
      if (performance.now() > deadline)
        throw transientError("script-failed", `${condition}: not so after ${timeoutMs / 1000} s`);
      await systemClock.sleep(50);
    }
  }
}

export function readObjects(path: string): UntypedObject[] {
  const documents = parseAllDocuments(readFileSync(join(root, path), "utf8"));
  return documents.map((document) => document.toJS() as UntypedObject | null).filter((object) => object !== null);
}

const waveOf: Readonly<Record<string, number>> = { Namespace: 0, Deployment: 2 };
const plurals: Readonly<Record<string, string>> = { Canary: "canaries", Gateway: "gateways" };
const clusterScoped = new Set(["ClusterRole", "ClusterRoleBinding", "Namespace", "MeshUpgrade"]);

function kindOf({ apiVersion = "v1", kind = "" }: KubernetesObject): KindDefinition<UntypedObject> {
  const slash = apiVersion.indexOf("/");
  return {
    group: slash === -1 ? "" : apiVersion.slice(0, slash),
    versions: [apiVersion.slice(slash + 1)],
    kind,
    plural: plurals[kind] ?? `${kind.toLowerCase()}s`,
    namespaced: !clusterScoped.has(kind),
  };
}
