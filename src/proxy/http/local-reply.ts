import { editHeaders, type MutationContext } from "../routing/header-mutation.ts";
import type { LocalReply } from "./compose-response.ts";
import { encodeGrpcMessage, grpcStatusOfHttp } from "./grpc.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import { flagLetters, type ResponseFlag } from "../terms/response-flags.ts";

/** A response of the proxy itself, before the listener's rules and the client's protocol are applied. */
export interface ReplyDraft {
  readonly status: number;
  readonly body: string | Buffer;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly flag: ResponseFlag;
  /** The gRPC status. Undefined means the one that corresponds to the HTTP status. */
  readonly grpcStatus: number | undefined;
}

/** Applies the listener's first matching rule, and converts the response to gRPC for a gRPC client. */
export function shapeReply(
  draft: ReplyDraft,
  config: HttpConnectionConfig,
  isGrpc: boolean,
  context: MutationContext,
): LocalReply {
  let { status, body, fields } = draft;
  if (config.localReplies.length > 0) {
    const told = { status, flag: flagLetters(draft.flag) };
    const rule = config.localReplies.find((one) => one.matches(told));
    if (rule !== undefined) {
      status = rule.status ?? status;
      if (rule.body !== undefined) body = rule.body({ status, body: body.toString() });
      if (rule.contentType !== undefined)
        fields = [...fields.filter(([name]) => name !== "content-type"), ["content-type", rule.contentType]];
      if (rule.headers !== undefined) fields = edited(fields, rule.headers, context);
    }
  }
  if (!isGrpc) return { status, body, fields };
  const grpcStatus = String(draft.grpcStatus ?? grpcStatusOfHttp(status));
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

function edited(
  fields: ReplyDraft["fields"],
  mutation: Parameters<typeof editHeaders>[0][number],
  context: MutationContext,
): ReplyDraft["fields"] {
  const edits = editHeaders([mutation], context, (name) => fields.some(([other]) => other === name));
  return [...fields.filter(([name]) => !edits.dropped.has(name)), ...edits.added];
}
