import { resolve } from "node:path";
import { isTree, userError, type SerinError } from "../base/index.ts";
import {
  credentialPlugin,
  interactiveModes,
  pluginVersions,
  type ClientCertificate,
  type CredentialPlugin,
  type PluginSurroundings,
} from "./credential-plugin.ts";
import { flag, inlineOrFile, isHeaderText, text, type Named } from "./kube-config-fields.ts";

export type TokenSource =
  | { readonly type: "literal"; readonly token: string }
  /** The token is in a file, which is read again because the token rotates. */
  | { readonly type: "file"; readonly path: string };

/** A user in whose name the server executes requests. The caller needs the right `impersonate`. */
export interface Impersonation {
  readonly user: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

interface ImpersonationFlags {
  readonly user: string | undefined;
  readonly uid: string | undefined;
  readonly groups: readonly string[] | undefined;
}

/**
 * Returns the config with the user of --as, --as-uid and --as-group, if given. Throws a user error if --as-uid or
 * --as-group is given without --as.
 */
export function impersonating<Config extends KubeUser>(
  config: Config,
  { user, uid, groups = [] }: ImpersonationFlags,
): Config {
  if (user === undefined && (uid !== undefined || groups.length > 0))
    throw userError("argument-invalid", "--as-uid and --as-group need --as, the user to impersonate");
  if (user === undefined) return config;
  return { ...config, impersonation: { user, groups, ...(uid === undefined ? {} : { uid }) } };
}

export interface KubeUser {
  readonly clientCertificate?: ClientCertificate;
  readonly token?: TokenSource;
  readonly basic?: { readonly username: string; readonly password: string };
  /** The program that returns credentials. It is set only if the user has no other credentials. */
  readonly plugin?: CredentialPlugin;
  readonly impersonation?: Impersonation;
}

export interface UserOrigin {
  /** The names of the kubeconfig's files, for error messages. */
  readonly where: string;
  /**
   * The environment of programs. Without it, a user with a program is refused: the kubeconfig may come from somebody
   * else, who must not run programs on this machine.
   */
  readonly surroundings?: PluginSurroundings;
  /** Returns the data about the cluster that a program may request. */
  readonly clusterInfo: () => Readonly<Record<string, unknown>>;
}

export async function parseUser(user: Named, origin: UserOrigin): Promise<KubeUser> {
  const certificate = await inlineOrFile(user, "client-certificate");
  const key = await inlineOrFile(user, "client-key");
  if ((certificate === undefined) !== (key === undefined))
    throw fault(user, origin, "needs client-certificate and client-key together");
  const tokenFile = text(user, "tokenFile");
  const token = text(user, "token");
  if (token !== undefined && tokenFile === undefined && !isHeaderText(token))
    throw fault(user, origin, "has a token with a line break or another character that no HTTP header may contain");
  const username = text(user, "username");
  const impersonation = parseImpersonation(user, origin);
  const plugin = parsePlugin(user, origin);
  const isEnough =
    certificate !== undefined || tokenFile !== undefined || token !== undefined || username !== undefined;
  return {
    ...(certificate === undefined || key === undefined ? {} : { clientCertificate: { certificate, key } }),
    // Like kubectl, prefer a token file to a literal token, because the file is rotated.
    ...(tokenFile !== undefined
      ? { token: { type: "file", path: resolve(user.directory, tokenFile) } as const }
      : token !== undefined
        ? { token: { type: "literal", token } as const }
        : {}),
    ...(username === undefined ? {} : { basic: { username, password: text(user, "password") ?? "" } }),
    ...(plugin === undefined || isEnough ? {} : { plugin }),
    ...(impersonation === undefined ? {} : { impersonation }),
  };
}

function parseImpersonation(user: Named, origin: UserOrigin): Impersonation | undefined {
  const name = text(user, "as");
  const uid = text(user, "as-uid");
  const groups = user.value["as-groups"] ?? [];
  const extra = user.value["as-user-extra"] ?? {};
  if (!isTexts(groups)) throw fault(user, origin, "has as-groups, which must be a list of names");
  if (!isTree(extra) || !Object.values(extra).every(isTexts))
    throw fault(user, origin, "has as-user-extra, which must map names to lists of texts");
  const hasExtra = Object.keys(extra).length > 0;
  if (name === undefined) {
    if (uid === undefined && groups.length === 0 && !hasExtra) return undefined;
    throw fault(user, origin, "has as-uid, as-groups or as-user-extra without `as`, the user to impersonate");
  }
  return {
    user: name,
    ...(uid === undefined ? {} : { uid }),
    ...(groups.length === 0 ? {} : { groups }),
    ...(hasExtra ? { extra: extra as Readonly<Record<string, readonly string[]>> } : {}),
  };
}

function parsePlugin(user: Named, origin: UserOrigin): CredentialPlugin | undefined {
  if (user.value["auth-provider"] !== undefined && user.value["auth-provider"] !== null)
    throw fault(
      user,
      origin,
      "needs an auth-provider, which Kubernetes has removed",
      "use `exec`, a client certificate or a token (kubectl create token …)",
    );
  const exec = user.value["exec"] ?? undefined;
  if (exec === undefined) return undefined;
  const { surroundings } = origin;
  if (surroundings === undefined)
    throw fault(
      user,
      origin,
      "would run a program (`exec`), which is not allowed here",
      "use a client certificate or a token (kubectl create token …)",
    );
  if (!isTree(exec)) throw fault(user, origin, "has `exec`, which must be an object");
  const settings = { title: `exec of ${user.title}`, value: exec };
  const [command, apiVersion] = [text(settings, "command"), text(settings, "apiVersion")];
  if (command === undefined) throw fault(user, origin, "has no exec.command, the program to run");
  const version = pluginVersions.find((known) => known === apiVersion);
  if (version === undefined)
    throw fault(user, origin, `has exec.apiVersion ${apiVersion ?? "unset"}, expected ${pluginVersions.join(" or ")}`);
  const modeText = text(settings, "interactiveMode") ?? (version === pluginVersions[0] ? "unset" : "IfAvailable");
  const interactiveMode = interactiveModes.find((known) => known === modeText);
  if (interactiveMode === undefined)
    throw fault(user, origin, `has exec.interactiveMode ${modeText}, expected ${interactiveModes.join(", ")}`);
  const args = exec["args"] ?? [];
  if (!isTexts(args)) throw fault(user, origin, "has exec.args, which must be a list of texts");
  const installHint = text(settings, "installHint");
  return credentialPlugin(
    {
      where: `user "${user.name}" of ${origin.where}`,
      // A name without a slash is not a path, and is looked up in PATH.
      command: command.includes("/") ? resolve(user.directory, command) : command,
      args,
      env: parseVariables(user, origin, exec["env"] ?? []),
      apiVersion: version,
      interactiveMode,
      ...(installHint === undefined ? {} : { installHint }),
      ...(flag(settings, "provideClusterInfo") ? { cluster: origin.clusterInfo() } : {}),
    },
    surroundings,
  );
}

function parseVariables(user: Named, origin: UserOrigin, list: unknown): Readonly<Record<string, string>> {
  const variables = new Map<string, string>();
  for (const entry of Array.isArray(list) ? (list as unknown[]) : [list]) {
    const [name, value] = isTree(entry) ? [entry["name"], entry["value"] ?? ""] : [];
    if (typeof name !== "string" || name === "" || typeof value !== "string")
      throw fault(user, origin, "has exec.env, which must be a list of variables with `name` and `value`");
    variables.set(name, value);
  }
  return Object.fromEntries(variables);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function fault(user: Named, { where }: UserOrigin, what: string, hint?: string): SerinError {
  const message = `user "${user.name}" of ${where} ${what}`;
  return userError("kubeconfig-invalid", message, hint === undefined ? {} : { hint });
}
