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
  /** The path that replaces the request's path. If empty, the request's path is sent. */
  readonly pathOverride: string;
  /** Selects the headers of the request that are sent. `authorization` is always sent. */
  readonly isSent: StringMatcher;
  readonly added: readonly (readonly [name: string, value: string])[];
  /** Which headers of the service's answer are set on the request to the upstream, and which are added to it. */
  readonly toUpstream: StringMatcher;
  readonly toUpstreamAppended: StringMatcher;
  /** Which headers of a refusal the client gets. Undefined means all of them. */
  readonly toClient: StringMatcher | undefined;
  readonly toClientOnSuccess: StringMatcher;
  readonly callCluster: CallCluster;
}

const maxAnswerBytes = 1024 * 1024;
const alwaysToClient = new Set(["www-authenticate", "location", "content-type", "proxy-authenticate"]);
/** Headers that frame a message or describe only one hop. They are not copied. */
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

/**
 * Sends the service a request like the client's, with the configured part of the client's body.
 */
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
        // Accept even status 101 as a verdict. As in Envoy, only 200 admits the request, a status from 500 to 599 is a
        // failure of the service, and any other status refuses the request.
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
