import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { userError, type Environment } from "../../base/index.ts";
import { clusterResolver, isHostProcessAlive, requireRunningCluster, resolverFile } from "../record/index.ts";
import { shimDirectory } from "./shims.ts";

/** Proxy variables to remove from the environment, because the lab cannot reach the machine's network. */
const proxyVariables = ["http_proxy", "https_proxy", "all_proxy", "ftp_proxy"];

export interface ShellCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/**
 * The command line that runs a command in the lab's host namespace. If the command is empty, it runs the user's shell.
 */
export function shellCommand(name: string, command: readonly string[], env: Environment): ShellCommand {
  const { directory, record } = requireRunningCluster(env, name);
  const { labInit } = record;
  if (labInit === undefined || !isHostProcessAlive(labInit))
    throw userError("cluster-starting", `the cluster "${name}" is still starting`, { hint: "try again in a second" });
  const target = ["--target", String(labInit.pid), "--net"];
  // Root may enter the network namespace directly. Other users must first enter the user namespace that owns it. They
  // keep their own uid.
  const args = process.getuid?.() === 0 ? target : [...target, "--user", "--preserve-credentials"];
  const words = command.length === 0 ? [env["SHELL"] ?? "/bin/sh"] : command;
  return {
    program: "nsenter",
    args: [...args, "--", ...withLabNames(directory), ...words],
    env: shellEnvironment(env, directory, name),
  };
}

/**
 * Mounts the lab's resolv.conf over the machine's before it runs the command, so that names of Services resolve. The
 * mount is in a separate mount namespace, so no other process sees it. The namespace still receives later mounts of the
 * machine. If the machine refuses the mount, the command runs, but names do not resolve.
 */
const mountResolver = 'mount --bind "$0" /etc/resolv.conf 2>/dev/null; exec "$@"';

function withLabNames(directory: string): readonly string[] {
  const file = resolverPath(directory);
  if (!existsSync(file)) return [];
  return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", mountResolver, file];
}

function resolverPath(directory: string): string {
  return join(directory, "resolv.conf");
}

/** Writes the resolv.conf for the cluster's shells. It is that of a pod in the namespace default. */
export function writeResolver(directory: string): void {
  writeFileSync(resolverPath(directory), resolverFile(clusterResolver("default")));
}

/**
 * Runs a command in the lab's host namespace. If the command is empty, runs the user's shell. LoadBalancer, node and
 * pod addresses are reachable there, and names of Services resolve. The working directory and all files except
 * /etc/resolv.conf are those of the user. Returns the exit code.
 */
export async function runInCluster(name: string, command: readonly string[], env: Environment): Promise<number> {
  const { program, args, env: inside } = shellCommand(name, command, env);
  const child = spawn(program, args, { stdio: "inherit", env: inside });
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  const ignore = (): void => undefined;
  // Ignore Ctrl-C here, because the terminal sends it to the command as well.
  process.on("SIGINT", ignore);
  process.on("SIGTERM", forward);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once("error", (error) =>
        reject(userError("machine-lacks", `cannot run nsenter: ${error.message}`, { hint: "install util-linux" })),
      );
      child.once("exit", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 143)));
    });
  } finally {
    process.off("SIGINT", ignore);
    process.off("SIGTERM", forward);
  }
}

function shellEnvironment(env: Environment, directory: string, name: string): NodeJS.ProcessEnv {
  const inside: NodeJS.ProcessEnv = { ...env };
  for (const proxy of proxyVariables) {
    delete inside[proxy];
    delete inside[proxy.toUpperCase()];
  }
  inside["PATH"] = `${shimDirectory(directory)}:${env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"}`;
  inside["KUBECONFIG"] = join(directory, "kubeconfig");
  inside["SERIN_CLUSTER"] = name;
  return inside;
}
