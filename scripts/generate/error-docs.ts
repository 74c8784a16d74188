// Writes docs/errors.md from the table of error codes.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorAreas, type ErrorEntry } from "../../src/base/error-codes/index.ts";

const introduction = `# Error codes

Every error of Serin has one of these codes. A code stays the same when the message changes, so programs and tests read
the code. An error has a message, which names the object or field, and often a hint. Some codes come with a \`reason\`,
which another program has given, for example \`ECONNREFUSED\` or an HTTP status.

\`node scripts/generate/error-docs.ts\` writes this page from \`src/base/error-codes\`. The type \`ErrorCode\` comes from the
same table, so the compiler refuses an unknown code.
`;

export function errorsPage(): string {
  return [introduction, ...errorAreas.map(({ title, codes }) => section(title, codes))].join("\n");
}

function section(title: string, codes: Readonly<Record<string, ErrorEntry>>): string {
  const lines = Object.entries(codes).map(([code, { meaning, remedy }]) => `| \`${code}\` | ${meaning} | ${remedy} |`);
  return [`## ${title}`, "", "| code | meaning | what to do |", "|---|---|---|", ...lines, ""].join("\n");
}

if (import.meta.main) writeFileSync(join(import.meta.dirname, "../../docs/errors.md"), errorsPage());
