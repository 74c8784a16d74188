import type { IncomingMessage, ServerResponse } from "node:http";
import { rfc3339Seconds, type Clock, type Logger, type Random } from "../../base/index.ts";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import type { AdmissionChain } from "../admission/index.ts";
import type { AccessAttributes, Authorizer, ServiceAccountTokens, User } from "../auth/index.ts";
import type { ResourceType, SchemaRegistry } from "../schema/contract.ts";
import type { Store } from "../store/index.ts";
import type { AuditLog } from "./audit-log.ts";
import type { Encoder, IncludeObject } from "./encoder.ts";
import type { AnswerForm } from "./negotiate.ts";
import type { NodeClient } from "./node-client.ts";
import type { ResourceRequest } from "./request-info.ts";
import type { ServiceAllocator } from "./service-allocator.ts";
import { badRequest, forbidden } from "./status.ts";

/** What all request handlers of one server share. */
export interface ServerParts {
  readonly store: Store;
  readonly registry: SchemaRegistry;
  readonly encoder: Encoder;
  readonly admission: AdmissionChain;
  readonly authorizer: Authorizer;
  readonly audit: AuditLog;
  readonly tokens: ServiceAccountTokens;
  readonly services: ServiceAllocator;
  readonly nodes: NodeClient;
  readonly allowsInsideNodes: boolean;
  readonly caCertificate: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Aborts when the server begins to stop, which ends its watches. */
  readonly stopping: AbortSignal;
}

/**
 * An authorized request for an existing resource. HTTP/2 requests have the same types as HTTP/1.1 requests, because the
 * server uses Node's compatibility API.
 */
export interface ResourceContext {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly info: ResourceRequest;
  readonly query: URLSearchParams;
  readonly user: User;
  readonly type: ResourceType;
  /** Texts for `Warning` headers of the answer. */
  readonly warnings: string[];
}

export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const include = query.get("includeObject") ?? "";
  if (include === "") return "Metadata";
  if (include === "None" || include === "Metadata" || include === "Object") return include;
  throw badRequest(
    `Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(include)}: must be 'Metadata', 'Object', 'None', or empty`,
  );
}

export function sendBytes(
  context: Pick<ResourceContext, "response" | "warnings">,
  status: number,
  bytes: Uint8Array,
  contentType = "application/json",
): void {
  const { response, warnings } = context;
  if (response.headersSent || response.destroyed) return;
  const headers: Record<string, string | number | string[]> = {
    "content-type": contentType,
    "content-length": bytes.length,
    "cache-control": "no-cache, private",
  };
  if (warnings.length > 0) headers["warning"] = boundedWarnings(warnings).map(warningHeader);
  response.writeHead(status, headers);
  response.end(bytes);
}

const maximumWarningCharacters = 4096;
const maximumCutCharacters = 256;

/**
 * The warnings of an answer, within the bounds of kube-apiserver. HTTP clients refuse response heads of more than a few
 * dozen kilobytes, and an admission webhook or a client's own object may cause megabytes of warnings.
 */
export function boundedWarnings(warnings: readonly string[]): string[] {
  const texts = [...new Set(warnings)];
  const lengthOf = (list: readonly string[]): number => list.reduce((sum, text) => sum + text.length, 0);
  if (lengthOf(texts) <= maximumWarningCharacters) return texts;
  const bounded: string[] = [];
  let length = 0;
  for (const text of texts) {
    const cut = text.slice(0, maximumCutCharacters);
    length += cut.length;
    if (length > maximumWarningCharacters) break;
    bounded.push(cut);
  }
  return bounded;
}

/**
 * The value of a `Warning` header. Clients choose parts of a warning, such as the name of an unknown field. A header
 * cannot contain characters beyond U+00FF, so the text is sent as UTF-8 bytes, as in kube-apiserver.
 */
function warningHeader(text: string): string {
  const quoted = JSON.stringify(text).replaceAll("\u007F", " ");
  return `299 - ${Buffer.from(quoted, "utf8").toString("latin1")}`;
}

export function sendJson(
  context: Pick<ResourceContext, "response" | "warnings">,
  status: number,
  value: unknown,
): void {
  sendBytes(context, status, Buffer.from(JSON.stringify(value)));
}

/** Sends JSON bytes in the form that the client requested, JSON or YAML. */
export async function sendForm(
  context: ResourceContext,
  status: number,
  form: AnswerForm,
  json: Buffer,
): Promise<void> {
  if (form.encoding === "json") return sendBytes(context, status, json);
  const { stringify } = await import("yaml");
  sendBytes(
    context,
    status,
    Buffer.from(stringify(JSON.parse(json.toString("utf8")), writtenForKubernetes)),
    "application/yaml",
  );
}

export function nowText(clock: Clock): string {
  return rfc3339Seconds(clock.nowMs());
}

/** Throws 403 unless the user's roles allow the request. Writes the request and the decision to the audit log. */
export function authorize(
  parts: Pick<ServerParts, "authorizer" | "audit">,
  user: User,
  attributes: AccessAttributes,
): void {
  const decision = parts.authorizer.authorize(user, attributes);
  parts.audit.record(user, attributes, decision);
  if (!decision.allowed) throw forbidden(user, attributes, decision.reason);
}
