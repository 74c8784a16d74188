import type { ErrorEntry } from "./error-entry.ts";

export const ownErrors = {
  unexpected: {
    meaning: "Something happened that the program does not expect. This is a bug of Serin.",
    remedy: "Report it with the output of `serin bug-report`.",
  },
  "script-failed": {
    meaning: "A script or test of the repository failed.",
    remedy: "Read the output in the message.",
    silent: true,
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;
