import { access, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { isatty } from "node:tty";
import {
  isTree,
  joinHostPort,
  messageOf,
  userError,
  valueAt,
  withoutQuotes,
  type Environment,
  withoutEnd,
  type Tree,
} from "../base/index.ts";
import { parseProxy, proxyOfEnvironment } from "./forward-proxy.ts";
import { flag, inlineOrFile, object, readNamed, text, type Named } from "./kube-config-fields.ts";
import { parseUser, type KubeUser } from "./kube-config-user.ts";

/**
 * The address of an API server, and the credentials for it. They come from a context of a kubeconfig, or from a pod's
 * service account.
 */
export interface KubeConfig extends KubeUser {
  /** The URL `https://host:port`, maybe with a path prefix, without a slash at the end. */
  readonly server: string;
  /** The context's name, or `in-cluster` for a pod's service account. */
  readonly context: string;
  readonly namespace: string;
  /** The CA of the server's certificate, in PEM. By default, the system's root certificates are used. */
  readonly ca?: string;
  /** Whether to accept any server certificate. */
  readonly insecure?: boolean;
  /** The name to verify in the server's certificate, instead of the server's host. */
  readonly tlsServerName?: string;
  /** The HTTP or SOCKS5 proxy for connections to the server. Only for `https:`. */
  readonly proxy?: URL;
}

interface Merged {
  currentContext: string | undefined;
  readonly clusters: Map<string, Named>;
  readonly users: Map<string, Named>;
  readonly contexts: Map<string, Named>;
}

/**
 * Loads a kubeconfig. If `source` is a path, loads that file. Otherwise `source` is an environment: loads the files
 * that `KUBECONFIG` lists (the first definition of a name applies), or else the pod's service account, or else
 * `~/.kube/config`. In a pod, `KUBECONFIG` is ignored if none of its files exist. `env` is the environment for proxy
 * variables and for programs that return credentials. Throws a user error that names the file and the missing part.
 */
export async function loadKubeConfig(
  source: string | Environment,
  context?: string,
  env: Environment = typeof source === "string" ? {} : source,
): Promise<KubeConfig> {
  if (typeof source === "string") return await fromFiles([source], context, { env, isRequired: true });
  const listed = (source["KUBECONFIG"] ?? "").split(delimiter).filter((path) => path !== "");
  const inPod = source["KUBERNETES_SERVICE_HOST"] !== undefined && context === undefined;
  // A control plane's pod always sets KUBECONFIG, but the file exists only if it serves another cluster.
  if (listed.length > 0 && !(inPod && (await nonePresent(listed))))
    return await fromFiles(listed, context, { env, isRequired: false });
  if (inPod) return loadInClusterConfig(source);
  const usual = join(source["HOME"] ?? homedir(), ".kube", "config");
  return await fromFiles([usual], context, { env, isRequired: true });
}

async function nonePresent(paths: readonly string[]): Promise<boolean> {
  const found = await Promise.all(
    paths.map((path) =>
      access(path).then(
        () => true,
        () => false,
      ),
    ),
  );
  return !found.includes(true);
}

const serviceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * Returns the service account of the pod in which this process runs. Serin's variable `SERVICE_ACCOUNT_DIR` overrides
 * the directory of its files. Throws a user error outside a pod.
 */
export async function loadInClusterConfig(env: Environment): Promise<KubeConfig> {
  const host = env["KUBERNETES_SERVICE_HOST"];
  const port = env["KUBERNETES_SERVICE_PORT"] ?? "443";
  if (host === undefined || host === "") {
    throw userError("kubeconfig-missing", "this process does not run in a pod: KUBERNETES_SERVICE_HOST is not set", {
      hint: "set KUBECONFIG to a kubeconfig file, or run inside a cluster",
    });
  }
  const directory = env["SERVICE_ACCOUNT_DIR"] ?? serviceAccountDirectory;
  const ca = await readNamed(join(directory, "ca.crt"), "the service account's CA");
  const namespace = await readFile(join(directory, "namespace"), "utf8").catch(() => "default");
  return {
    server: `https://${joinHostPort(host, port)}`,
    context: "in-cluster",
    namespace: namespace.trim(),
    ca,
    token: { type: "file", path: join(directory, "token") },
  };
}

/** The names of the options with which an administrator allows fields that read files of this machine. */
type InsecureKubeConfigOption = "clientKey" | "clientCertificate" | "tokenFile" | "certificateAuthority";

/**
 * Parses a kubeconfig that somebody else may have written, such as one in another cluster's Secret. Refuses fields that
 * read files of this machine, unless `allowed` contains their option. Always refuses programs. Throws a user error.
 */
export async function parseUntrustedKubeConfig(
  text: string,
  where: string,
  allowed: ReadonlySet<string>,
): Promise<KubeConfig> {
  const file = await parseFile(text, where);
  for (const [list, part, field, option] of fileFields) {
    const reading = entriesIn(file, list, where).find((entry) => (valueAt(entry, part, field) ?? "") !== "");
    if (reading === undefined || allowed.has(option)) continue;
    throw userError(
      "kubeconfig-invalid",
      `${option} is not allowed: ${part} "${String(reading["name"])}" of ${where} would read a file through ${field}`,
      {
        hint: `put the data into the kubeconfig, or allow ${option} with PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS`,
      },
    );
  }
  const merged = nothingMerged();
  mergeInto(merged, file, { where, directory: "/" });
  return await choose(merged, undefined, { where });
}

/**
 * Returns the name of the cluster in a kubeconfig, like upstream's istiod: the cluster of the current context, or else
 * of the first context by name, or else the first cluster by name. Throws a user error if there is none.
 */
export async function clusterNameOfKubeConfig(text: string, where: string): Promise<string> {
  const merged = nothingMerged();
  mergeInto(merged, await parseFile(text, where), { where, directory: "/" });
  const contexts = [merged.currentContext ?? "", ...[...merged.contexts.keys()].sort()];
  const named = contexts.map((name) => merged.contexts.get(name)?.value["cluster"]);
  const found = [...named, ...[...merged.clusters.keys()].sort()].find(
    (name) => typeof name === "string" && name !== "",
  );
  if (typeof found === "string") return found;
  throw userError("kubeconfig-invalid", `the kubeconfig ${where} names no cluster`, {
    hint: "it needs a context with a cluster, whose name becomes the cluster's id",
  });
}

const fileFields: readonly (readonly [
  list: "users" | "clusters",
  part: "user" | "cluster",
  field: string,
  option: InsecureKubeConfigOption,
])[] = [
  ["users", "user", "client-key", "clientKey"],
  ["users", "user", "client-certificate", "clientCertificate"],
  ["users", "user", "tokenFile", "tokenFile"],
  ["clusters", "cluster", "certificate-authority", "certificateAuthority"],
];

interface Reading {
  readonly env: Environment;
  readonly isRequired: boolean;
}

async function fromFiles(
  paths: readonly string[],
  wanted: string | undefined,
  { env, isRequired }: Reading,
): Promise<KubeConfig> {
  const merged = nothingMerged();
  let found = 0;
  for (const path of paths) {
    const text = await readOptional(path, isRequired);
    if (text === undefined) continue;
    found += 1;
    mergeInto(merged, await parseFile(text, path), { where: path, directory: dirname(resolve(path)) });
  }
  const where = paths.join(delimiter);
  if (found === 0)
    throw userError("kubeconfig-missing", `no kubeconfig at ${where}`, {
      hint: "set KUBECONFIG, or create a cluster: serin cluster create",
    });
  return await choose(merged, wanted, { where, env });
}

async function readOptional(path: string, required: boolean): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (!required && (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw userError("kubeconfig-missing", `cannot read the kubeconfig ${path}`, {
      cause: error,
      hint: "set KUBECONFIG to a kubeconfig file, or create a cluster: serin cluster create",
    });
  }
}

async function parseFile(text: string, path: string): Promise<Tree> {
  let value: unknown;
  try {
    // Do not load the YAML parser for JSON, because loading takes time, and the lab's kubeconfigs are JSON. `trimStart`
    // also removes a byte order mark, which JSON does not allow.
    const trimmed = text.trimStart();
    // A warning of the YAML parser would print lines of the kubeconfig, maybe with a token, to standard error.
    value = trimmed.startsWith("{") ? JSON.parse(trimmed) : (await import("yaml")).parse(text, { logLevel: "error" });
  } catch (error) {
    throw userError(
      "kubeconfig-invalid",
      `the kubeconfig ${path} is not valid YAML: ${withoutQuotes(messageOf(error))}`,
    );
  }
  if (value === null || value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value))
    throw userError("kubeconfig-invalid", `the kubeconfig ${path} must be an object`);
  return value as Tree;
}

function nothingMerged(): Merged {
  return { currentContext: undefined, clusters: new Map(), users: new Map(), contexts: new Map() };
}

interface Place {
  /** The file or Secret, for error messages. */
  readonly where: string;
  readonly directory: string;
}

function mergeInto(merged: Merged, file: Tree, { where, directory }: Place): void {
  merged.currentContext ??= text({ title: where, value: file }, "current-context");
  for (const [list, field, into] of [
    ["clusters", "cluster", merged.clusters],
    ["users", "user", merged.users],
    ["contexts", "context", merged.contexts],
  ] as const) {
    for (const entry of entriesIn(file, list, where)) {
      const name = text({ title: `an entry of ${list} of ${where}`, value: entry }, "name") ?? "";
      const title = `${field} "${name}" of ${where}`;
      if (!into.has(name)) into.set(name, { name, title, value: object({ title, value: entry }, field), directory });
    }
  }
}

/** The entries of a list. As in kubectl, null entries are ignored. */
function entriesIn(file: Tree, list: "clusters" | "users" | "contexts", where: string): Tree[] {
  const entries = file[list] ?? [];
  const isList = Array.isArray(entries) && entries.every((entry) => entry === null || isTree(entry));
  if (!isList) throw userError("kubeconfig-invalid", `${list} of ${where} must be a list of objects`);
  return (entries as (Tree | null)[]).filter((entry) => entry !== null);
}

interface Origin {
  /** The names of the kubeconfig's files, for error messages. */
  readonly where: string;
  /** The environment of this process. Absent if somebody else may have written the kubeconfig. */
  readonly env?: Environment;
}

async function choose(merged: Merged, wanted: string | undefined, origin: Origin): Promise<KubeConfig> {
  const { where, env } = origin;
  const context = chosenContext(merged, wanted, where);
  const { name } = context;
  const clusterName = text(context, "cluster") ?? "";
  const cluster = merged.clusters.get(clusterName);
  if (cluster === undefined)
    throw userError(
      "kubeconfig-invalid",
      `context "${name}" of ${where} names the cluster "${clusterName}", which does not exist`,
    );
  const server = text(cluster, "server");
  if (server === undefined) throw userError("kubeconfig-invalid", `cluster "${clusterName}" of ${where} has no server`);
  const userName = text(context, "user");
  const user = userName === undefined ? undefined : merged.users.get(userName);
  if (userName !== undefined && user === undefined)
    throw userError(
      "kubeconfig-invalid",
      `context "${name}" of ${where} names the user "${userName}", which does not exist`,
    );
  const ca = await inlineOrFile(cluster, "certificate-authority");
  const tlsServerName = text(cluster, "tls-server-name");
  const proxy = proxyOf(cluster, server, origin);
  const clusterInfo = (): Tree => clusterInfoOf(cluster, server, ca);
  return {
    server: withoutEnd(server, "/"),
    context: name,
    namespace: text(context, "namespace") ?? "default",
    ...(ca === undefined ? {} : { ca }),
    ...(flag(cluster, "insecure-skip-tls-verify") ? { insecure: true } : {}),
    ...(tlsServerName === undefined ? {} : { tlsServerName }),
    ...(proxy === undefined ? {} : { proxy }),
    ...(user === undefined
      ? {}
      : await parseUser(user, {
          where,
          clusterInfo,
          ...(env === undefined ? {} : { surroundings: { env, isTerminal: isatty(0) } }),
        })),
  };
}

function chosenContext(merged: Merged, wanted: string | undefined, where: string): Named {
  const name = wanted ?? merged.currentContext;
  if (name === undefined) {
    throw userError("kubeconfig-invalid", `the kubeconfig ${where} has no current context`, {
      hint: "choose one: kubectl config use-context NAME",
    });
  }
  const context = merged.contexts.get(name);
  if (context !== undefined) return context;
  const known = [...merged.contexts.keys()].join(", ");
  throw userError("kubeconfig-invalid", `the kubeconfig ${where} has no context "${name}"`, {
    hint: `it has: ${known === "" ? "none" : known}`,
  });
}

function proxyOf(cluster: Named, server: string, { where, env }: Origin): URL | undefined {
  const field = text(cluster, "proxy-url");
  const title = `cluster "${cluster.name}" of ${where}`;
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (field === undefined) return url === undefined || env === undefined ? undefined : proxyOfEnvironment(url, env);
  if (url?.protocol !== "https:")
    throw userError(
      "kubeconfig-invalid",
      `${title} has a proxy-url, which needs a server with https://, got ${server}`,
    );
  return parseProxy(field, `proxy-url of ${title}`);
}

/** The cluster's data in the form that `client.authentication.k8s.io/v1` defines. */
function clusterInfoOf({ value }: Named, server: string, ca: string | undefined): Tree {
  const extensions = Array.isArray(value["extensions"]) ? (value["extensions"] as unknown[]) : [];
  const own = extensions.find((entry) => valueAt(entry, "name") === "client.authentication.k8s.io/exec");
  const config = valueAt(own, "extension");
  const copied = ["tls-server-name", "insecure-skip-tls-verify", "proxy-url", "disable-compression"];
  return {
    server,
    ...Object.fromEntries(copied.filter((name) => value[name] !== undefined).map((name) => [name, value[name]])),
    ...(ca === undefined ? {} : { "certificate-authority-data": Buffer.from(ca).toString("base64") }),
    ...(config === undefined ? {} : { config }),
  };
}
