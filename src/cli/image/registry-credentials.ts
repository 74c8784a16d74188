// Reads the credentials for a registry from flags or from the configuration of `docker login`.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { envString, SerinError, userError, type Environment } from "../../base/index.ts";
import type { CliContext } from "../context.ts";

/**
 * A password, or an identity token that some registries return for it. An identity token is exchanged for tokens for
 * requests.
 */
export type RegistryCredentials =
  | { readonly username: string; readonly password: string }
  | { readonly identityToken: string };

export interface CredentialFlags {
  readonly username?: string;
  readonly password?: string;
  readonly passwordStdin?: boolean;
}

const helperTimeoutMs = 30_000;
const dockerHub = "index.docker.io";
const dockerHubKey = "https://index.docker.io/v1/";

export async function credentialsOf(
  registry: string,
  flags: CredentialFlags,
  context: Pick<CliContext, "env" | "readFile">,
): Promise<RegistryCredentials | undefined> {
  const { username, password, passwordStdin } = flags;
  if (username !== undefined) {
    if (password === undefined && passwordStdin !== true)
      throw userError("argument-missing", `--username ${username} needs a password`, {
        hint: "--password-stdin reads it from standard input",
      });
    return { username, password: password ?? (await context.readFile("-")).replace(/\r?\n$/, "") };
  }
  if (password !== undefined || passwordStdin === true)
    throw userError("argument-missing", "a password needs --username", {
      hint: "--username <name>",
    });
  return await credentialsOfDocker(registry, context);
}

interface DockerConfig {
  readonly auths?: Readonly<Record<string, DockerEntry | undefined>>;
  readonly credHelpers?: Readonly<Record<string, string | undefined>>;
  readonly credsStore?: string;
}

interface DockerEntry {
  /** `username:password` in base64. */
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
}

async function credentialsOfDocker(
  registry: string,
  { env, readFile }: Pick<CliContext, "env" | "readFile">,
): Promise<RegistryCredentials | undefined> {
  const directory = envString(env, "DOCKER_CONFIG", env["HOME"] === undefined ? "" : join(env["HOME"], ".docker"));
  if (directory === "") return undefined;
  const file = join(directory, "config.json");
  let text: string;
  try {
    text = await readFile(file);
  } catch (error) {
    // Nobody has logged in with docker on this machine.
    if (error instanceof SerinError && error.reason === "ENOENT") return undefined;
    throw error;
  }
  const config = parseConfig(text, file);
  const helper = entryOf(config.credHelpers, registry) ?? config.credsStore;
  if (helper !== undefined && helper !== "") return await askHelper(helper, registry, env);
  const entry = entryOf(config.auths, registry);
  return entry === undefined ? undefined : credentialsOfEntry(entry, file, registry);
}

function parseConfig(text: string, file: string): DockerConfig {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // The error is thrown below.
  }
  throw userError("file-invalid", `${file} is not a JSON object`, {
    hint: "fix the file, or pass --username and --password-stdin",
  });
}

/** The entry of a registry. Keys are hosts, but older clients wrote full URLs. */
function entryOf<Value>(entries: Readonly<Record<string, Value>> | undefined, registry: string): Value | undefined {
  const found = Object.entries(entries ?? {}).find(([key]) => hostOf(key) === hostOf(registry));
  return found?.[1];
}

function hostOf(key: string): string {
  const host = key.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  return host === "docker.io" || host === "registry-1.docker.io" ? dockerHub : host;
}

function credentialsOfEntry(entry: DockerEntry, file: string, registry: string): RegistryCredentials | undefined {
  const { auth = "", username, password, identitytoken = "" } = entry;
  if (identitytoken !== "") return { identityToken: identitytoken };
  if (username !== undefined && password !== undefined) return { username, password };
  if (auth === "") return undefined;
  const pair = Buffer.from(auth, "base64").toString();
  const colon = pair.indexOf(":");
  if (colon <= 0)
    throw userError("file-invalid", `${file}: auths["${registry}"].auth is not a user and password in base64`, {
      hint: `docker login ${registry}`,
    });
  return { username: pair.slice(0, colon), password: pair.slice(colon + 1) };
}

/** Calls a credential helper with Docker's protocol: it reads the registry's address and writes JSON. */
async function askHelper(helper: string, registry: string, env: Environment): Promise<RegistryCredentials | undefined> {
  const program = `docker-credential-${helper}`;
  const { error, output } = await new Promise<{ error: Error | null; output: string }>((resolve) => {
    const child = execFile(
      program,
      ["get"],
      { env: { ...env }, timeout: helperTimeoutMs, encoding: "utf8" },
      (failure, text) => resolve({ error: failure, output: text }),
    );
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(hostOf(registry) === dockerHub ? dockerHubKey : registry);
  });
  if (error !== null) {
    if (/credentials not found/i.test(output)) return undefined;
    throw userError(
      "credential-helper",
      `${program} has no credentials of ${registry}: ${output.trim() || error.message}`,
      {
        hint: "pass --username and --password-stdin",
      },
    );
  }
  const { Username: username = "", Secret: secret = "" } = JSON.parse(output) as { Username?: string; Secret?: string };
  return username === "<token>" ? { identityToken: secret } : { username, password: secret };
}
