import { access, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { messageOf, userError, type Clock, type Environment } from "../base/index.ts";

/**
 * The address of an API server and the credentials for it: the chosen context of a kubeconfig, or a pod's service
 * account.
 */
export interface KubeConfig {
  /** `https://host:port`, possibly with a path prefix, without a slash at the end. */
  readonly server: string;
  /** The context's name; `in-cluster` for a pod's own. */
  readonly context: string;
  /** The default namespace. */
  readonly namespace: string;
  /** The authority of the server's certificate in PEM. Absent means the system's roots. */
  readonly ca?: string;
  /** Accepts any server certificate. */
  readonly insecure?: boolean;
  /** Checked in the certificate instead of the server's host. */
  readonly tlsServerName?: string;
  /** The proxy that kubectl would use. Serin connects directly, and names it in the error if that fails. */
  readonly proxyUrl?: string;
  /** PEM pair. */
  readonly clientCertificate?: { readonly certificate: string; readonly key: string };
  readonly token?: TokenSource;
  readonly basic?: { readonly username: string; readonly password: string };
}

export type TokenSource =
  | { readonly type: "literal"; readonly token: string }
  /** Reread because it rotates. */
  | { readonly type: "file"; readonly path: string }
  /** A program prints it. */
  | { readonly type: "plugin"; readonly source: RenewedToken };

/** A token that somebody else renews. */
interface RenewedToken {
  current(clock: Clock): string;
  /** The server has refused the current token. */
  forget(): void;
}

interface Named<Value> {
  readonly name: string;
  readonly value: Value;
  /** Relative paths in a kubeconfig are relative to its file. */
  readonly directory: string;
}

interface Merged {
  currentContext: string | undefined;
  readonly clusters: Map<string, Named<Fields>>;
  readonly users: Map<string, Named<Fields>>;
  readonly contexts: Map<string, Named<Fields>>;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * The kubeconfig at `source`, or the one that the environment names: `KUBECONFIG` (several files are merged, the first
 * definition wins), else `~/.kube/config`, else the pod's service account. Throws a user error that names the file and
 * the missing part. Runs credential plugins (`exec`) when it needs a token. Refuses the former auth provider plugins,
 * and impersonation.
 */
export async function loadKubeConfig(source: string | Environment, context?: string): Promise<KubeConfig> {
  if (typeof source === "string") return await fromFiles([source], context, true);
  const listed = (source["KUBECONFIG"] ?? "").split(delimiter).filter((path) => path !== "");
  const inPod = source["KUBERNETES_SERVICE_HOST"] !== undefined && context === undefined;
  // A control plane's pod always names a kubeconfig, which exists only if it serves another cluster.
  if (listed.length > 0 && !(inPod && (await nonePresent(listed)))) return await fromFiles(listed, context, false);
  if (inPod) return loadInClusterConfig(source);
  return await fromFiles([join(source["HOME"] ?? homedir(), ".kube", "config")], context, true);
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

/** The service account of the pod that this process runs in; `SERVICE_ACCOUNT_DIR` (ours) moves its directory. */
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
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    context: "in-cluster",
    namespace: namespace.trim(),
    ca,
    token: { type: "file", path: join(directory, "token") },
  };
}

/** The extra fields that a foreign kubeconfig may use, by their names. */
export type InsecureKubeConfigOption = "clientKey" | "clientCertificate" | "tokenFile" | "certificateAuthority";

/**
 * A kubeconfig that is not the user's own, such as one in another cluster's Secret. Fields that read files of this
 * machine are refused unless they are allowed by name. Programs and plugins are always refused. Throws a user error.
 */
export async function parseUntrustedKubeConfig(
  text: string,
  where: string,
  allowed: ReadonlySet<string>,
): Promise<KubeConfig> {
  const file = await parseFile(text, where);
  for (const [list, part, field, option] of fileFields) {
    const entries = Array.isArray(file[list]) ? (file[list] as Fields[]) : [];
    const reading = entries.find(
      (entry) => ((entry[part] ?? {}) as Fields)[field] !== undefined && ((entry[part] ?? {}) as Fields)[field] !== "",
    );
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
  mergeInto(merged, file, "/");
  return await choose(merged, undefined, { where, runsPlugins: false });
}

/**
 * The name that a kubeconfig gives to its cluster, as upstream's istiod determines it: the cluster of the current
 * context, else of the first context by name, else the first cluster by name. Throws a user error if there is none.
 */
export async function clusterNameOfKubeConfig(text: string, where: string): Promise<string> {
  const merged = nothingMerged();
  mergeInto(merged, await parseFile(text, where), "/");
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

async function fromFiles(paths: readonly string[], wanted: string | undefined, required: boolean): Promise<KubeConfig> {
  const merged = nothingMerged();
  let found = 0;
  for (const path of paths) {
    const text = await readOptional(path, required);
    if (text === undefined) continue;
    found += 1;
    mergeInto(merged, await parseFile(text, path), dirname(resolve(path)));
  }
  const where = paths.join(delimiter);
  if (found === 0)
    throw userError("kubeconfig-missing", `no kubeconfig at ${where}`, {
      hint: "set KUBECONFIG, or create a cluster: serin cluster create",
    });
  return await choose(merged, wanted, { where, runsPlugins: true });
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

async function parseFile(text: string, path: string): Promise<Fields> {
  let value: unknown;
  try {
    // YAML's parser takes time to load, and the lab's own kubeconfigs are JSON.
    value = text.trimStart().startsWith("{") ? JSON.parse(text) : (await import("yaml")).parse(text);
  } catch (error) {
    throw userError("kubeconfig-invalid", `the kubeconfig ${path} is not valid YAML: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (value === null || value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value))
    throw userError("kubeconfig-invalid", `the kubeconfig ${path} must be an object`);
  return value as Fields;
}

function nothingMerged(): Merged {
  return { currentContext: undefined, clusters: new Map(), users: new Map(), contexts: new Map() };
}

function mergeInto(merged: Merged, file: Fields, directory: string): void {
  const current = file["current-context"];
  if (typeof current === "string" && current !== "") merged.currentContext ??= current;
  for (const [list, field, into] of [
    ["clusters", "cluster", merged.clusters],
    ["users", "user", merged.users],
    ["contexts", "context", merged.contexts],
  ] as const) {
    const entries = Array.isArray(file[list]) ? (file[list] as Fields[]) : [];
    for (const entry of entries) {
      const name = String(entry["name"]);
      if (!into.has(name)) into.set(name, { name, value: (entry[field] ?? {}) as Fields, directory });
    }
  }
}

interface Origin {
  /** The file or files, for messages. */
  readonly where: string;
  /** Whether the kubeconfig is the user's own, so that the programs that it names may run. */
  readonly runsPlugins: boolean;
}

async function choose(merged: Merged, wanted: string | undefined, origin: Origin): Promise<KubeConfig> {
  const { where } = origin;
  const name = wanted ?? merged.currentContext;
  if (name === undefined) {
    throw userError("kubeconfig-invalid", `the kubeconfig ${where} has no current context`, {
      hint: "choose one: kubectl config use-context NAME",
    });
  }
  const context = merged.contexts.get(name);
  if (context === undefined) {
    const known = [...merged.contexts.keys()].join(", ");
    throw userError("kubeconfig-invalid", `the kubeconfig ${where} has no context "${name}"`, {
      hint: `it has: ${known === "" ? "none" : known}`,
    });
  }
  const clusterName = text(context.value, "cluster") ?? "";
  const cluster = merged.clusters.get(clusterName);
  if (cluster === undefined)
    throw userError(
      "kubeconfig-invalid",
      `context "${name}" of ${where} names the cluster "${clusterName}", which does not exist`,
    );
  const server = text(cluster.value, "server");
  if (server === undefined) throw userError("kubeconfig-invalid", `cluster "${clusterName}" of ${where} has no server`);
  const userName = text(context.value, "user");
  const user = userName === undefined ? undefined : merged.users.get(userName);
  const ca = await inlineOrFile(cluster, "certificate-authority");
  const tlsServerName = text(cluster.value, "tls-server-name");
  const proxyUrl = text(cluster.value, "proxy-url");
  return {
    server: server.replace(/\/+$/, ""),
    context: name,
    namespace: text(context.value, "namespace") ?? "default",
    ...(ca === undefined ? {} : { ca }),
    ...(cluster.value["insecure-skip-tls-verify"] === true ? { insecure: true } : {}),
    ...(tlsServerName === undefined ? {} : { tlsServerName }),
    ...(proxyUrl === undefined ? {} : { proxyUrl }),
    ...(user === undefined ? {} : await credentials(user, cluster, origin)),
  };
}

/** Fields by which a user acts as another one. Without them, the requests would have the rights of the user itself. */
const impersonation = ["as", "as-uid", "as-groups", "as-user-extra"];

async function credentials(
  user: Named<Fields>,
  cluster: Named<Fields>,
  { where, runsPlugins }: Origin,
): Promise<Pick<KubeConfig, "clientCertificate" | "token" | "basic">> {
  for (const plugin of runsPlugins ? ["auth-provider"] : ["exec", "auth-provider"]) {
    if (user.value[plugin] === undefined) continue;
    throw userError(
      "kubeconfig-invalid",
      `user "${user.name}" of ${where} needs the ${plugin} plugin, which Serin does not run`,
      {
        hint: "use a kubeconfig with a client certificate or a token (kubectl create token …)",
      },
    );
  }
  const acting = impersonation.find((field) => user.value[field] !== undefined);
  if (acting !== undefined)
    throw userError(
      "kubeconfig-invalid",
      `user "${user.name}" of ${where} acts as another user (${acting}), which Serin does not support`,
      { hint: "use a kubeconfig of that user or account, for example with a token (kubectl create token …)" },
    );
  const certificate = await inlineOrFile(user, "client-certificate");
  const key = await inlineOrFile(user, "client-key");
  if ((certificate === undefined) !== (key === undefined)) {
    throw userError(
      "kubeconfig-invalid",
      `user "${user.name}" of ${where} needs client-certificate and client-key together`,
    );
  }
  const tokenFile = text(user.value, "tokenFile");
  const token = text(user.value, "token");
  const isPlugin = user.value["exec"] !== undefined && user.value["exec"] !== null;
  const plugin = isPlugin ? await pluginOf(user, cluster, where) : undefined;
  const username = text(user.value, "username");
  return {
    ...(certificate === undefined || key === undefined ? {} : { clientCertificate: { certificate, key } }),
    // Like kubectl, a file takes precedence over a literal, because the file is rotated.
    ...(tokenFile !== undefined
      ? { token: { type: "file", path: resolve(user.directory, tokenFile) } as const }
      : token !== undefined
        ? { token: { type: "literal", token } as const }
        : plugin !== undefined
          ? { token: { type: "plugin", source: plugin } as const }
          : {}),
    ...(username === undefined ? {} : { basic: { username, password: text(user.value, "password") ?? "" } }),
  };
}

async function pluginOf(user: Named<Fields>, cluster: Named<Fields>, where: string): Promise<RenewedToken> {
  // Few kubeconfigs need it.
  const { forgetPluginToken, pluginToken, readCredentialPlugin } = await import("./credential-plugin.ts");
  const ca = await inlineOrFile(cluster, "certificate-authority");
  const plugin = readCredentialPlugin(user.value["exec"] as Fields, {
    where: `user "${user.name}" of ${where}`,
    directory: user.directory,
    cluster: {
      ...Object.fromEntries(toldOfCluster.map((field) => [field, cluster.value[field]])),
      ...(ca === undefined ? {} : { "certificate-authority-data": Buffer.from(ca).toString("base64") }),
    },
  });
  return { current: (clock) => pluginToken(plugin, clock), forget: () => forgetPluginToken(plugin) };
}

const toldOfCluster = ["server", "tls-server-name", "insecure-skip-tls-verify"];

async function inlineOrFile(entry: Named<Fields>, field: string): Promise<string | undefined> {
  const inline = text(entry.value, `${field}-data`);
  if (inline !== undefined) return Buffer.from(inline, "base64").toString("utf8");
  const path = text(entry.value, field);
  return path === undefined
    ? undefined
    : await readNamed(resolve(entry.directory, path), `${field} of "${entry.name}"`);
}

async function readNamed(path: string, meaning: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw userError("kubeconfig-invalid", `cannot read ${meaning} at ${path}`, { cause: error });
  }
}

function text(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}
