import { fieldKinds } from "../../../wire/http1/index.ts";
import { HeaderBlock } from "../../../wire/http2/index.ts";
import { staysBehind } from "../../http2/http2-heads.ts";
import { keepsResponseField, writesServer, type ResponseComposition } from "./compose-response.ts";

/** The block of the current response. This thread composes one head at a time, so all responses share the memory. */
const block = new HeaderBlock();
const visibleAscii = /^[!-~]*$/;

/**
 * Composes an upstream's head for the client as an HTTP/2 header block. The block has the same fields as the text of
 * `composeResponse`, but skips this text, which would have to be scanned again. The block is valid until the next call.
 *
 * Returns undefined if that text is needed: fields from the configuration may be invalid, and only the scan of the text
 * finds invalid fields.
 */
export function composeResponseBlock(response: ResponseComposition): Buffer | undefined {
  const { head, config, requestId, upstreamServiceMs } = response;
  if (response.edits !== undefined || response.peerMetadata !== undefined) return undefined;
  if (response.delivery !== "as-is" || response.connection !== undefined || !visibleAscii.test(config.serverName))
    return undefined;
  const { bytes, nameStarts, nameEnds, valueStarts, valueEnds } = head;
  block.begin();
  block.field(":status", String(head.status));
  let hasDate = false;
  let hasServer = false;
  for (let field = 0; field < head.fieldCount; field += 1) {
    const kind = head.kind(field);
    if (kind === fieldKinds.date) hasDate = true;
    if (staysBehind(kind) || !keepsResponseField(response, field)) continue;
    if (kind === fieldKinds.server) hasServer = true;
    block.fieldOf(bytes, nameStarts[field] ?? 0, nameEnds[field] ?? 0, valueStarts[field] ?? 0, valueEnds[field] ?? 0);
  }
  if (upstreamServiceMs >= 0) block.field("x-envoy-upstream-service-time", String(upstreamServiceMs));
  if (!hasDate) block.field("date", response.date);
  if (writesServer(config, hasServer)) block.field("server", config.serverName);
  if (requestId !== undefined) block.field("x-request-id", requestId);
  return block.view();
}
