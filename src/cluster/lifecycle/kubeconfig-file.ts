import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import type * as Yaml from "yaml";
import {
  isTree,
  loadPackage,
  messageOf,
  userError,
  withoutQuotes,
  type Environment,
  type SerinError,
} from "../../base/index.ts";
import { readForKubernetes, writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";

export interface AdminAccess {
  readonly contextName: string;
  readonly server: string;
  /** The certificate authority of the API server. The certificates and the key here are PEM texts. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

interface NamedEntry {
  name: string;
  [field: string]: unknown;
}

interface KubeconfigDocument {
  apiVersion: string;
  kind: string;
  "current-context": string;
  clusters: NamedEntry[];
  users: NamedEntry[];
  contexts: NamedEntry[];
  [field: string]: unknown;
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function entriesOf(access: AdminAccess): Pick<KubeconfigDocument, "clusters" | "users" | "contexts"> {
  const name = access.contextName;
  return {
    clusters: [{ name, cluster: { "certificate-authority-data": base64(access.ca), server: access.server } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    users: [
      { name, user: { "client-certificate-data": base64(access.certificate), "client-key-data": base64(access.key) } },
    ],
  };
}

/** A kubeconfig with only one cluster, as `kind get kubeconfig` prints it. */
export function kubeconfigText(access: AdminAccess): string {
  return textOf({
    apiVersion: "v1",
    ...entriesOf(access),
    "current-context": access.contextName,
    kind: "Config",
    preferences: {},
    users: entriesOf(access).users,
  });
}

/**
 * The path of the kubeconfig to write. If KUBECONFIG names several files, it is the first existing one, or the first
 * one if none exists.
 */
export function userKubeconfigPath(env: Environment): string {
  const listed = (env["KUBECONFIG"] ?? "").split(delimiter).filter((path) => path !== "");
  return listed.find((path) => existsSync(path)) ?? listed[0] ?? join(env["HOME"] ?? homedir(), ".kube", "config");
}

/**
 * Adds the cluster to the kubeconfig, or replaces it, and makes its context current. The file gets mode 0600. Returns
 * the context that was current before.
 */
export function mergeIntoKubeconfig(path: string, access: AdminAccess): string {
  const document = readKubeconfig(path);
  const previous = document["current-context"];
  const added = entriesOf(access);
  for (const list of ["clusters", "users", "contexts"] as const) {
    document[list] = [...document[list].filter((entry) => entry.name !== access.contextName), ...added[list]];
  }
  document["current-context"] = access.contextName;
  writeKubeconfig(path, document);
  return previous;
}

/** Removes the cluster from the kubeconfig. The previous context becomes current again if it still exists. */
export function removeFromKubeconfig(path: string, contextName: string, previousContext: string): void {
  if (!existsSync(path)) return;
  const document = readKubeconfig(path);
  for (const list of ["clusters", "users", "contexts"] as const)
    document[list] = document[list].filter((entry) => entry.name !== contextName);
  if (document["current-context"] === contextName) {
    document["current-context"] = document.contexts.some((entry) => entry.name === previousContext)
      ? previousContext
      : "";
  }
  writeKubeconfig(path, document);
}

function readKubeconfig(path: string): KubeconfigDocument {
  const empty: KubeconfigDocument = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "",
    clusters: [],
    users: [],
    contexts: [],
  };
  if (!existsSync(path)) return empty;
  let value: unknown;
  try {
    value = loadPackage<typeof Yaml>("yaml").parse(readFileSync(path, "utf8"), readForKubernetes);
  } catch (error) {
    throw invalid(`cannot read the kubeconfig ${path}: ${withoutQuotes(messageOf(error))}`);
  }
  if (value === null || value === undefined) return empty;
  if (!isTree(value)) throw invalid(`the kubeconfig ${path} must be a map`);
  const given = value as Partial<KubeconfigDocument>;
  return {
    ...empty,
    ...given,
    "current-context": given["current-context"] ?? "",
    clusters: listOf(given.clusters, "clusters", path),
    users: listOf(given.users, "users", path),
    contexts: listOf(given.contexts, "contexts", path),
  };
}

function listOf(value: NamedEntry[] | undefined, field: string, path: string): NamedEntry[] {
  const list = value ?? [];
  if (!Array.isArray(list) || !list.every((entry) => isTree(entry)))
    throw invalid(`${field} of the kubeconfig ${path} must be a list of objects`);
  return list;
}

function invalid(message: string): SerinError {
  return userError("kubeconfig-invalid", message, { hint: "fix it, or set KUBECONFIG to another file" });
}

/** The kubeconfig as YAML that kubectl reads correctly. kubectl would read an unquoted `no` as false. */
function textOf(document: object): string {
  return loadPackage<typeof Yaml>("yaml").stringify(document, writtenForKubernetes);
}

function writeKubeconfig(path: string, document: KubeconfigDocument): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}`;
  // Remove an existing file or link of this name: it could belong to another user, and the mode applies only to a new
  // file.
  rmSync(temporary, { force: true });
  writeFileSync(temporary, textOf(document), { flag: "wx", mode: 0o600 });
  renameSync(temporary, path);
}
