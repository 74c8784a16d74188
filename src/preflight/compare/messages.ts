import type { ConfigurationReport, ReleaseMessage } from "../report.ts";

/** What a release's analysis printed as JSON; a user of the result sees what is wrong with it. Undefined: it is none. */
export function readMessages(text: string): ReleaseMessage[] | undefined {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(raw)) return undefined;
  return raw.map((entry: Readonly<Record<string, unknown>>) => ({
    code: textOf(entry["code"]),
    level: textOf(entry["level"]),
    origin: textOf(entry["origin"]),
    message: textOf(entry["message"]),
  }));
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** What only one of the releases says of the same objects. */
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
  // Analysis and validation may say the same; the first, which has a code of its own, is kept.
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
