import { editHeaders, type MutationContext } from "../routing/header-mutation.ts";
import type { LocalReply } from "./messages/compose-response.ts";
import { encodeGrpcMessage, grpcStatusOfHttp } from "./grpc.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import { unreachedHeader } from "../peers/peer-metadata.ts";
import { responseFlags } from "../terms/response-flags.ts";
import type { ReplyRow } from "./reply-table.ts";
import { isIdempotent } from "./retry-decision.ts";

type Fields = LocalReply["fields"];

/**
 * Whether the client must use another connection: the application behind this proxy cannot be reached, and the client
 * would send its next request to the same proxy again.
 */
export function leavesClient({ flag }: ReplyRow, { peerMetadata }: HttpConnectionConfig): boolean {
  return flag === responseFlags.upstreamConnectionFailure && peerMetadata.writeToClient;
}

/**
 * The header that says that the cluster has reached a limit, so that clients do not retry at once. As in Envoy, proxies
 * may still retry.
 */
export function overloadFields({ flag }: ReplyRow, config: HttpConnectionConfig): Fields {
  return flag === responseFlags.upstreamOverflow && !config.hidesEnvoyHeaders ? overloaded : noFields;
}

const overloaded: Fields = [["x-envoy-overloaded", "true"]];

/**
 * The header fields that tell a peer proxy that it may try another endpoint: the application has not seen the request,
 * or the application has ended and the request may safely be sent twice. `peerAsked` says whether the client's proxy
 * identified itself.
 */
export function fieldsForPeer(
  { flag }: ReplyRow,
  { peerMetadata }: HttpConnectionConfig,
  method: string,
  draining: boolean,
  peerAsked: boolean,
): Fields {
  if (!peerAsked || !peerMetadata.writeToClient) return noFields;
  const brokeOff = flag === responseFlags.upstreamConnectionTermination && draining && isIdempotent(method);
  return brokeOff || flag === responseFlags.upstreamConnectionFailure ? [[unreachedHeader, "true"]] : noFields;
}

const noFields: Fields = [];

/**
 * Makes the response for a reply: applies the listener's first matching rule, and converts the response for a gRPC
 * client.
 */
export function shapeReply(
  row: ReplyRow,
  given: Fields,
  config: HttpConnectionConfig,
  isGrpc: boolean,
  context: MutationContext,
): LocalReply {
  let { status, body } = row;
  let fields = given;
  if (config.localReplies.length > 0) {
    const reply = { status, flags: context.flags() };
    const rule = config.localReplies.find((candidate) => candidate.matches(reply));
    if (rule !== undefined) {
      status = rule.status ?? status;
      if (rule.body !== undefined) body = rule.body({ status, body: body.toString() });
      if (rule.contentType !== undefined)
        fields = [...fields.filter(([name]) => name !== "content-type"), ["content-type", rule.contentType]];
      if (rule.headers !== undefined) fields = edited(fields, rule.headers, context);
    }
  }
  if (!isGrpc) return { status, body, fields };
  const grpcStatus = String(row.grpcStatus ?? grpcStatusOfHttp(status));
  const message = encodeGrpcMessage(body.toString());
  const kept = fields.filter(([name]) => name !== "content-type");
  return {
    status: 200,
    body: "",
    fields: [
      ["content-type", "application/grpc"],
      ["grpc-status", grpcStatus],
      ...(message === "" ? [] : [["grpc-message", message] as const]),
      ...kept,
    ],
  };
}

function edited(fields: Fields, mutation: Parameters<typeof editHeaders>[0][number], context: MutationContext): Fields {
  const edits = editHeaders([mutation], context, (name) => fields.some(([other]) => other === name));
  return [...fields.filter(([name]) => !edits.dropped.has(name)), ...edits.added];
}
