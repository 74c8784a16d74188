import { transientError } from "../../../base/index.ts";
import type { StringMatcher } from "../../routing/matchers.ts";
import { statusForClient } from "./denied-status.ts";
import { partialBodyField, type AskAuthorization, type AuthorizationAnswer } from "./ext-authz-filter.ts";
import type { CallCluster, ClusterAnswer } from "../../terms/call-cluster.ts";
import type { FilterRequest } from "../http-filter.ts";
import { queryAfterEdits } from "../query-edits.ts";

export interface HttpAuthorizationOptions {
  readonly cluster: string;
  readonly timeoutMs: number;
  readonly pathPrefix: string;
  /** Replaces the request's path. If empty, the path stays. */
  readonly pathOverride: string;
  /** The request's headers that are sent, in addition to the fixed ones. */
  readonly isSent: StringMatcher;
  readonly added: readonly (readonly [name: string, value: string])[];
  /** Headers of the answer that are set on, or added to, the request to the upstream. */
  readonly toUpstream: StringMatcher;
  readonly toUpstreamAppended: StringMatcher;
  /** Headers of a refusal that the client gets. Undefined means all of them. */
  readonly toClient: StringMatcher | undefined;
  readonly toClientOnSuccess: StringMatcher;
  readonly callCluster: CallCluster;
}

const maxAnswerBytes = 1024 * 1024;
/** Headers that a refused client always gets. */
const alwaysToClient = new Set(["www-authenticate", "location", "content-type", "proxy-authenticate"]);
/** Headers that frame a message or are hop-by-hop. */
const hopFields = new Set([
  "connection",
  "content-length",
  "transfer-encoding",
  "keep-alive",
  "te",
  "trailer",
  "upgrade",
  "host",
  "date",
  "server",
]);

/** Sends a request like the client's, with the configured part of its body. Status 200 admits the request. */
export function httpAuthorization(options: HttpAuthorizationOptions): AskAuthorization {
  return async (request, { body }, signal) => {
    const query = queryAfterEdits(request);
    const answer = await options.callCluster(
      {
        cluster: options.cluster,
        protocol: "http1",
        method: request.method,
        path:
          options.pathOverride === ""
            ? `${options.pathPrefix}${request.path}${query === "" ? "" : `?${query}`}`
            : options.pathOverride,
        authority: request.authority,
        headers: [
          ...fieldsForService(request, options),
          ...(body === undefined ? [] : [[partialBodyField, String(!body.isWhole)] as const]),
        ],
        body: body?.bytes ?? Buffer.alloc(0),
        timeoutMs: options.timeoutMs,
        maxAnswerBytes,
        // As in Envoy, any response except a fault of the service is a verdict, and only 200 admits the request.
        acceptsSwitch: true,
      },
      signal,
    );
    if (answer.status >= 500 && answer.status <= 599)
      throw transientError("authorization-failed", `the authorization service answered ${answer.status}`);
    return answer.status === 200 ? allowed(answer, options) : denied(answer, options);
  };
}

function fieldsForService(
  request: FilterRequest,
  { isSent: isCopied, added }: HttpAuthorizationOptions,
): (readonly [string, string])[] {
  const replaced = new Set(added.map(([name]) => name));
  const fields: (readonly [string, string])[] = [];
  for (const [name, value] of request.headers()) {
    if (hopFields.has(name) || name.startsWith(":") || name === partialBodyField || replaced.has(name)) continue;
    if (name === "authorization" || isCopied(name)) fields.push([name, value]);
  }
  return [...fields, ...added];
}

/** The header in which a service lists the request's headers that the upstream must not get. */
const removalsField = "x-envoy-auth-headers-to-remove";

function allowed(
  answer: ClusterAnswer,
  { toUpstream, toUpstreamAppended, toClientOnSuccess }: HttpAuthorizationOptions,
): AuthorizationAnswer {
  const fields = answer.headers.filter(([name]) => !hopFields.has(name) && name !== removalsField);
  const removals = answer.headers.filter(([name]) => name === removalsField).flatMap(([, names]) => names.split(","));
  return {
    kind: "allowed",
    set: [
      ...fields.filter(([name]) => toUpstream(name)).map(([name, value]) => ({ name, value, append: false })),
      ...fields.filter(([name]) => toUpstreamAppended(name)).map(([name, value]) => ({ name, value, append: true })),
    ],
    remove: removals.map((name) => name.trim().toLowerCase()).filter((name) => name !== ""),
    answerFields: fields.filter(([name]) => toClientOnSuccess(name)),
    metadata: undefined,
  };
}

function denied(answer: ClusterAnswer, { toClient }: HttpAuthorizationOptions): AuthorizationAnswer {
  const fields = answer.headers.filter(
    ([name]) => !hopFields.has(name) && (toClient === undefined || toClient(name) || alwaysToClient.has(name)),
  );
  return {
    kind: "denied",
    status: statusForClient(answer.status),
    body: answer.body.toString(),
    fields,
    metadata: undefined,
  };
}
