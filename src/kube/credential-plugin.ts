// Runs the program that a kubeconfig names to get credentials, as kubectl does (client.authentication.k8s.io).
import { isAbsolute, join } from "node:path";
import {
  BoundedCache,
  isTree,
  messageOf,
  treeAt,
  textAt,
  userError,
  valueAt,
  type Clock,
  type Tree,
} from "../base/index.ts";

/** A program that prints a token. */
interface CredentialPlugin {
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the environment of this process. */
  readonly env: Readonly<Record<string, string>>;
  readonly apiVersion: string;
  readonly interactiveMode: string;
  readonly installHint: string;
  /** What the program is told about the cluster, if the kubeconfig wants that. */
  readonly cluster: Tree | undefined;
  /** The user and the kubeconfig, for messages. */
  readonly where: string;
}

interface KeptToken {
  readonly token: string;
  /** Wall-clock time. Undefined if the token is valid until the server refuses it. */
  readonly expiresAtMs: number | undefined;
}

const versions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];
/** A user may have to log in with a browser. */
const timeoutMs = 300_000;
const maxOutputBytes = 1 << 20;
/** A token is renewed this long before it expires, so that no request carries one that expires on its way. */
const spareMs = 10_000;
const maxKept = 16;

/** Tokens of all connections of this process, because each port-forward is a connection of its own. */
const kept = new BoundedCache<string, KeptToken>(maxKept);

/** Reads the `exec` of a kubeconfig's user. Relative paths are relative to the kubeconfig's directory. */
export function readCredentialPlugin(
  exec: Tree,
  { where, directory, cluster }: { readonly where: string; readonly directory: string; readonly cluster: Tree },
): CredentialPlugin {
  const command = textAt(exec, "command") ?? "";
  if (command === "") throw invalid(`exec.command of ${where} must name a program`);
  const apiVersion = textAt(exec, "apiVersion") ?? "";
  if (!versions.includes(apiVersion))
    throw invalid(`exec.apiVersion of ${where} is "${apiVersion}": expected ${versions.join(" or ")}`);
  const args = valueAt(exec, "args");
  const env = valueAt(exec, "env");
  return {
    command: command.includes("/") && !isAbsolute(command) ? join(directory, command) : command,
    args: Array.isArray(args) ? args.map(String) : [],
    env: Object.fromEntries(
      (Array.isArray(env) ? env : []).filter(isTree).map(({ name, value }) => [String(name), String(value)]),
    ),
    apiVersion,
    interactiveMode: textAt(exec, "interactiveMode") ?? "IfAvailable",
    installHint: textAt(exec, "installHint") ?? "",
    cluster: valueAt(exec, "provideClusterInfo") === true ? cluster : undefined,
    where,
  };
}

/**
 * The plugin's token. Runs the program if there is none yet, or if it has expired. This blocks the process, which is a
 * command line that can do nothing without the token.
 */
export function pluginToken(plugin: CredentialPlugin, clock: Clock): string {
  const key = JSON.stringify(plugin);
  const known = kept.get(key);
  if (known !== undefined && (known.expiresAtMs === undefined || clock.nowMs() < known.expiresAtMs - spareMs))
    return known.token;
  const fresh = runPlugin(plugin);
  kept.set(key, fresh);
  return fresh.token;
}

/** Drops a token that the server has refused. */
export function forgetPluginToken(plugin: CredentialPlugin): void {
  kept.delete(JSON.stringify(plugin));
}

function runPlugin(plugin: CredentialPlugin): KeptToken {
  const { command, args, env, apiVersion, interactiveMode, cluster, where } = plugin;
  const isInteractive = interactiveMode !== "Never" && process.stdin.isTTY === true;
  const spec = { interactive: isInteractive, ...(cluster === undefined ? {} : { cluster }) };
  const info = JSON.stringify({ apiVersion, kind: "ExecCredential", spec });
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const { error, status, signal, stdout } = spawnSync(command, args, {
    env: { ...process.env, ...env, KUBERNETES_EXEC_INFO: info },
    // Its messages, such as the address of a login page, are for the user.
    stdio: [isInteractive ? "inherit" : "ignore", "pipe", "inherit"],
    timeout: timeoutMs,
    maxBuffer: maxOutputBytes,
    encoding: "utf8",
  });
  if (error !== undefined) throw failed(plugin, isMissing(error) ? "is not installed" : `failed: ${messageOf(error)}`);
  if (status !== 0) throw failed(plugin, `ended with ${status === null ? (signal ?? "no code") : `code ${status}`}`);
  const answer = parsed(stdout);
  const token = textAt(answer, "status", "token") ?? "";
  if (treeAt(answer, "status") === undefined || textAt(answer, "kind") !== "ExecCredential")
    throw failed(plugin, "did not print an ExecCredential with a status");
  if (token === "")
    throw failed(plugin, `printed no status.token, and Serin takes no client certificate from the plugin of ${where}`);
  const expiresAtMs = Date.parse(textAt(answer, "status", "expirationTimestamp") ?? "");
  return { token, expiresAtMs: Number.isNaN(expiresAtMs) ? undefined : expiresAtMs };
}

function isMissing(error: NodeJS.ErrnoException): boolean {
  return error.code === "ENOENT";
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function failed({ command, installHint, where }: CredentialPlugin, fault: string): Error {
  return userError("kubeconfig-invalid", `the credential plugin ${command} of ${where} ${fault}`, {
    hint:
      installHint === ""
        ? "kubectl runs the same program: kubectl get nodes shows whether it works"
        : installHint.trim(),
  });
}

function invalid(message: string): Error {
  return userError("kubeconfig-invalid", message, { hint: "kubectl config view shows the kubeconfig" });
}
