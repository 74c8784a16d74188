// Reads the credentials for a registry from flags or from the configuration of `docker login`.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { envString, isTree, SerinError, userError, type Environment, type Tree } from "../../base/index.ts";
import type { CliContext } from "../context.ts";

/**
 * A password, or the identity token that some registries return for it. A client exchanges an identity token for the
 * tokens of its requests.
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
    // No file: nobody has logged in with docker on this machine.
    if (error instanceof SerinError && error.reason === "ENOENT") return undefined;
    throw error;
  }
  const config = parseConfig(text, file);
  const own = entryOf(config, "credHelpers", registry, file);
  const helper =
    own === undefined
      ? textOf(config["credsStore"], "credsStore", file)
      : textOf(own, `credHelpers["${registry}"]`, file);
  if (helper !== undefined) return await askHelper(helper, registry, env);
  const entry = entryOf(config, "auths", registry, file);
  return entry === undefined ? undefined : credentialsOfEntry(entry, file, registry);
}

function parseConfig(text: string, file: string): Tree {
  try {
    const value: unknown = JSON.parse(text);
    if (isTree(value)) return value;
  } catch {
    // Not JSON: the error below says so.
  }
  throw fileFault(`${file} is not a JSON object`);
}

/** The registry's entry in a map of docker's configuration. Keys are hosts, but older clients wrote full URLs. */
function entryOf(config: Tree, field: string, registry: string, file: string): unknown {
  const entries = config[field] ?? {};
  if (!isTree(entries)) throw fileFault(`${file}: ${field} must be an object`);
  const found = Object.entries(entries).find(([key]) => hostOf(key) === hostOf(registry));
  return found?.[1];
}

/**
 * A text in docker's configuration. Undefined if it is absent or empty. The error does not quote the value, which may
 * be a secret.
 */
function textOf(value: unknown, field: string, file: string): string | undefined {
  const text = value ?? "";
  if (typeof text !== "string") throw fileFault(`${file}: ${field} must be a string`);
  return text === "" ? undefined : text;
}

function fileFault(message: string): SerinError {
  return userError("file-invalid", message, { hint: "fix the file, or pass --username and --password-stdin" });
}

function hostOf(key: string): string {
  const host = key.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  return host === "docker.io" || host === "registry-1.docker.io" ? dockerHub : host;
}

function credentialsOfEntry(entry: unknown, file: string, registry: string): RegistryCredentials | undefined {
  const place = `auths["${registry}"]`;
  if (!isTree(entry)) throw fileFault(`${file}: ${place} must be an object`);
  const [identityToken, username, password, auth] = ["identitytoken", "username", "password", "auth"].map((field) =>
    textOf(entry[field], `${place}.${field}`, file),
  );
  if (identityToken !== undefined) return { identityToken };
  if (username !== undefined && password !== undefined) return { username, password };
  if (auth === undefined) return undefined;
  const pair = Buffer.from(auth, "base64").toString();
  const colon = pair.indexOf(":");
  if (colon <= 0)
    throw userError("file-invalid", `${file}: ${place}.auth is not a user and password in base64`, {
      hint: `docker login ${registry}`,
    });
  return { username: pair.slice(0, colon), password: pair.slice(colon + 1) };
}

/** Asks a credential helper in Docker's protocol: it gets the registry's address on standard input, and prints JSON. */
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
  const { username, secret } = readAnswer(output, program, registry);
  return username === "<token>" ? { identityToken: secret } : { username, password: secret };
}

/** Reads the answer. Errors do not quote it, because it may contain a secret. */
function readAnswer(output: string, program: string, registry: string): { username: string; secret: string } {
  const fault = (what: string): SerinError =>
    userError(
      "credential-helper",
      `${program} printed ${what} for ${registry}, expected an object with the texts Username and Secret`,
      { hint: `docker login ${registry}, or pass --username and --password-stdin` },
    );
  let answer: unknown;
  try {
    answer = JSON.parse(output);
  } catch {
    throw fault("no JSON");
  }
  if (!isTree(answer)) throw fault("no JSON object");
  const { Username: username = "", Secret: secret = "" } = answer;
  if (typeof username !== "string") throw fault("a Username that is not a string");
  if (typeof secret !== "string") throw fault("a Secret that is not a string");
  return { username, secret };
}
