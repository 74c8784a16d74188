import { bodyFramingHeaders } from "../../base/index.ts";
import type { MessageHead } from "../../wire/http1/index.ts";

/**
 * The maximum number of names in a request's `connection` headers. A request with more is refused, because nobody needs
 * so many, and each costs time.
 */
const maxNominated = 9;

/**
 * Headers that the client's `connection` header cannot make hop-by-hop. They belong to the whole request: without them
 * it would be another request.
 */
const ofTheRequest: ReadonlySet<string> = new Set(["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]);

/** Tokens of `connection` that say something about the hop itself and name no header. */
const ofTheHop: ReadonlySet<string> = new Set([
  "close",
  "keep-alive",
  "upgrade",
  "te",
  "http2-settings",
  "connection",
  "",
]);

/**
 * The headers that `connection` names, in lower case, which end at this hop. Undefined if the request must be refused
 * because of one of them, or because there are too many.
 */
export function nominatedFields(head: MessageHead): readonly string[] | undefined {
  const names = new Set<string>();
  let listed = 0;
  for (let field = head.find("connection"); field >= 0; field = head.find("connection", field + 1)) {
    for (const part of head.value(field).split(",")) {
      const name = part.trim().toLowerCase();
      listed += 1;
      if (name.startsWith(":") || ofTheRequest.has(name)) return undefined;
      // Keep the headers that frame the body even if they are named: without them, the rest of the body would be read
      // as another message.
      if (!ofTheHop.has(name) && !bodyFramingHeaders.has(name)) names.add(name);
    }
  }
  return listed > maxNominated ? undefined : [...names];
}
