import { groupVersionOf, type KindDefinition, type UntypedObject } from "../../../api/index.ts";
import { SerinError, transientError } from "../../../base/index.ts";
import type { KubeClient, RawOptions, RawResponse } from "../../../kube/index.ts";
import type { Identity, OwnCredentials } from "../access/identity.ts";
import { refusal } from "../../problem.ts";

/** The user's own credentials, which writes and reads of pods require. */
export function ownOf({ own }: Identity): OwnCredentials {
  if (own === undefined)
    throw refusal("forbidden", "the dashboard's own account does not do this for you", "log in with a bearer token");
  return own;
}

const reasons: Readonly<Record<number, Parameters<typeof refusal>[0]>> = {
  400: "invalid",
  401: "logged-out",
  403: "forbidden",
  404: "not-found",
  409: "conflict",
  422: "invalid",
};

/** Sends one request to the API server. Throws refusals with the server's own text. */
export async function sendToKube(
  client: KubeClient,
  method: string,
  path: string,
  options: RawOptions = {},
): Promise<RawResponse> {
  const response = await client.raw(method, path, options);
  if (response.status < 300) return response;
  const message = messageIn(response.text);
  const reason = reasons[response.status];
  if (reason === undefined)
    throw transientError("unavailable", `the API server answered ${response.status}: ${message}`);
  throw refusal(reason, message, reason === "forbidden" ? "kubectl auth can-i shows what you may do" : undefined);
}

function messageIn(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === "string") return message;
  } catch {
    // The text is no JSON: nodes and pods answer with plain text.
  }
  return text.trim().slice(0, 500);
}

/** The warnings in the API server's answer: `299 - "text"`. */
export function warningsOf({ headers }: RawResponse): readonly string[] {
  return [...(headers["warning"] ?? "").matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text = ""]) =>
    text.replaceAll(/\\(.)/g, "$1"),
  );
}

interface ResourceList {
  readonly resources?: readonly { readonly name: string; readonly kind: string; readonly namespaced: boolean }[];
}

/** Finds the kind of an object through the API server's discovery. Throws `invalid` for an unknown kind. */
export async function discoverKind(
  client: KubeClient,
  { apiVersion = "", kind = "" }: Pick<UntypedObject, "apiVersion" | "kind">,
): Promise<KindDefinition<UntypedObject>> {
  const { group, version } = groupVersionOf(apiVersion);
  const unknown = refusal(
    "invalid",
    `the cluster has no kind ${kind} of ${apiVersion}`,
    "is its definition installed? kubectl api-resources",
  );
  let list: ResourceList;
  try {
    const { text } = await sendToKube(
      client,
      "GET",
      group === ""
        ? `/api/${encodeURIComponent(version)}`
        : `/apis/${encodeURIComponent(group)}/${encodeURIComponent(version)}`,
    );
    list = JSON.parse(text) as ResourceList;
  } catch (error) {
    throw error instanceof SerinError && error.code === "not-found" ? unknown : error;
  }
  const found = list.resources?.find((resource) => resource.kind === kind && !resource.name.includes("/"));
  if (found === undefined) throw unknown;
  return { group, versions: [version], kind, plural: found.name, namespaced: found.namespaced };
}
