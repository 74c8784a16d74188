import { stringOf } from "../../base/index.ts";
import type { ConfigurationReport, ReleaseMessage } from "../report.ts";

/** Parses the JSON output of a release's analysis. Undefined if the text has another form. */
export function readMessages(text: string): ReleaseMessage[] | undefined {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(raw)) return undefined;
  return raw.map((entry: Readonly<Record<string, unknown>>) => ({
    code: stringOf(entry["code"]),
    level: stringOf(entry["level"]),
    origin: stringOf(entry["origin"]),
    message: stringOf(entry["message"]),
  }));
}

/**
 * The messages that only one of the two releases reports for the same objects, and the number of those that both
 * report.
 */
export function compareMessages(
  before: readonly ReleaseMessage[],
  after: readonly ReleaseMessage[],
): ConfigurationReport {
  const old = new Set(before.map(keyOf));
  const now = new Set(after.map(keyOf));
  return {
    appeared: unique(after.filter((message) => !old.has(keyOf(message)))),
    disappeared: unique(before.filter((message) => !now.has(keyOf(message)))),
    kept: after.filter((message) => old.has(keyOf(message))).length,
  };
}

function unique(messages: readonly ReleaseMessage[]): ReleaseMessage[] {
  // Analysis and validation may report the same fault. Keep the first message, which is the analysis': it has a more
  // specific code.
  const found = new Map<string, ReleaseMessage>();
  for (const message of messages) {
    const key = `${message.origin}\n${message.message}`;
    if (!found.has(key)) found.set(key, message);
  }
  return [...found.values()];
}

function keyOf({ code, origin, message }: ReleaseMessage): string {
  return `${code}\n${origin}\n${message}`;
}
