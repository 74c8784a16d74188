import type { MessageHead } from "../../wire/http1/index.ts";
import {
  editHeaders,
  type HeaderEdits,
  type HeaderMutation,
  type MutationContext,
} from "../routing/header-mutation.ts";
import { flagLetters } from "../terms/response-flags.ts";
import type { ExchangeParts } from "./exchange-parts.ts";

type Parts = Pick<ExchangeParts, "record" | "facts" | "config">;

/**
 * The facts to which values of headers may refer. `response` gives the response's headers if the response is what is
 * edited.
 */
export function mutationContext(
  { record, facts, config }: Parts,
  response: MutationContext["response"],
  status = record.status,
): MutationContext {
  return {
    request: facts,
    connection: record.connection,
    downstreamPeer: record.downstreamPeer,
    clientAddress: () => facts.clientAddress(config),
    startedMs: record.startedMs,
    routeName: record.routeName,
    cluster: record.cluster?.name ?? "",
    upstreamHost: record.endpoint?.name ?? "",
    status,
    flags: () => flagLetters(record.flag),
    response,
    metadata: record.metadata,
  };
}

export function requestEdits(parts: Parts, levels: readonly HeaderMutation[]): HeaderEdits | undefined {
  if (levels.length === 0) return undefined;
  return editHeaders(levels, mutationContext(parts, undefined), (name) => parts.facts.header(name) !== undefined);
}

/**
 * The edits of a response's head, including the fields that filters add. `head` is undefined for a reply of the proxy
 * itself.
 */
export function responseEdits(
  parts: Parts,
  levels: readonly HeaderMutation[],
  added: HeaderEdits["added"],
  head: MessageHead | undefined,
): HeaderEdits | undefined {
  if (levels.length === 0) return added.length === 0 ? undefined : { dropped: noNames, added };
  const made = edits(parts, levels, head);
  return added.length === 0 ? made : { dropped: made.dropped, added: [...made.added, ...added] };
}

function edits(parts: Parts, levels: readonly HeaderMutation[], head: MessageHead | undefined): HeaderEdits {
  const context = mutationContext(parts, head, head?.status);
  return editHeaders(levels, context, (name) => head !== undefined && head.find(name) >= 0);
}

const noNames: ReadonlySet<string> = new Set();
