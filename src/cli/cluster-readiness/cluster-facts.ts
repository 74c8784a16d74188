// Reads facts about a cluster from its API server, for `precheck` and `doctor`. Changes nothing: the access reviews
// that it creates are not stored.
import { transientError, userError } from "../../base/index.ts";
import { askSelfAccess } from "../../kube/access/index.ts";
import type { KubeClient } from "../../kube/index.ts";

/** The oldest minor version of Kubernetes that Istio 1.31 supports. */
export const oldestMinor = 32;

export type Read<Value> =
  | { readonly state: "read"; readonly value: Value }
  | { readonly state: "absent" }
  | { readonly state: "forbidden"; readonly reason: string };

interface Status {
  readonly message?: string;
}

/**
 * Reads an object or a list as JSON. Throws for wrong credentials and failing servers, because other requests would
 * fail too.
 */
export async function readJson<Value>(client: KubeClient, path: string): Promise<Read<Value>> {
  const { status, text } = await client.raw("GET", path);
  if (status === 200) return { state: "read", value: parse(text, path) as Value };
  if (status === 404) return { state: "absent" };
  const reason = reasonOf(status, text);
  if (status === 403) return { state: "forbidden", reason };
  throw refusal(status, `GET ${path}`, reason);
}

function refusal(status: number, object: string, reason: string): Error {
  if (status === 401)
    return userError("unauthorized", `the API server does not accept the credentials (401, ${object}): ${reason}`, {
      hint: "the user of the kubeconfig's context must have a token or a certificate that is still valid: kubectl config view --minify",
    });
  const errorOf = isTransient(status) ? transientError : userError;
  return errorOf("api-server", `the API server answered ${status} to ${object}: ${reason}`, {
    hint: isRedirect(status)
      ? "an API server redirects no such request: a login page or another proxy answers in its place. Check the server of the kubeconfig's context: kubectl config view --minify"
      : "kubectl get --raw '/readyz?verbose' shows what the API server lacks",
  });
}

function isRedirect(status: number): boolean {
  return status >= 300 && status < 400;
}

/** Whether the server is overloaded or fails, so that the next request may succeed. */
function isTransient(status: number): boolean {
  return status === 429 || status >= 500;
}

function reasonOf(status: number, text: string): string {
  try {
    return (JSON.parse(text) as Status).message ?? `HTTP status ${status}`;
  } catch {
    return text === "" ? `HTTP status ${status}` : text.slice(0, 200);
  }
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw userError(
      "answer-unreadable",
      `the answer to GET ${path} is not JSON: no Kubernetes API server answers there`,
      {
        hint: "check the server of the kubeconfig's context: kubectl config view --minify",
      },
    );
  }
}

export interface ServerVersion {
  /** For example `v1.36.3`. */
  readonly text: string;
  readonly supported: boolean;
}

export async function serverVersion(client: KubeClient): Promise<ServerVersion> {
  const read = await readJson<{ readonly gitVersion?: string }>(client, "/version");
  if (read.state === "forbidden")
    throw userError("forbidden", `you may not read /version: ${read.reason}`, { hint: "kubectl auth can-i --list" });
  const text = read.state === "read" ? (read.value.gitVersion ?? "") : "";
  return { text, supported: isSupported(text) };
}

export function isSupported(version: string): boolean {
  const [major, minor] = majorMinor(version);
  return major > 1 || minor >= oldestMinor;
}

/** For example `[1, 36]` for `v1.36.3`. Zeros if the text is not a version. */
export function majorMinor(version: string): readonly [major: number, minor: number] {
  const [, major = "0", minor = "0"] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
  return [Number(major), Number(minor)];
}

export interface Access {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly namespace?: string;
}

/** Returns why the caller lacks this permission, or undefined if the caller has it. */
export async function whyNot(client: KubeClient, access: Access): Promise<string | undefined> {
  const version = access.resource === "*" ? "*" : "v1";
  const { allowed, reason, httpStatus, text } = await askSelfAccess(client, { ...access, version });
  // The server did not answer the review, so it is unknown whether the caller has the permission.
  if (httpStatus === 401 || isTransient(httpStatus))
    throw refusal(httpStatus, "SelfSubjectAccessReview", reasonOf(httpStatus, text));
  if (httpStatus >= 300) return `the API server answered the review with ${httpStatus}`;
  if (allowed) return undefined;
  return reason === "" ? "permission denied" : reason;
}

/**
 * The caller's user name at the API server. Undefined if the API server cannot tell it: Kubernetes before 1.28 lacks
 * this request.
 */
export async function callerName(client: KubeClient): Promise<string | undefined> {
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const answer = await client.raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", { body });
  if (answer.status >= 300) return undefined;
  const { status } = JSON.parse(answer.text) as {
    readonly status?: { readonly userInfo?: { readonly username?: string } };
  };
  return status?.userInfo?.username;
}

export interface GatewayDefinition {
  /** For example `gateways.gateway.networking.k8s.io`. */
  readonly name: string;
  readonly kind: string;
  readonly served: readonly string[];
  /** For example `v1.5.0`. Empty if the CRD does not name its release. */
  readonly release: string;
  readonly channel: string;
}

interface Definition {
  readonly metadata?: { readonly name?: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec?: {
    readonly group?: string;
    readonly names?: { readonly kind?: string };
    readonly versions?: readonly { readonly name?: string; readonly served?: boolean }[];
  };
}

const gatewayGroup = "gateway.networking.k8s.io";

export async function gatewayDefinitions(client: KubeClient): Promise<Read<readonly GatewayDefinition[]>> {
  const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  const read = await readJson<{ readonly items?: readonly Definition[] }>(client, path);
  if (read.state !== "read") return read;
  const value = (read.value.items ?? [])
    .filter(({ spec }) => spec?.group === gatewayGroup)
    .map(({ metadata, spec }) => ({
      name: metadata?.name ?? "",
      kind: spec?.names?.kind ?? "",
      served: (spec?.versions ?? []).filter(({ served }) => served === true).map(({ name = "" }) => name),
      release: metadata?.annotations?.[`${gatewayGroup}/bundle-version`] ?? "",
      channel: metadata?.annotations?.[`${gatewayGroup}/channel`] ?? "",
    }));
  return { state: "read", value };
}

export interface VersionNeed {
  readonly version: string;
  /** The code under which istioctl reports the finding. */
  readonly code: string;
  readonly level: "Error" | "Warning";
}

const versionNeeds: readonly (VersionNeed & { readonly kinds: readonly string[] })[] = [
  {
    version: "v1beta1",
    code: "IST0156",
    level: "Error",
    kinds: ["Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant"],
  },
  { version: "v1", code: "IST0172", level: "Warning", kinds: ["Gateway", "GatewayClass", "HTTPRoute", "GRPCRoute"] },
];

export function lackedVersions({ kind, served }: GatewayDefinition): readonly VersionNeed[] {
  return versionNeeds.filter(({ kinds, version }) => kinds.includes(kind) && !served.includes(version));
}
