import type { MessageHead } from "../../wire/http1/index.ts";

/** Names that a `connection` field may nominate; a peer that names more wants to cost us. */
const maxNominated = 9;

/** Fields that are of the request, not of the hop, whatever a client says: without them it would be another request. */
const ofTheRequest: ReadonlySet<string> = new Set(["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]);

/** What says where a body ends goes with the body: without it the rest would be taken for a next message. */
const keptAnyway: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);

/** What `connection` says of the hop itself. */
const ofTheHop: ReadonlySet<string> = new Set([
  "close",
  "keep-alive",
  "upgrade",
  "te",
  "http2-settings",
  "connection",
  "",
]);

/** The fields that `connection` nominates, in lower case; undefined when the request must be refused for what it names. */
export function nominatedFields(head: MessageHead): readonly string[] | undefined {
  const names = new Set<string>();
  let listed = 0;
  for (let field = head.find("connection"); field >= 0; field = head.find("connection", field + 1)) {
    for (const part of head.value(field).split(",")) {
      const name = part.trim().toLowerCase();
      listed += 1;
      if (name.startsWith(":") || ofTheRequest.has(name)) return undefined;
      if (!ofTheHop.has(name) && !keptAnyway.has(name)) names.add(name);
    }
  }
  return listed > maxNominated ? undefined : [...names];
}
